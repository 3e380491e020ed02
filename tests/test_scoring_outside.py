"""Terms from outside: a function, a program, and what a hostile one can do to a run: nothing but fail."""

from __future__ import annotations

import os
import shutil
import sys
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from letters import LettersDomain, Options, ids

from seqtutor import SequenceTerm, UserError
from seqtutor.rewards import programs
from seqtutor.rewards.scorer import Scorer
from seqtutor.rewards.terms import settings_of, weighted_terms

DOMAIN = LettersDomain()
WORDS = ("abc", "ab", "a", "bca")
LIMITS = {"timeout": 20.0}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def scorer_of(table, **settings):
    tables = settings_of({"outside": {**LIMITS, **table}})
    terms = [term for term in weighted_terms(DOMAIN, {}, tables) if term.name == "outside"]
    return closing(Scorer(DOMAIN, terms, settings=tables, **settings))


def score(scorer, *words):
    return scorer.score(ids(*words), np.zeros(len(words), bool))


def function(name, **table):
    return scorer_of({"function": f"oracles:{name}", **table})


def script(text, **table):
    """A program in Python, which is at hand everywhere; examples/ has one in another language."""
    Path("program.py").write_text(text)
    return scorer_of({"program": [sys.executable, "-u", "program.py"], **table})


def test_an_empty_kind_is_none():
    with pytest.raises(UserError, match=r"kind in \[terms.mine\] is empty: name one, or leave it out"):
        settings_of({"mine": {"kind": "", "lwo": 1}})


# What works


@pytest.mark.parametrize("table", [{}, {"workers": 2}, {"chunk": 1}, {"chunk": 3}])
def test_every_text_gets_its_own_value(table):
    words = ["a", "ab", "abc", "b", "bc", "c", "ca", "cab", "aa", "aab"] * 2
    with function("length", **table) as scorer:
        np.testing.assert_array_equal(score(scorer, *words).totals, [len(word) for word in words])
        assert scorer.calls == 10


def test_a_function_is_found_in_the_current_folder():
    Path("mine.py").write_text("def twice(texts):\n    return [2 * len(text) for text in texts]\n")
    with scorer_of({"function": "mine:twice"}) as scorer:
        np.testing.assert_array_equal(score(scorer, *WORDS).totals, [6, 4, 2, 6])


def test_workers_are_kept_from_batch_to_batch():
    Path("mine.py").write_text("import os\ndef pid(texts):\n    return [os.getpid()] * len(texts)\n")
    with scorer_of({"function": "mine:pid"}) as scorer:
        first = set(score(scorer, "a", "ab").totals)
        assert set(score(scorer, "b", "abc").totals) == first
        assert os.getpid() not in first


def test_a_program_answers_a_json_object_a_line():
    code = 'import json, sys\nfor line in sys.stdin:\n    print(json.dumps({"value": len(line.strip())}))\n'
    with script(code) as scorer:
        np.testing.assert_array_equal(score(scorer, *WORDS).totals, [3, 2, 1, 3])
        np.testing.assert_array_equal(score(scorer, "b", *WORDS).totals, [1, 3, 2, 1, 3])


@pytest.mark.parametrize(("said", "value"), [(".5", 0.5), ("-.25", -0.25), ("1.", 1), ("+2.5e1", 25), ("007", 7)])
def test_a_number_is_read_as_programs_print_it(said, value):
    with script(f"for line in open(0):\n    print({said!r}, flush=True)\n") as scorer:
        assert score(scorer, "ab").totals.tolist() == [value]


def test_what_a_program_says_beside_its_answers_is_not_taken_for_one():
    code = """
import json, sys
print("welcome to the oracle, version 7")
for line in sys.stdin:
    print("thinking about", line.strip())
    print("[1, 2]")
    print(json.dumps({"value": len(line.strip()), "text": line.strip()}))
"""
    with script(code) as scorer:
        np.testing.assert_array_equal(score(scorer, *WORDS).totals, [3, 2, 1, 3])


def test_a_program_may_say_that_it_cannot():
    code = """
import json, sys
for line in sys.stdin:
    print(json.dumps({"value": None, "reason": "no pose found"} if line == "ab\\n" else {"value": 1}))
"""
    with script(code) as scorer:
        np.testing.assert_array_equal(score(scorer, *WORDS).scored, [True, False, True, True])
        assert scorer.failed == [("outside", "ab", "no pose found")]


# What does not


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("raises", "ValueError: I do not like ab"),
        ("none", "gave no value"),
        ("strings", "gave 'much', which is no number"),
        ("infinite", "gave inf"),
        ("huge", "gave a number too large for a float"),
    ],
)
@pytest.mark.parametrize("chunk", [0, 4])
def test_a_bad_answer_is_the_failure_of_its_text_alone(name, reason, chunk):
    with function(name, chunk=chunk) as scorer:
        scores = score(scorer, *WORDS)
        np.testing.assert_array_equal(scores.totals, [3, np.nan, 1, 3])
        assert scorer.failed == [("outside", "ab", reason)]
        assert scorer.news.failures == scorer.failed
        assert not scorer.news.quarantined


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("leaves", "its scorer ended: status 0"),
        ("segfaults", "its scorer ended: SIGSEGV"),
        ("killed", "its scorer ended: SIGKILL: out of luck"),
        ("closes", "its scorer ended: "),
    ],
)
def test_a_text_that_kills_its_worker_is_quarantined_and_the_others_are_scored(name, reason):
    with function(name, chunk=4) as scorer:
        np.testing.assert_array_equal(score(scorer, *WORDS).totals, [3, np.nan, 1, 3])
        ((term, text, why),) = scorer.news.quarantined
        assert (term, text) == ("outside", "ab")
        assert why.startswith(reason)
        np.testing.assert_array_equal(score(scorer, "ab", "b").totals, [np.nan, 1])
        assert not scorer.news.quarantined  # it is not asked again


def test_a_text_at_which_the_function_exits_is_a_failure_like_any_other():
    with function("exits", chunk=4, retries=0) as scorer:
        np.testing.assert_array_equal(score(scorer, *WORDS).totals, [3, np.nan, 1, 3])
        assert scorer.failed == [("outside", "ab", "it asked to end the process, with 3")]


def test_a_text_that_hangs_fails_when_its_time_is_over():
    with function("hangs", timeout=0.5, chunk=4, retries=0) as scorer:
        np.testing.assert_array_equal(score(scorer, *WORDS).totals, [3, np.nan, 1, 3])
        assert scorer.failed == [("outside", "ab", "no answer within 0.5 s")]
        assert not scorer.news.quarantined


def test_what_kills_a_worker_once_is_tried_again():
    with function("killed_once") as scorer:
        np.testing.assert_array_equal(score(scorer, *WORDS).totals, [3, 2, 1, 3])
        assert not scorer.failed


@pytest.mark.parametrize("name", ["prints", "forks"])
def test_noise_and_forks_reach_no_answer(name):
    with function(name) as scorer:
        np.testing.assert_array_equal(score(scorer, *WORDS).totals, [3, 2, 1, 3])
        np.testing.assert_array_equal(score(scorer, "b", "ab").totals, [1, 2])


def test_a_leak_meets_the_limit_and_nobody_else():
    with function("leaks", memory=2000) as scorer:
        np.testing.assert_array_equal(score(scorer, *WORDS).totals, [3, np.nan, 1, 3])
        assert scorer.failed == [("outside", "ab", "MemoryError:")]


@pytest.mark.parametrize("name", ["too_few", "too_many", "one_number"])
def test_a_wrong_number_of_answers_names_the_term_and_stops(name):
    with function(name) as scorer:
        with pytest.raises(UserError, match=r"term 'outside' gave .* values for \d texts"):
            score(scorer, *WORDS)
        assert (scorer.calls, scorer.seen, scorer.answers.known["outside"]) == (0, set(), {})


def test_a_program_that_answers_twice_stops_before_anything_shifts():
    code = """
import sys
for line in sys.stdin:
    print('{"value": 1}\\n{"value": 2}')
"""
    with script(code) as scorer, pytest.raises(UserError, match="term 'outside' gave more than one answer"):
        score(scorer, *WORDS)


def test_a_program_that_answers_about_another_text_stops():
    wanted = "term 'outside' answered for 'b' when it was asked about 'a'"
    code = """input()\nprint('{"value": 1, "text": "b"}')\ninput()"""
    with script(code) as scorer, pytest.raises(UserError, match=wanted):
        score(scorer, "a")


def test_a_program_that_dies_is_started_again_and_what_it_dies_of_is_quarantined():
    code = """
import sys
for line in sys.stdin:
    if line == "ab\\n":
        print("a warning", "no ab", sep="\\n", file=sys.stderr)
        sys.exit(5)
    print('{"value": 1}')
    if line == "a\\n":
        sys.exit(0)
"""
    with script(code) as scorer:
        np.testing.assert_array_equal(score(scorer, "abc", "ab", "a", "bca", "b").totals, [1, np.nan, 1, 1, 1])
        assert scorer.news.quarantined == [("outside", "ab", "the program ended twice, with status 5: no ab")]


def test_a_program_that_takes_its_time_to_die_costs_the_next_text_nothing():
    code = """
import os, sys, time
for line in sys.stdin:
    print('{"value": 1}')
    if line == "a\\n":
        os.close(1)
        time.sleep(2)
        os._exit(0)
"""
    with script(code) as scorer:
        np.testing.assert_array_equal(score(scorer, "a", "bca", "b").totals, [1, 1, 1])


def test_a_program_that_hangs_is_given_up_with_all_that_it_started():
    code = """
import subprocess, sys, pathlib
child = subprocess.Popen(["sleep", "600"])
pathlib.Path("child").write_text(str(child.pid))
for line in sys.stdin:
    pass
"""
    with script(code, timeout=1.0, retries=0) as scorer:
        assert not score(scorer, "a").scored.any()
        assert scorer.failed == [("outside", "a", "no answer within 1 s")]
        child = int(Path("child").read_text())
    for _ in range(100):
        if not _alive(child):
            break
        time.sleep(0.05)
    assert not _alive(child)


def _alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except FileNotFoundError:
        return False


def test_a_program_may_print_bare_numbers():
    with script("import sys\nprint('ready')\nfor line in sys.stdin:\n    print(len(line) / 2 - 1)") as scorer:
        scorer.start("ab")
        np.testing.assert_array_equal(score(scorer, "a", "ab", "abc").totals, [0, 0.5, 1])


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (
            "import sys\ntexts = sys.stdin.read().split()\nprint([len(t) for t in texts])",
            r"term 'outside': the program was silent for 0.5 s when it was given a text, and answered at the end",
        ),
        (
            "import sys\nsys.stdin.read()\nprint(1.5)",
            r"term 'outside': the program was silent for 0.5 s when it was given a text, and answered at the end",
        ),
        (
            "import sys\nfor line in sys.stdin:\n    print('score:', len(line))",
            r"term 'outside': the program printed 'score: 3', which is no answer: a number is one",
        ),
        (
            "import sys\nfor line in sys.stdin:\n    print(1.5, end='', flush=True)",
            r"term 'outside': the program answered without a line break at the end",
        ),
    ],
)
def test_a_program_that_breaks_the_protocol_is_told_so_before_the_run(code, said):
    with script(code, timeout=0.5) as scorer, pytest.raises(UserError, match=said):
        scorer.start("ab")


@pytest.mark.parametrize("code", ["import time\ntime.sleep(60)", "input()\nraise SystemExit(3)"])
def test_a_program_that_is_slow_or_dies_of_a_text_is_not_refused_for_it(code):
    with script(code, timeout=0.2) as scorer:
        scorer.answers.pools["outside"].functions["outside"].probe("ab", 0.2)


def test_a_program_that_cannot_start_is_refused_with_its_own_last_words(monkeypatch):
    """A run with a program that was not there ended well, with 123 failures."""
    monkeypatch.setattr(programs, "GRACE", 60.0)  # on a busy machine too
    wanted = "the program cannot be used: it ended before it was given a text, with status 1: OSError: no license"
    code = "import sys\nprint('starting', file=sys.stderr)\nraise OSError('no license')"
    with script(code, timeout=0.5) as scorer, pytest.raises(UserError, match=wanted):
        scorer.start("ab")


@pytest.mark.parametrize("word", ["nan", "NA", "n/a", "None", "null", "NaN", "-inf", "-nan", "<NA>"])
def test_a_word_for_no_number_is_a_failure_of_that_text_alone(word):
    """The run waited for each such text until its time was over, twice."""
    code = f"import sys\nfor line in sys.stdin:\n    print({word!r} if line == 'ab\\n' else 1)"
    with script(code, timeout=30.0) as scorer:
        np.testing.assert_array_equal(score(scorer, "a", "ab", "b").totals, [1, np.nan, 1])
        assert word in scorer.failed[0][2]


def test_workers_are_gone_after_close():
    Path("mine.py").write_text("import os\ndef pid(texts):\n    return [os.getpid()] * len(texts)\n")
    with scorer_of({"function": "mine:pid"}) as scorer:
        pid = int(score(scorer, "a").totals[0])
        assert _alive(pid)
    assert not _alive(pid)


def test_while_a_text_hangs_the_next_process_is_started_and_none_is_left_behind():
    with function("hangs", timeout=1.0, retries=1) as scorer:
        score(scorer, "a", "ab")
        pool = scorer.answers.pools["outside"]
        assert not pool.running  # given up
        (spare,) = pool.spares
        score(scorer, "abc")
        assert [worker.process.pid for worker in pool.running] == [spare.process.pid]
    assert not _alive(spare.process.pid)


# What is said before a run begins


@pytest.mark.parametrize(
    ("table", "wanted"),
    [
        ({"function": "oracles"}, "a function is named module:function"),
        ({"function": "no_such_module:f"}, "there is no module 'no_such_module'"),
        ({"program": ["no-such-program-here"]}, "there is no program 'no-such-program-here'"),
        ({"program": "sh dock.sh"}, "program in .terms.outside. must be a list"),
        ({"function": "oracles:length", "program": ["sh"]}, "names a function and a program"),
        ({"function": "oracles:length", "timeot": 3}, "did you mean 'timeout'"),
        ({"function": "oracles:length", "timeout": "long"}, "timeout in .terms.outside. must be a number"),
        ({"function": "oracles:length", "workers": 0}, "workers in .terms.outside. must be at least 1"),
        ({"function": "oracles:length", "better": "more"}, "unknown value of better"),
    ],
)
def test_a_table_that_cannot_work_says_why(table, wanted):
    with pytest.raises(UserError, match=wanted):
        scorer_of(table)


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("absent", "term 'outside' the module 'oracles' has no function 'absent'"),
        ("not_a_function", "term 'outside' the module 'oracles' has no function 'not_a_function'"),
    ],
)
def test_a_function_that_is_none_is_found_out_at_the_start(name, wanted):
    with function(name) as scorer, pytest.raises(UserError, match=wanted):
        scorer.start()


def test_a_module_that_cannot_be_imported_says_what_it_raised():
    Path("mine.py").write_text("import no_such_thing\n")
    with (
        scorer_of({"function": "mine:f"}) as scorer,
        pytest.raises(UserError, match="cannot import 'mine': ModuleNotFoundError: No module named 'no_such_thing'"),
    ):
        scorer.start()


def test_a_term_of_the_domain_keeps_its_name():
    with pytest.raises(UserError, match="has a term 'rises' already"):
        weighted_terms(DOMAIN, {}, settings_of({"rises": {"function": "oracles:length"}}))


def test_the_domains_own_terms_can_be_computed_by_workers():
    domain = LettersDomain(Options(longest=9))
    terms = [term for term in domain.terms() if isinstance(term, SequenceTerm)]
    with closing(Scorer(domain, terms, workers=2)) as scorer:
        np.testing.assert_array_equal(score(scorer, *WORDS).terms["variety"], [3, 2, 1, 3])
        assert len(scorer.answers.pools["variety"].running) == 2


def test_a_domain_that_a_worker_cannot_load_is_said_in_a_line():
    class Local(LettersDomain):
        pass

    terms = [term for term in DOMAIN.terms() if isinstance(term, SequenceTerm)]
    with (
        closing(Scorer(Local(), terms, workers=1)) as scorer,
        pytest.raises(UserError, match="term 'variety' cannot be loaded in a worker process from "),
    ):
        scorer.start()


def test_calls_grow_with_the_pace_of_the_answers_and_one_raise_does_not_shrink_them():
    words = [a + b + c + d for a in "abc" for b in "abc" for c in "ab" for d in "abc"]
    Path("mine.py").write_text(
        "from pathlib import Path\n"
        "def mine(texts):\n"
        "    with Path('sizes.txt').open('a') as file:\n"
        "        file.write(f'{len(texts)}\\n')\n"
        "    if 'abac' in texts:\n"
        "        raise ValueError\n"
        "    return [len(text) for text in texts]\n"
    )
    with scorer_of({"function": "mine:mine"}) as scorer:
        assert score(scorer, *words).scored.sum() == len(words) - 1
        sizes = [int(line) for line in Path("sizes.txt").read_text().splitlines()]
        assert sizes[0] == 1  # how long a text takes is not known yet
        assert sizes[1] > 10
        assert not scorer.answers.pools["outside"].singly  # the worker asks one by one; it is still sent many
        assert scorer.failed == [("outside", "abac", "ValueError:")]


def test_failures_stand_in_the_order_of_the_batch_however_many_workers_there_are():
    words = [a + b + c + d for a in "abc" for b in "abc" for c in "ab" for d in "abc"]
    Path("mine.py").write_text("def mine(texts):\n    return [None if 'ab' in text else 1.0 for text in texts]\n")
    found = []
    for workers in (1, 3):
        with scorer_of({"function": "mine:mine", "workers": workers, "chunk": 2}) as scorer:
            score(scorer, *words)
            found.append(scorer.failed)
    assert (
        found[0]
        == found[1]
        == [("outside", word, "gave no value") for word in words if "ab" in word and "cc" not in word]
    )


@pytest.mark.skipif(not shutil.which("true"), reason="no program 'true'")
def test_a_program_that_ends_at_once_fails_every_text():
    with scorer_of({"program": ["true"]}) as scorer:
        assert not score(scorer, "a", "b").scored.any()
        assert len(scorer.news.quarantined) == 2
