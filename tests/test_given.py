"""Steps that are given: a primer out of a file, the kept parts of an item, and what leads to them."""

from __future__ import annotations

import csv
import re
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from letters import A, B, C, new_model

from seqtutor import PAD, UserError, load
from seqtutor.cli import main
from seqtutor.priors.given import behind, given_steps, items_of
from seqtutor.priors.sampling import logp_of, sample, sample_tokens
from seqtutor.priors.script import Fixed
from seqtutor.runs.drawing import choose, open_model, sequences_of

MUSIC = load("music", {"bars": 2})
TUNE = " ".join(["C4", "-"] * 8 + ["G4", "."] * 8)


def test_given_steps_are_nobodys_choice_wherever_they_stand():
    model = new_model(seed=3, fixed_length=True)
    given = torch.tensor([PAD, A, PAD, C])
    rollout = sample(model, model, 3000, 4, torch.Generator().manual_seed(0), Fixed(given))
    assert (rollout.tokens[:, [1, 3]] == torch.tensor([A, C])).all()
    assert (rollout.mask == torch.tensor([True, False, True, False])).all()
    assert (rollout.logp[:, [1, 3]] == 0).all()
    first, third = rollout.tokens[:, 0], rollout.tokens[:, 2]
    expected = model(torch.tensor([[B, A, A]]))[0, 2].exp()[B]  # p(b | b a)
    share = (third[first == B] == B).float().mean()
    assert abs(share - expected) < 4 * (expected * (1 - expected) / (first == B).sum()).sqrt()


def test_what_has_ended_gets_no_given_steps():
    tokens = sample_tokens(
        new_model(seed=1), 500, 4, torch.Generator().manual_seed(0), script=Fixed(torch.tensor([PAD, PAD, A]))
    )
    ended = (tokens[:, :2] == 2).any(-1)
    assert ended.any()
    assert (tokens[ended, 2] == PAD).all()
    assert (tokens[~ended, 2] == A).all()


def test_kept_bars_stand_where_they_were():
    given = given_steps(MUSIC, revise=TUNE, keep="2")
    ids = MUSIC.vocabulary.encode(TUNE.split())
    assert given.ids.tolist() == [PAD] * 16 + ids[16:]


def test_of_a_file_with_one_item_that_can_be_read_the_others_do_not_matter(tmp_path):
    """A book with a tune in triplets could not be a primer, whatever else stood in it."""
    good, bad = "K:C\nC2E2 G4 c4 G4|]", "K:C\n(3CDE G2 c4 G4 C2|]"
    book = tmp_path / "book.abc"
    book.write_text(f"X:1\nM:4/4\nL:1/16\n{good}\n\nX:2\nM:4/4\nL:1/16\n{bad}\n")
    assert len(given_steps(MUSIC, primer=str(book)).ids) == 16
    with pytest.raises(UserError, match=r"book.abc X:2: bar 1 has a note that is not on the sixteenth grid"):
        items_of(MUSIC, str(book))
    book.write_text(f"X:1\nM:4/4\nL:1/16\n{bad}\n")
    with pytest.raises(UserError, match="X:1: bar 1 has a note"):
        given_steps(MUSIC, primer=str(book))


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"revise": TUNE}, "--revise ITEM and --keep PARTS go together"),
        ({"keep": "1"}, "go together"),
        ({"revise": TUNE, "keep": "1", "primer": "C4"}, "give one of them"),
        ({"revise": TUNE, "keep": "3"}, "--keep has '3', and there are 1 to 2"),
        ({"revise": TUNE, "keep": "2-1"}, "--keep has '2-1', and there are 1 to 2"),
        ({"revise": TUNE, "keep": "one"}, "such as 1-2,4, not 'one'"),
        ({"revise": TUNE, "keep": "9" * 5000}, "such as 1-2,4, not '9{57}...'$"),
        ({"revise": TUNE, "keep": "1-2"}, "nothing is left to write"),
        (
            {"revise": "C4 -", "keep": "1"},
            r"revise has 2 tokens (0.125 parts.; here an item has 32 tokens (2 parts",
        ),
        ({"primer": "tune.mid"}, "event 1 is 'tune.mid'.*; nor is there a file of that name"),
        ({"primer": "C" + "9" * 5000}, "event 1 is 'C9{56}...'; an event is"),
        (
            {"primer": TUNE},
            r"the primer has 32 tokens (2 parts. and an item at most 32 tokens (2 parts.: nothing is left to write",
        ),
    ],
)
def test_what_cannot_be_given_is_said_in_a_line(asked, said):
    with pytest.raises(UserError, match=said.replace("(", r"\(")):
        given_steps(MUSIC, **asked)


def test_items_that_end_anywhere_cannot_be_revised():
    molecules = load("molecules")
    with pytest.raises(UserError, match="fixed length"):
        given_steps(molecules, revise="CCO", keep="1")
    with pytest.raises(UserError, match="no item of domain"):
        behind(molecules, "CCO", 1)


def test_a_primer_is_a_text_or_a_file_of_one_item(tmp_path):
    file = tmp_path / "tune.txt"
    file.write_text("E4 - D4 -\n")
    assert given_steps(MUSIC, primer=str(file)).ids.tolist() == given_steps(MUSIC, primer="E4 - D4 -").ids.tolist()
    file.write_text("E4 -\nD4 -\n")
    assert items_of(MUSIC, str(file)) == ["E4 -", "D4 -"]
    with pytest.raises(UserError, match="holds 2 items"):
        given_steps(MUSIC, primer=str(file))
    file.write_text("E4 - H9\n")
    with pytest.raises(UserError, match=r"tune\.txt, line 1: event 3 is 'H9'"):
        given_steps(MUSIC, primer=str(file))


def test_many_draws_keep_what_leads_to_the_given_steps():
    """A model does not look ahead: of many draws those are kept after which the given bar is likely."""
    source = open_model("music", {"bars": 2})
    domain = source.domain
    given = given_steps(domain, revise="C4 - - - " * 4 + "A4 - - - G4 - - - F4 - - - E4 - - -", keep="2")
    with closing(source.scorer()) as scorer:
        scores, kept = choose(source, scorer, 4, 200, seed=0, temperature=1e6, script=given)
    any_of = sequences_of(source.model, domain, 100, 1, script=given)[0]
    chosen = np.array([domain.vocabulary.encode(domain.encode(text)) for text in scores.texts])
    ahead, blind = (logp_of(source.prior, torch.from_numpy(ids))[:, 16:].sum(-1).mean() for ids in (chosen, any_of))
    assert ahead > blind + 2  # nats
    assert abs(kept.kl) < 1e-3  # from the prior given that bar; the reward hardly counts here


PRIMER = "C4 - - - D4 - - - E4 - - - F4 - - - - - E4 -"  # its F sounds on in the second bar


def test_the_command_revises_and_leaves_out_the_primer(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("tune.txt").write_text(TUNE)
    for args in (
        ["-n", "3", "--bars", "2", "--revise", "tune.txt", "--keep", "2", "--output", "new"],
        ["-n", "3", "--bars", "2", "--primer", PRIMER, "--without-primer", "--output", "on"],
    ):
        result = CliRunner().invoke(main, ["generate", "music", *args])
        assert result.exit_code == 0, result.output
    rows = list(csv.DictReader(Path("new/samples.csv").read_text().splitlines()))
    bars = [row["text"].split() for row in rows]
    assert all(bar[16:] == TUNE.split()[16:] for bar in bars)
    assert len({tuple(bar[:16]) for bar in bars}) == 3
    rows = list(csv.DictReader(Path("on/samples.csv").read_text().splitlines()))
    assert all(row["text"].startswith(PRIMER) for row in rows)
    for number, row in enumerate(rows, 1):  # the second bar, in which the primer ends
        (found,) = MUSIC.read(Path(f"on/{number:04}.mid"))
        assert found.text.split() == ["F4", *row["text"].split()[17:]]
    chords = ["--chords", "C | G7 | Am", "--formats", "musicxml"]
    command = ["generate", "music", "-n", "1", "--bars", "3", "--primer", PRIMER, "--without-primer", *chords]
    assert CliRunner().invoke(main, [*command, "--output", "later"]).exit_code == 0
    (score,) = Path("later").glob("*.musicxml")
    assert re.findall("<root-step>(.)", score.read_text()) == ["G", "A"]  # the primer has the bar of C
    refused = CliRunner().invoke(main, ["generate", "music", "--without-primer"])
    assert "give --primer too" in refused.output


@pytest.mark.parametrize(
    "args",
    [
        ["music", "-n", "1", "--bars", "6", "--tonic", "Dm"],
        ["-n", "1", "--bars", "6", "music", "--tonic", "Dm"],
        ["--trust", "music", "--tonic=Dm", "--bars=6", "-n1"],
        ["--tonic", "Dm", "-n1", "--bars", "6", "--trust", "music"],
    ],
)
def test_options_of_the_domain_are_known_wherever_the_model_stands(args, tmp_path, monkeypatch):
    """Six bars are more than the prior was made for: it knows how much is left until the end."""
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["generate", *args, "--output", "out"])
    assert result.exit_code == 0, result.output
    (row,) = csv.DictReader(Path("out/samples.csv").read_text().splitlines())
    assert len(row["text"].split()) == 96
    assert "#" not in row["text"]  # a key with a flat is spelt with flats
