"""Scripts: what is told of a sequence comes, the rest is the model's own choice, and every sample keeps a template."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from letters import VOCABULARY, A, B, new_model
from rdkit import Chem

from seqtutor import EOS, PAD, Template, UserError, load
from seqtutor.config import TrainConfig
from seqtutor.priors.files import load_prior
from seqtutor.priors.sampling import compared, draw, sample
from seqtutor.priors.script import Fixed, Holes, chosen
from seqtutor.runs.drawing import Source
from seqtutor.runs.offpolicy import estimated_from
from seqtutor.training.limits import check_settings

# a opens and c closes: "a", what is chosen up to the c that closes it, "c", "b", and what is chosen to the end.
TEMPLATE = Template(("a", None, "c", "b", None), "a", "c", frozenset("a"), (frozenset("b"), frozenset()))


def sampled(script, n=4000, length=9, seed=0):
    return sample(new_model(seed=3), new_model(seed=4), n, length, torch.Generator().manual_seed(seed), script)


def words(tokens):
    return ["".join(VOCABULARY.decode([t for t in row if t not in (PAD, EOS)])) for row in tokens.tolist()]


def test_every_sample_keeps_the_template_and_holes_have_nothing_that_is_barred():
    rollout = sampled(Holes(TEMPLATE, VOCABULARY))
    for word, cut in zip(words(rollout.tokens), rollout.truncated.tolist(), strict=True):
        assert word[0] == "a"
        depth, end = 1, 0
        while depth and end + 1 < len(word):
            end += 1
            depth += {"a": 1, "c": -1}.get(word[end], 0)
        assert "b" not in word[1:end]
        assert end > 1  # no hole is empty
        assert cut or (word[end : end + 2] == "cb" and word[end + 2] == "a")


def test_forced_steps_are_nobodys_choice_and_cost_nothing():
    script = Holes(TEMPLATE, VOCABULARY)
    rollout = sampled(script)
    assert torch.equal(rollout.mask, chosen(script, rollout.tokens))
    assert not rollout.mask[:, 0].any()
    for part in (rollout.logp, rollout.prior_logp, rollout.kl):
        assert (part[~rollout.mask] == 0).all()


def test_a_sample_is_as_frequent_as_its_chosen_steps_are_likely():
    rollout = sampled(Holes(TEMPLATE, VOCABULARY), n=20_000)
    counts = Counter(map(tuple, rollout.tokens.tolist()))
    likely = {tuple(row): logp for row, logp in zip(rollout.tokens.tolist(), rollout.logp.sum(1).tolist(), strict=True)}
    common = [row for row, count in counts.items() if count > 300]
    assert len(common) > 5
    for row in common:
        expected = np.exp(likely[row])
        assert abs(counts[row] / 20_000 - expected) < 4 * np.sqrt(expected / 20_000)


def test_a_template_without_a_hole_at_its_end_ends_the_item():
    closed = Template(("a", None, "c"), "a", "c", frozenset("ab"), (frozenset(),))
    rollout = sampled(Holes(closed, VOCABULARY), length=12)
    ended = ~rollout.truncated
    assert ended.any()
    last = rollout.mask.shape[1] - 1 - rollout.tokens[ended].ne(PAD).flip(1).int().argmax(1)
    assert (rollout.tokens[ended].gather(1, last[:, None]) == EOS).all()
    assert not rollout.mask[ended].gather(1, last[:, None]).any()


def test_models_are_compared_over_the_chosen_steps_alone():
    script = Fixed(torch.tensor([A, PAD, B]))
    tokens = sampled(script, n=50).tokens
    model, other = new_model(seed=3), new_model(seed=4)
    logp, prior_logp, kl = compared(model, other, tokens, script)
    free = compared(model, other, tokens)
    assert (logp > free[0]).all()
    assert (prior_logp > free[1]).all()
    assert (kl < free[2]).all()


def test_a_hole_has_both_of_a_pair_or_none():
    pairs = Template((None, "c", None), "a", "c", frozenset("ab"), (frozenset(), frozenset()), frozenset("b"))
    rollout = sampled(Holes(pairs, VOCABULARY), length=9)
    seen = Counter()
    for word, cut in zip(words(rollout.tokens), rollout.truncated.tolist(), strict=True):
        depth = end = 0
        while end < len(word) and not (word[end] == "c" and not depth):
            depth += {"a": 1, "c": -1}.get(word[end], 0)
            end += 1
        holes = (word[:end], *([word[end + 1 :]] if not cut and end < len(word) else []))
        if end < len(word):
            assert not word[:end].count("b") % 2
            assert cut or not holes[-1].count("b") % 2
            seen.update(hole.count("b") for hole in holes)
    assert seen[0] > 50
    assert seen[2] > 50


SCAFFOLDS = ["c1ccc([*:1])cc1", "[*]c1ccc([*])cc1", "C1CN([*:1])CCN1c1ccc([*:2])nc1", "O=C([*:1])N[*:2]"]
SCAFFOLDS += ["N([*:1])([*:2])[*:3]", "[*:1]c1nc2ccccc2n1[*:2]"]  # whose places grew together around a part of them


@pytest.mark.parametrize("scaffold", SCAFFOLDS)
def test_a_molecule_keeps_its_scaffold_and_grows_only_where_it_may(scaffold):
    domain = load("molecules", {"scaffold": scaffold})
    prior = load_prior("molecules", domain)
    tokens, truncated = draw(prior, domain, 60, torch.Generator().manual_seed(0))
    rule = Chem.AdjustQueryParameters.NoAdjustments()
    rule.makeDummiesQueries, rule.adjustDegree = True, True
    rule.adjustDegreeFlags = Chem.ADJUST_IGNOREDUMMIES
    wanted = Chem.AdjustQueryProperties(Chem.MolFromSmiles(scaffold), rule)
    spelt = ["".join(domain.vocabulary.decode([t for t in row if t not in (PAD, EOS)])) for row in tokens.tolist()]
    found = [Chem.MolFromSmiles(text) for text, cut in zip(spelt, truncated, strict=True) if not cut]
    valid = [molecule for molecule in found if molecule is not None]
    assert len(valid) > 40
    assert all(molecule.HasSubstructMatch(wanted) for molecule in valid)


@pytest.mark.parametrize(
    ("scaffold", "said"),
    [
        ("CC", "the scaffold CC has no place to grow at: write [*:1] where it may"),
        ("*", "the scaffold * has no place to grow at"),
        ("c1cc", "the scaffold c1cc is no SMILES that RDKit can read"),
        ("[*]C.C", "is of 2 parts; it must hang together"),
        ("B([*:1])C", "has 'B', which is no token that the model knows"),
        ("[*]" + "C" * 150, "C... has 151 atoms; a molecule has at most 100 tokens"),
        ("[*]" + "C(" * 3000, "C(C(... has 6,003 characters; 5,000 is the most that is read"),
        ("C[*]C", "in the scaffold C[*]C a [*] has 2 bonds; it must have one"),
    ],
)
def test_what_is_no_scaffold_is_said(scaffold, said):
    with pytest.raises(UserError, match=re.escape(said)):
        load("molecules", {"scaffold": scaffold})


def test_what_a_template_cannot_go_with_is_refused():
    domain = load("molecules", {"scaffold": "C[*]"})
    with pytest.raises(UserError, match=r"vary is 0\.2, and the options say what every item has"):
        check_settings(TrainConfig(domain="molecules", vary=0.2), domain)
    source = Source(new_model(), domain, TrainConfig(domain="molecules"), Path("run"), tuned=True)
    with pytest.raises(UserError, match="does not say in which spelling"):
        estimated_from(source, ["samples.csv"], "", "", 0)
    with pytest.raises(UserError, match="a record is learnt from as it stands"):
        check_settings(TrainConfig(domain="molecules", log=("a.csv",)), domain)
