"""Learning from a record: the optimum of the completed reward, that we reach it, and that nothing more is claimed."""

from __future__ import annotations

import csv
import json
import math
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from exact import LENGTH, MOVES, VOCABULARY, kl, world
from letters import LettersDomain, every, log_probabilities, new_model

from seqtutor import EOS
from seqtutor.cli import main
from seqtutor.config import TrainConfig
from seqtutor.objectives import load_objective
from seqtutor.offline import share_explained
from seqtutor.priors.files import save_model
from seqtutor.records import FEWEST, read_record
from seqtutor.rewards.scorer import Scorer
from seqtutor.runs.folder import RunFolder
from seqtutor.runs.recorded import certificate, weighted
from seqtutor.tuner import Tuner
from seqtutor.tuning import resume, tune

OFF_POLICY = ("tb", "vargrad", "dpg", "psi")
MANY = sorted({"".join(w) for n in (1, 2, 3) for w in product("abc", repeat=n) if "cc" not in "".join(w)})
WORDS = ["a", "ab", "abc", "ba", "bab", "ca", "cab", "bca", "acb", "b"]


def record_file(path, words=WORDS, values=None, **columns):
    """A CSV of words and values; `columns` beside."""
    rng = np.random.default_rng(5)
    values = rng.normal(size=len(words)) if values is None else values
    with Path(path).open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["word", "score", *columns])
        writer.writerows(zip(words, values, *columns.values(), strict=True))
    return str(path), dict(zip(words, values, strict=False))


def tuner_of(path, objective="tb", prior=None, **settings):
    given = {"domain": "letters", "log": (path,), "log_reward": ("score",), "temperature": 0.5, "learning_rate": 5e-3}
    more = {"batch": 64, "replay": 256, "rollouts": 64, "learning_steps": 2, **settings}
    config = TrainConfig(**{**given, "objective": objective, **more})
    return Tuner(LettersDomain(), config, prior or new_model(spread=1.0))


def completed(known, prior, tokens, c, unseen, invalid):
    """Pi~ over `tokens` by enumeration, and log Z~."""
    read = Scorer(LettersDomain(), ()).text
    texts = [read(row) if EOS in row else None for row in tokens.numpy()]
    rewards = np.array([invalid if text is None else known.get(text, unseen) for text in texts])
    logits = log_probabilities(prior, tokens).numpy() + rewards / c
    log_z = np.logaddexp.reduce(logits)
    return np.exp(logits - log_z), log_z


# --- the exact world: what each objective finds on a part of all words --------------------------------------------


def fit(objective, w, seen, reward, steps=300):
    """Pi over all words that an objective finds in a table, from the words that are `seen`."""
    b, rows = w.batch(), w.rows(w.prior)
    table = rows.log_softmax(-1).clone().requires_grad_(True)
    state = torch.zeros(len(rows), 1, dtype=torch.float64, requires_grad=True)
    weight = seen.double()
    if objective in ("vargrad", "dpg"):
        keep = weight > 0
        b, weight, reward = {k: v[keep] for k, v in b.items()}, weight[keep], reward[keep]

    def closure():
        optimiser.zero_grad()
        values = state[b["prefix"]] + table.log_softmax(-1)[b["prefix"]]
        target = anchor[b["prefix"]]
        numbers = {"temperature": w.temperature, **({"huber": math.inf} if objective in ("tb", "psi") else {})}
        parts = (values, target, b["prior_logp"], b["tokens"], reward, b["mask"])
        loss = (load_objective(objective)(*parts, **numbers) * weight).mean()
        loss.backward()
        return loss

    for _ in range(LENGTH + 1 if objective == "psi" else 1):
        anchor = (state + table.log_softmax(-1)).detach()
        optimiser = torch.optim.LBFGS(
            [table, state], max_iter=steps, tolerance_grad=1e-14, tolerance_change=1e-16, line_search_fn="strong_wolfe"
        )
        optimiser.step(closure)
    return np.exp(w.score_all(table.log_softmax(-1).detach()))


@pytest.fixture
def at_the_end():
    """A world whose reward is that of the finished word, and the reward (words, T) less the mean of those seen."""
    w = world(3, only_at_end=True)
    type(w).score_all = lambda self, rows: [
        self.score(dict(zip(self.prefixes, rows.numpy(), strict=True)), x) for x in self.sequences
    ]
    return w


@pytest.mark.parametrize("objective", OFF_POLICY)
def test_with_every_word_in_the_record_each_objective_reaches_the_optimum(objective, at_the_end):
    w = at_the_end
    found = fit(objective, w, torch.ones(len(w.sequences), dtype=torch.bool), w.batch()["reward"])
    assert kl(found, w.optimum()) < 1e-6


def psi_table(w, reward, seen, target_of):
    """A table of Psi whose seen entries are set to their one-step target until nothing moves; from log p on."""
    table = {prefix: row.copy() for prefix, row in w.prior.items()}
    for _ in range(LENGTH + 1):
        for x, r, known in zip(w.sequences, reward, seen, strict=True):
            for t, a in enumerate(x):
                if known:
                    table[x[:t]][a] = target_of(table, x, t, r if t + 1 == len(x) else 0.0)
    return table


def after(table, x, t):
    if t + 1 == len(x):
        return 0.0
    return float(np.logaddexp.reduce(table[x[: t + 1]][list(MOVES)]))


def policy_of(w, table):
    logs = {prefix: row - np.logaddexp.reduce(row[list(MOVES)]) for prefix, row in table.items()}
    return w.probabilities(logs)


def part_seen(w, share=0.3):
    rng = np.random.default_rng(1)
    seen = rng.random(len(w.sequences)) < share
    totals = np.array([w.score(w.reward, x) for x in w.sequences])
    return seen, totals


def test_one_step_psi_from_the_prior_is_the_optimum_with_unseen_words_at_the_centre(at_the_end):
    w = at_the_end
    seen, totals = part_seen(w)
    centre = totals[seen].mean()
    table = psi_table(
        w, totals - centre, seen, lambda q, x, t, r: w.prior[x[:t]][x[t]] + r / w.temperature + after(q, x, t)
    )
    logits = np.array([w.score(w.prior, x) for x in w.sequences]) + np.where(seen, totals, centre) / w.temperature
    wanted = np.exp(logits - np.logaddexp.reduce(logits))
    np.testing.assert_allclose(policy_of(w, table), wanted, rtol=1e-8)


def test_the_released_target_of_way_off_policy_raises_the_prior_to_c_over_1_plus_c_and_ours_does_not():
    """neural_chat, `--psi_learning --kl_control`: r + c (log p - log softmax Psi) + logsumexp Psi-: entropy twice."""
    w = world(3, only_at_end=True, temperature=0.5)
    c, totals = w.temperature, np.array([w.score(w.reward, x) for x in w.sequences])
    seen = np.ones(len(totals), bool)

    def theirs(q, x, t, r):
        log_pi = q[x[:t]] - np.logaddexp.reduce(q[x[:t]][list(MOVES)])
        return r + c * (w.prior[x[:t]][x[t]] - log_pi[x[t]]) + after(q, x, t)

    table = {prefix: row.copy() for prefix, row in w.prior.items()}
    for _ in range(200):  # damped: their target moves with the policy
        aims = {(x[:t], x[t]): theirs(table, x, t, r if t + 1 == len(x) else 0.0)
                for x, r in zip(w.sequences, totals, strict=True) for t in range(len(x))}  # fmt: skip
        for (prefix, a), aim in aims.items():
            table[prefix][a] += 0.7 * (aim - table[prefix][a])
    logs, values = {}, {}
    for prefix in reversed(w.prefixes):  # pi ~ p^(c/(1+c)) exp((r + V')/(1+c)), by backward recursion
        row = np.full(len(VOCABULARY), -np.inf)
        for a in MOVES:
            x = (*prefix, a)
            ends = a == EOS or len(x) == LENGTH
            gain = w.reward[prefix][a] if ends else values[x]
            row[a] = (c * w.prior[prefix][a] + gain) / (1 + c)
        logs[prefix] = row - np.logaddexp.reduce(row[list(MOVES)])
        values[prefix] = (1 + c) * np.logaddexp.reduce(row[list(MOVES)])
    np.testing.assert_allclose(policy_of(w, table), w.probabilities(logs), rtol=1e-6)
    ours = psi_table(w, totals, seen, lambda q, x, t, r: w.prior[x[:t]][x[t]] + r / c + after(q, x, t))
    assert kl(policy_of(w, ours), w.optimum()) < 1e-12
    assert kl(policy_of(w, table), w.optimum()) > 0.05


def test_the_certificate_holds_in_a_hundred_worlds():
    for seed in range(100):
        w = world(seed)
        seen, totals = part_seen(w, 0.2)
        least = totals.min()
        logits = np.array([w.score(w.prior, x) for x in w.sequences])
        tilted = logits + np.where(seen, totals, least) / w.temperature
        log_z = np.logaddexp.reduce(tilted)
        pi = np.exp(tilted - log_z)
        j = pi @ totals - w.temperature * kl(pi, np.exp(logits))
        assert j >= w.temperature * log_z - 1e-12


def test_where_another_speaker_answers_one_step_psi_is_right_and_tb_is_not():
    """I say a, the other says u by chance, I say b: no policy makes every path consistent, and tb fits all of them."""
    rng, c = np.random.default_rng(8), 0.5
    log_prior = torch.from_numpy(rng.normal(size=(5, 2))).log_softmax(-1)  # before a; before b, after each (a, u)
    answer, reward = np.array([[0.5, 0.5], [0.99, 0.01]]), rng.normal(size=(2, 2, 2)) * 1.5
    paths = list(product(range(2), repeat=3))
    place = torch.tensor([[0, 0, 1 + 2 * a + u] for a, u, _ in paths])
    tokens, mask = torch.tensor(paths), torch.tensor([[True, False, True]] * 8)
    prior_logp = log_prior[place].gather(-1, tokens[..., None])[..., 0] * mask
    pay = torch.zeros(8, 3, dtype=torch.float64)
    pay[:, 2] = torch.tensor([reward[path] for path in paths])
    weight = torch.tensor([answer[a, u] for a, u, _ in paths]) * prior_logp.sum(-1).exp()

    value_b = np.logaddexp.reduce(log_prior[1:].numpy() + reward.reshape(4, 2) / c, axis=-1).reshape(2, 2)
    exact = log_prior[0].numpy() + (answer * value_b).sum(-1)  # the mean over answers of the value behind each
    exact = np.exp(exact - np.logaddexp.reduce(exact))

    def found(objective):
        table = log_prior.clone().requires_grad_(True)
        for _ in range(3):
            target = table.detach().clone()
            optimiser = torch.optim.LBFGS([table], max_iter=500, tolerance_grad=1e-14, line_search_fn="strong_wolfe")

            def loss(optimiser=optimiser, target=target):
                optimiser.zero_grad()
                parts = (table[place], target[place], prior_logp, tokens, pay, mask)
                out = (load_objective(objective)(*parts, temperature=c, huber=math.inf) * weight).sum()
                out.backward()
                return out

            optimiser.step(loss)
        return table.detach()[0].softmax(-1).numpy()

    assert kl(exact, found("psi")) < 1e-10
    assert kl(exact, found("tb")) > 0.01


# --- our own code path, on words that can be listed ----------------------------------------------------------------


@pytest.mark.parametrize("objective", ["tb", "vargrad", "psi"])
def test_with_unscored_samples_an_objective_reaches_the_optimum_of_the_completed_reward(objective, tmp_path):
    path, known = record_file(tmp_path / "words.csv")
    settings = {"updates": 500, "unseen_share": 0.5, "learning_rate_end": 2e-4}
    settings |= {"span": 8, "target_rate": 0.2, "learning_steps": 6} if objective == "psi" else {}
    tuner = tuner_of(path, objective, **settings)
    for _ in range(500):
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
    assert record.sentence == ("11 lines of 10 texts (1 of them values of a text that has one already: all are kept)")


def test_a_fifth_of_the_groups_is_held_out_and_never_learnt_from(tmp_path):
    words = [
        w
        for w in [
            "a",
            "b",
            "c",
            "ab",
            "ba",
            "ac",
            "ca",
            "bc",
            "cb",
            "aba",
            "abc",
            "bab",
            "bac",
            "cab",
            "cba",
            "aab",
            "abb",
            "bba",
            "acb",
            "bca",
        ]
        if "cc" not in w
    ]
    path, _ = record_file(tmp_path / "w.csv", words, group=[f"g{i % 15}" for i in range(len(words))])
    offline = tuner_of(path).offline
    assert offline is not None
    held = set(offline.groups.tolist())
    assert len(held) == 3
    rows = {tuple(row[row != 0].tolist()) for row in offline.held.tokens}
    learnt = {tuple(row[row != 0].tolist()) for row in offline.learnt.tokens}
    assert not rows & learnt
    assert len(rows) + len(learnt) == len(words)


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


# --- runs ------------------------------------------------------------------------------------------------------------


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


@pytest.fixture
def elsewhere(installed, tmp_path, monkeypatch):
    """A folder of its own with a small prior and a record."""
    monkeypatch.chdir(tmp_path)
    Path("prior").mkdir()
    save_model(new_model(spread=1.0, hidden=8), Path("prior"), "model", domain="letters")
    record_file("words.csv")
    return tmp_path


def train(*args):
    base = ["train", "--domain", "letters", "--prior", "./prior", "--rollouts", "8", "--batch", "8", "--samples", "20"]
    return CliRunner().invoke(main, [*base, "--updates", "3", "--objective", "tb", *map(str, args)])


def line(result):
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == 1, result.output
    assert result.stderr.count("\n") == 1, result.stderr
    return result.stderr.strip()


def test_one_command_from_a_table_to_a_tuned_model_and_its_page(elsewhere):
    with Path("words.csv").open("a") as file:
        file.write("xyz,1\nab,high\nba,\nab,2.5\n")
    result = train("--log", "words.csv", "--log-reward", "score", "--transform", "score=sigmoid,low=-1,high=1",
                   "--output", "run")  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "11 lines of 10 texts" in result.output
    assert "left out: words.csv:12: 'xyz'" in result.output
    assert "left out: words.csv:13: score is 'high', and a number is needed" in result.output
    assert "nobody knows the reward of the samples" in result.output
    assert "reward nan" not in result.output
    summary = json.loads(Path("run/summary.json").read_text())
    assert summary["oracle_calls"] == 0
    assert summary["reward"]["policy"]["mean"] is None
    assert summary["record"]["lines"] == 11
    page = Path("run/report.html").read_text()
    assert "Learnt from a record" in page
    assert "mean reward went from" not in page
    assert not Path("run/ledger.csv").exists()


def test_a_changed_record_is_refused_by_name_and_an_unchanged_one_goes_on(elsewhere):
    assert train("--log", "words.csv", "--log-reward", "score", "--output", "run").exit_code == 0
    on = CliRunner().invoke(main, ["train", "--resume", "run", "--updates", "5"])
    assert on.exit_code == 0, on.output
    with Path("words.csv").open("a") as file:
        file.write("bb,1\n")
    result = CliRunner().invoke(main, ["train", "--resume", "run", "--updates", "6"])
    assert "the record words.csv has changed since this run began" in line(result)


def test_a_runs_ledger_and_samples_are_records(elsewhere):
    assert train("--output", "old").exit_code == 0
    for log, column in (("old", "reward"), ("old/ledger.csv", "reward"), ("old/samples.csv", "variety"),
                        ("old", "variety")):  # fmt: skip
        result = train("--log", log, "--log-reward", column, "--output", f"new{len(list(Path().iterdir()))}")
        if "different texts" not in result.output:  # an unlucky prior writes few words
            assert result.exit_code == 0, result.output


def test_json_lines_are_read_and_bad_ones_named(elsewhere):
    rows = [json.dumps({"text": word, "score": i}) for i, word in enumerate(WORDS)]
    Path("w.jsonl").write_text("\n".join([*rows, "{", '{"text": "ab"}']) + "\n")
    result = train("--log", "w.jsonl", "--log-reward", "score", "--output", "run")
    assert result.exit_code == 0, result.output
    assert "w.jsonl:11: no JSON object" in result.output
    assert "w.jsonl:12: score is 'empty', and a number is needed" in result.output


CASES = {
    "missing.csv": (None, "there is no record missing.csv"),
    "empty.csv": ("", "the record empty.csv is empty"),
    "head.csv": ("word,score\n", "the record head.csv is empty"),
    "other.csv": ("word,points\na,1\n", "has no column 'score' (it has: word, points); name one with --log-reward"),
    "one.csv": ("word,score\nab,1\n", f"has 1 different texts that can be learnt from, and {FEWEST} are needed"),
    "alike.csv": ("word,score\n" + "".join(f"{w},2\n" for w in WORDS), "says the same of every text (score is 2)"),
    "strange.csv": ("word,score\nxx,1\nyy,2\n", "has no column of items of domain 'letters' (it has: word, score)"),
    "words.csv": ("text,score\n" + "".join(f"{w},much\n" for w in WORDS), "score is 'much', and a number is needed"),
    "pictures.png": ("x", "its name must end in one of .csv, .tsv, .jsonl"),
    "bytes.csv": ("a\0b", "is not a text file"),
}


@pytest.mark.parametrize("name", CASES)
def test_what_cannot_be_learnt_from_is_one_clear_line(name, elsewhere):
    content, said = CASES[name]
    if content is not None:
        Path(name).write_text(content)
    assert said in line(train("--log", name, "--log-reward", "score", "--output", "run"))
    assert not Path("run").exists()


def test_a_folder_with_nothing_readable_and_settings_that_need_an_oracle_are_one_clear_line(elsewhere):
    Path("folder").mkdir()
    assert "the folder folder holds no record" in line(train("--log", "folder", "--log-reward", "score"))
    common = ("--log", "words.csv", "--log-reward", "score")
    on_policy = CliRunner().invoke(main, ["train", "--domain", "letters", "--prior", "./prior", *common,
                                          "--objective", "reinforce"])  # fmt: skip
    assert "objective 'reinforce' learns from its own samples only" in line(on_policy)
    assert "unseen must be mean, min or a number" in line(train(*common, "--unseen", "low"))
    assert "vary is 0.5; it needs rewards of new texts" in line(train(*common, "--vary", "0.5"))
    assert "no term of this reward asks an oracle" in line(train(*common, "--oracle-calls", "5"))
    assert "priority is not for a run" in line(train(*common, "--priority", "error"))
    assert "has no column 'name' of texts" in line(train(*common, "--log-text", "name"))


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


# --- evaluate --log -----


def evaluate(*args):
    return CliRunner().invoke(main, ["evaluate", *map(str, args)])


def test_a_runs_samples_estimate_another_run_and_agree_with_its_own_table(elsewhere):
    wide = ("--rollouts", "32", "--samples", "600", "--updates", "20")
    for name in ("old", "new"):
        assert train(*wide, "--output", name, "--seed", len(name) + (name == "new")).exit_code == 0
    result = evaluate("./new", "--log", "old/samples.csv", "--json")
    assert result.exit_code == 0, result.output
    found, table = json.loads(result.output), json.loads(Path("new/summary.json").read_text())
    with Path("new/samples.csv").open(newline="") as file:
        items = [float(r["reward"]) for r in csv.DictReader(file) if r["model"] == "policy" and r["text"]]
    assert abs(found["reward"][0] - np.mean(items)) < found["reward"][1] + 3 * np.std(items) / math.sqrt(len(items))
    assert abs(found["kl"][0] - table["kl"]["sequence"]) < 0.2
    assert 30 < found["effective"] <= 1200
    said = evaluate("./new", "--log", "old").output
    assert "effective sample size" in said


def test_a_record_too_far_from_the_policy_is_refused_with_the_number(elsewhere):
    assert train("--output", "new").exit_code == 0
    record_file("far.csv", MANY, np.arange(len(MANY)), logp=[-1.0 - i for i in range(len(MANY))])
    said = line(evaluate("./new", "--log", "far.csv", "--log-reward", "score"))
    assert "its 33 lines are worth" in said
    assert "and 30 are needed" in said


def test_a_record_of_an_unknown_writer_is_refused_and_a_ledger_says_why(elsewhere):
    assert train("--output", "new", "--rollouts", "32").exit_code == 0
    assert "that needs a column logp (nats)" in line(evaluate("./new", "--log", "words.csv", "--log-reward", "score"))
    said = line(evaluate("./new", "--log", "new/ledger.csv"))
    assert "as many policies as its run had updates" in said or "different texts" in said
    assert "has no column 'reward'" in line(evaluate("./new", "--log", "words.csv"))
