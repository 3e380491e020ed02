"""Learning from a record: that our own path reaches the completed optimum, resumes, and claims nothing more."""

from __future__ import annotations

import csv
import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from exact import kl
from letters import LettersDomain, every, log_probabilities
from scored import MANY, WORDS, completed, record_file, tuner_of

from seqtutor import EOS, SequenceTerm, UserError
from seqtutor.config import changed
from seqtutor.records import read_record
from seqtutor.records.offline import share_explained
from seqtutor.records.recorded import certificate, weighted
from seqtutor.rewards.scorer import Scorer
from seqtutor.runs.folder import RunFolder
from seqtutor.training.tuning import resume, tune


@pytest.mark.parametrize("objective", ["tb", "psi"])
def test_with_unscored_samples_an_objective_reaches_the_optimum_of_the_completed_reward(objective, tmp_path):
    path, known = record_file(tmp_path / "words.csv")
    updates = 300 if objective == "psi" else 350
    settings = {"updates": updates, "unseen_share": 0.5, "learning_rate_end": 2e-4}
    settings |= {"span": 8, "target_rate": 0.2, "learning_steps": 6} if objective == "psi" else {}
    tuner = tuner_of(path, objective, **settings)
    for _ in range(updates):
        tuner.step()
    tokens, values = every(4), np.array(list(known.values()))
    wanted, _ = completed(known, tuner.prior, tokens, 0.5, values.mean(), values.min())
    found = np.exp(log_probabilities(tuner.policy, tokens).numpy())
    assert kl(np.exp(log_probabilities(tuner.prior, tokens).numpy()), wanted) > 0.2
    assert kl(found, wanted) < 0.01
    assert tuner.scorer.calls == 0


def test_log_z_of_the_record_is_the_enumerated_one(tmp_path):
    path, known = record_file(tmp_path / "words.csv")
    tuner = tuner_of(path, unseen="min")
    tokens, least = every(4), min(known.values())
    _, log_z = completed(known, tuner.prior, tokens, 0.5, least, least)
    read = Scorer(LettersDomain(), ()).text
    valid = np.array([EOS in row and read(row) is not None for row in tokens.numpy()])
    share = float(np.exp(log_probabilities(tuner.prior, tokens).numpy())[valid].sum())
    assert tuner.offline is not None
    assert tuner.offline.log_z(0.5, share) == pytest.approx(log_z, abs=1e-5)
    sure = certificate(tuner.offline, tuner.config, log_z, 0.5)
    assert sure["bound"] == 0.5 * log_z
    assert "worse than the worst" in sure["why"]


def test_two_values_of_one_text_are_kept_and_said(tmp_path):
    path, _ = record_file(tmp_path / "w.csv", [*WORDS, "ab"], [*range(10), 3.0])
    record = read_record(LettersDomain(), [path], {"score": "score"})
    assert len(record.lines) == 11
    assert record.means()["score"]["ab"] == 2.0
    twice = "1 of them values of a text that has one already: all are kept"
    assert record.sentence == f"11 lines of 10 texts, which stand in column word ({twice})"


def test_a_fifth_of_the_groups_is_held_out_and_never_learnt_from(tmp_path):
    path, _ = record_file(tmp_path / "w.csv", MANY, group=[f"g{i % 15}" for i in range(len(MANY))])
    offline = tuner_of(path).offline
    assert offline is not None
    held = set(offline.groups.tolist())
    assert len(held) == 3
    rows = {tuple(row[row != 0].tolist()) for row in offline.held.tokens}
    learnt = {tuple(row[row != 0].tolist()) for row in offline.learnt.tokens}
    assert not rows & learnt
    assert len(rows) + len(learnt) == len(MANY)


def test_the_share_explained_is_0_at_the_prior_and_1_at_the_optimum():
    rng = np.random.default_rng(0)
    reward, groups = rng.normal(size=50), np.arange(50.0)
    assert share_explained(reward, np.zeros(50), groups) == (0.0, 0.0)
    assert share_explained(reward, reward + 3, groups).mean == pytest.approx(1.0)
    assert share_explained(reward, -reward, groups).mean == pytest.approx(-3.0)
    assert math.isnan(share_explained(np.ones(5), np.zeros(5), groups[:5]).mean)


def test_the_interval_of_the_share_explained_covers():
    rng, hits = np.random.default_rng(1), 0
    for _ in range(400):
        x = rng.normal(size=200)
        found = share_explained(x + rng.normal(size=200), x, np.arange(200.0))
        hits += abs(found.mean - 0.5) < found.halfwidth
    assert 0.91 < hits / 400 < 0.98


def test_few_groups_are_not_sure_of_it():
    """What is found by chance lies beyond the interval no more often where only a few groups tell."""
    for count in (3, 6, 12):
        rng, wrong = np.random.default_rng(count), 0
        for _ in range(400):
            groups = np.repeat(np.arange(count), 12)
            own = rng.normal(size=(2, count))[:, groups]  # reward and policy have their own level in each group
            found = share_explained(own[0] + rng.normal(size=len(groups)), own[1], groups.astype(float))
            wrong += found.mean - found.halfwidth > 0
        assert wrong / 400 < 0.06
    for groups in (np.zeros(4), np.array([0.0, 1, 0, 1])):
        assert math.isnan(share_explained(np.arange(4.0), np.zeros(4), groups).mean)


@pytest.mark.parametrize(("count", "least"), [(3, 0.78), (15, 0.85), (60, 0.9)])
def test_what_the_interval_over_groups_of_unequal_sizes_covers_is_what_is_said(count, least):
    rng, hits = np.random.default_rng(count), 0
    for _ in range(400):
        place = np.repeat(np.arange(count), rng.integers(1, 30, count))
        own, noise = rng.normal(size=count)[place], rng.normal(size=(2, len(place)))
        found = share_explained(own + noise[0], 0.7 * own + 0.3 * noise[1], place.astype(float))
        hits += abs(found.mean - (1 - (0.09 + 1.09) / 2)) < found.halfwidth
    assert hits / 400 > least


def test_a_text_of_several_groups_makes_one_of_them(tmp_path):
    words = [*WORDS, "a", "ab"]
    groups = [*(f"plate{i % 3}" for i in range(len(WORDS))), "plate1", "other"]
    path, _ = record_file(tmp_path / "w.csv", words, group=groups)
    record = read_record(LettersDomain(), [path], {"score": "score"})
    found = {line.text: line.group for line in record.lines}
    assert [line.group for line in record.lines] == [found[line.text] for line in record.lines]
    assert found["a"] == found["ab"] == found["ba"] == "plate0"  # a stands on plates 0 and 1, ab on 1 and another
    assert found["abc"] == "plate2"


def test_a_line_on_which_a_computed_term_failed_is_left_out(tmp_path, monkeypatch):
    words = [*WORDS, "bb", "aa", "aab"]
    path, values = record_file(tmp_path / "words.csv", words)
    failing = SequenceTerm("odd", 0.0, "", "", lambda texts: [float("nan") if "c" in t else 1.0 for t in texts])
    monkeypatch.setattr(LettersDomain, "terms", lambda self: [failing])
    tuner = tuner_of(path, weights={"odd": -1.0})
    kept = [word for word in words if "c" not in word]
    assert [line.text for line in tuner.offline.record.lines] == kept
    assert len(tuner.offline.batch) == len(kept) < len(words)
    lost = [(one.text, one.problem) for one in tuner.offline.record.problems]
    assert lost == [(word, "term 'odd' failed") for word in words if "c" in word]
    worth = tuner.offline.worth(tuner.offline.batch).sum(-1).tolist()
    assert worth == pytest.approx([values[word] - 1 for word in kept], abs=1e-6)
    failing = replace(failing, values=lambda texts: [float("nan")] * len(texts))
    with pytest.raises(UserError, match=r"0 different texts have a reward, and 8 are needed: words.csv:2: term 'odd'"):
        tuner_of(path, weights={"odd": -1.0})


def test_the_evidence_for_another_reward_keeps_no_policy(tmp_path):
    values = [word.count("a") - word.count("b") for word in MANY]
    path, _ = record_file(tmp_path / "w.csv", MANY, values, group=[f"g{i}" for i in range(len(MANY))])
    run = run_in(tmp_path / "run")
    before = tuner_of(path, updates=8)
    tune(before, run, lambda row: None)
    for weights, same in (({}, True), ({"score": -1.0}, False)):
        again = tuner_of(path, updates=9, weights=weights)
        resume(again, run)
        assert (again.best_evidence == before.best_evidence) == same
    low = again.offline.evidence(again.healthy, again.dial.temperature)[1]
    assert again.best_evidence == low < before.best_evidence


def test_old_samples_estimate_another_policy_with_an_interval_that_covers():
    rng, p, hits = np.random.default_rng(2), np.full(8, 1 / 8), 0
    reward = rng.normal(size=8)
    pi = np.exp(reward) / np.exp(reward).sum()
    for _ in range(500):
        drawn = rng.choice(8, 300, p=p)
        noisy = reward[drawn] + 0.3 * rng.normal(size=300)
        found, worth = weighted(noisy, np.log(pi[drawn] / p[drawn]))
        hits += abs(found.mean - pi @ reward) < found.halfwidth
    assert 0.92 < hits / 500 < 0.98
    assert 100 < worth < 300


def rows_of(run):
    with (run.folder / "metrics.csv").open(newline="") as file:
        return [{**row, "seconds": ""} for row in csv.DictReader(file)]


def run_in(folder):
    folder.mkdir()
    return RunFolder(folder)


def test_a_run_on_a_record_resumes_exactly(tmp_path):
    words = MANY
    path, _ = record_file(tmp_path / "w.csv", words, group=[f"g{i}" for i in range(len(words))])
    more = {"updates": 6, "unseen_share": 0.25}
    whole, parts = run_in(tmp_path / "whole"), run_in(tmp_path / "parts")
    straight = tuner_of(path, **more)
    tune(straight, whole, lambda row: None)

    def stop(row):
        if row["update"] == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tune(tuner_of(path, **more), parts, stop)
    again = tuner_of(path, **more)
    resume(again, parts)
    tune(again, parts, lambda row: None)
    assert again.best_evidence == straight.best_evidence > -math.inf
    assert (parts.folder / "policy.safetensors").read_bytes() == (whole.folder / "policy.safetensors").read_bytes()
    tables = [rows_of(run) for run in (whole, parts)]
    assert tables[0] == tables[1]
    assert all(row["reward"] == "" for row in tables[0])
    assert float(tables[0][0]["explained"]) == pytest.approx(0, abs=1e-6)


def test_terms_that_are_named_are_computed_beside_the_record(tmp_path):
    path, _ = record_file(tmp_path / "words.csv")
    tuner = tuner_of(path, weights={"variety": 0.2})
    assert [term.name for term in tuner.scorer.terms] == ["variety", "score"]
    tuner.step()
    assert tuner.scorer.calls > 0
    assert certificate(tuner.offline, tuner.config, 0.0, 0.5)["why"].startswith("the term variety is computed")


def test_a_certificate_needs_a_reward_that_nothing_falls_below(tmp_path):
    path, _ = record_file(tmp_path / "words.csv")
    none = tuner_of(path)
    assert "that needs --unseen min" in certificate(none.offline, none.config, 0.0, 0.5)["why"]
    table = {"score": {"transform": {"kind": "sigmoid", "low": -1.0, "high": 1.0}}}
    sure = tuner_of(path, terms=table, unseen="0")
    assert certificate(sure.offline, sure.config, -1.0, 0.5) == {"bound": -0.5, "why": ""}


def test_the_delimiter_is_the_one_that_makes_columns(tmp_path):
    """A comma within a quoted name was taken for it."""
    path = tmp_path / "words.csv"
    path.write_text('"text, canonical";"score"\n' + "".join(f'"{word}";{len(word)}\n' for word in MANY))
    assert len(read_record(LettersDomain(), [str(path)], {"score": "score"}).texts) == len(MANY)


def test_a_group_called_0_is_a_group(tmp_path):
    rows = [{"text": word, "reward": float(i), "group": i % 2} for i, word in enumerate(WORDS)]
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    record = read_record(LettersDomain(), [str(path)], {"reward": "reward"})
    assert {line.group for line in record.lines} == {"0", "1"}


def read(tmp_path, rows, text="", column="reward"):
    (path := tmp_path / "a.csv").write_bytes(rows.encode())
    return read_record(LettersDomain(), [str(path)], {column: column}, text)


def test_of_two_columns_of_items_the_one_with_more_of_them_is_taken_and_said(tmp_path):
    rows = [f"a,{word},{i}" for i, word in enumerate(WORDS)]
    record = read(tmp_path, "\n".join(["R1,word,reward", *rows]))
    assert set(record.texts) == set(WORDS)
    assert "which stand in column word" in record.sentence


def test_of_two_columns_of_one_name_neither_is_taken_unasked(tmp_path):
    rows = "\n".join(["text,reward,reward", *(f"{word},{i},0" for i, word in enumerate(WORDS))])
    with pytest.raises(UserError, match=r"no column 'reward' \(it has: text, reward \(column 2\), reward \(column 3\)"):
        read(tmp_path, rows)
    assert read(tmp_path, rows, column="reward (column 2)").lines[-1].values == [len(WORDS) - 1]


def test_where_no_line_can_be_read_the_first_is_said(tmp_path):
    with pytest.raises(UserError, match=r"no line that can be read: a.csv:2: 3 cells, and the header has 2"):
        read(tmp_path, "text,reward\n" + "".join(f"{word},{i},5\n" for i, word in enumerate(WORDS)))


def test_a_line_of_json_may_hold_what_parts_lines_elsewhere(tmp_path):
    rows = [{"text": word, "score": 1.0 * i, "note": "one\u2028two\x0cthree"} for i, word in enumerate(WORDS)]
    text = "\r\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    (tmp_path / "w.jsonl").write_bytes(text.encode())
    record = read_record(LettersDomain(), [str(tmp_path / "w.jsonl")], {"score": "score"})
    assert [line.text for line in record.lines] == WORDS
    assert not record.problems


def test_padded_cells_and_lines_that_end_in_cr_are_read(tmp_path):
    rows = "\r".join(["word,reward", *(f"  {word} ,{i}" for i, word in enumerate(WORDS))])
    assert set(read(tmp_path, rows).texts) == set(WORDS)


def test_a_cell_without_a_number_is_said_as_it_stands(tmp_path):
    rows = [{"text": word, "reward": float(i)} for i, word in enumerate(MANY)]
    rows[0]["reward"], rows[1]["reward"] = True, None
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    problems = read_record(LettersDomain(), [str(path)], {"reward": "reward"}).problems
    assert [one.problem for one in problems] == [
        f"reward is {said}, and a number is needed" for said in ("True", "empty")
    ]


def test_an_item_of_another_length_is_told_the_length_of_items(tmp_path):
    rows = "\n".join(["text,reward", *(f"{word},{i}" for i, word in enumerate(MANY)), "abcabcabcabcabcabcabc,1"])
    problem = read(tmp_path, rows).problems[0].problem
    assert problem.endswith(f"it has 22 tokens, and items of this domain have at most {LettersDomain().max_length}")


@pytest.mark.parametrize("column", ["IC50 (nM)", "IC50=nM", "term.nM"])
def test_a_column_is_read_as_a_term_of_another_name(column, tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("".join([f"word,{column}\n", *(f"{word},{i}\n" for i, word in enumerate(WORDS))]))
    said = "IC50=nM" if "nM" in column and "(" not in column else f"IC50={column}"
    tuner = tuner_of(path, log_reward=(said,))
    assert [term.name for term in tuner.scorer.terms if term.weight] == ["IC50"]
    assert tuner.scorer.recorded["IC50"][WORDS[3]] == 3.0
    again = changed(tuner.config, seed=1)
    assert again.terms == tuner.config.terms


def test_a_config_whose_table_names_the_column_needs_no_more(tmp_path):
    path, known = record_file(tmp_path / "words.csv")
    tuner = tuner_of(path, log_reward=(), terms={"liked": {"record": "score"}})
    assert tuner.scorer.recorded == {"liked": pytest.approx(known)}


def test_a_column_that_cannot_name_a_term_is_told_how_it_is_named(tmp_path):
    with pytest.raises(UserError, match=r"give one, --log-reward 'NAME=IC50 \(nM\)'"):
        tuner_of("a.csv", log_reward=("IC50 (nM)",))
    with pytest.raises(UserError, match="log_reward names 'a' twice, the second time as 'a=y'"):
        tuner_of("a.csv", log_reward=("a=x", "a=y"))


@pytest.mark.parametrize("again", ["words.csv", "./x/../words.csv", "copy.csv", "."])
def test_a_record_that_is_given_twice_is_refused(again, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("x").mkdir()
    record_file("words.csv")
    if again == "copy.csv":
        shutil.copy("words.csv", again)
    with pytest.raises(UserError, match=r"(words|copy)\.csv holds the same as words\.csv: its lines would count twice"):
        read_record(LettersDomain(), ["words.csv", again], {"score": "score"})


@pytest.mark.parametrize("above", ["\n\n", "# measured; in 2024\n", ",,\n#\n\n"])
def test_a_header_behind_blank_lines_and_comments_is_found(above, tmp_path):
    rows = "\n".join(["word,reward", *(f"{word},{i}" for i, word in enumerate(WORDS)), "zz,1"])
    record = read(tmp_path, above + rows)
    assert record.texts == WORDS
    assert [one.where for one in record.problems] == [f"a.csv:{len(WORDS) + 2 + above.count(chr(10))}"]


@pytest.mark.parametrize("objective", ["ipo", "dpo"])
def test_a_loss_of_neighbours_sees_a_line_beside_an_unseen_text(objective, tmp_path):
    """Lines came first and the policy's own behind, so that no pair told what the record is worth beside the rest."""
    path, known = record_file(tmp_path / "words.csv")
    tuner = tuner_of(path, objective, unseen_share=0.5, batch=16)
    tuner.step()
    mixed = 0
    for batch in (one for _ in range(10) for one in tuner.stored()):
        seen = [tuner.scorer.text(row) in known for row in batch.tokens.numpy()]
        mixed += sum(first != second for first, second in zip(seen[::2], seen[1::2], strict=True))
    assert mixed > 20


def test_a_batch_of_one_is_a_line_of_the_record(tmp_path):
    path, _ = record_file(tmp_path / "words.csv")
    tuner = tuner_of(path, unseen_share=0.9, batch=1)
    tuner.step()
    assert [len(batch) for batch in tuner.stored()] == [1] * tuner.settings.learning_steps
