"""Votes on disk: nothing that was answered is lost, files mix, and what is wrong with a line is said in one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from seqtutor import UserError
from seqtutor.people.votes import Vote, append, read


def vote(answer="a", a="ab", b="ba", rater="anna", domain="letters", **more):
    return Vote(domain, rater, a, b, answer, **more)


def test_what_is_appended_is_read_and_the_file_is_its_owners_alone(tmp_path):
    path = tmp_path / "v.jsonl"
    put = [append(path, vote(answer, ms=7)) for answer in ("a", "b", "same", "bad")]
    found = read(path, "letters")
    assert list(found.rows) == put
    assert found.problems == ()
    assert found.size == path.stat().st_size
    assert path.stat().st_mode & 0o777 == 0o600


def test_an_undo_takes_a_vote_back_and_stays_a_line(tmp_path):
    path = tmp_path / "v.jsonl"
    first, second = append(path, vote("a")), append(path, vote("b"))
    append(path, vote("undo", of=first.id))
    assert read(path, "letters").rows == (second,)
    assert len(path.read_text().splitlines()) == 3


def test_files_put_behind_each_other_count_each_vote_once(tmp_path):
    one, two = tmp_path / "1", tmp_path / "2"
    votes = [append(one, vote("a")), append(one, vote("b")), append(two, vote("same", rater="bert"))]
    both = tmp_path / "both"
    both.write_text(one.read_text() + two.read_text() + one.read_text())
    assert list(read(both, "letters").rows) == votes
    assert {vote.rater for vote in read(both, "letters").rows} == {"anna", "bert"}


def test_a_cut_last_line_is_passed_over_and_the_next_vote_does_not_stick_to_it(tmp_path):
    path = tmp_path / "v.jsonl"
    kept = append(path, vote("a"))
    append(path, vote("b"))
    path.write_bytes(path.read_bytes()[:-30])
    found = read(path, "letters")
    assert found.rows == (kept,)
    assert found.problems == (f"{path}:2: the last line is cut off; passed over",)
    new = append(path, vote("same"))
    assert read(path, "letters").rows == (kept, new)
    assert len(read(path, "letters").problems) == 1


def test_a_whole_last_line_without_its_end_is_kept(tmp_path):
    path = tmp_path / "v.jsonl"
    append(path, vote("a"))
    path.write_bytes(path.read_bytes()[:-1])
    append(path, vote("b"))
    assert [row.answer for row in read(path, "letters").rows] == ["a", "b"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"answer": "left"}, "answer must be one of a, b, same, bad, undo, not 'left'"),
        ({"rater": 3}, "rater must be text, not 3"),
        ({"ms": "7"}, "ms must be a whole number, not '7'"),
        ({"color": "red"}, "no key of a vote is called 'color' (there are: domain, rater, a,"),
        ({"b": ""}, "a vote needs id, domain, rater, a, b, answer; b is missing"),
    ],
)
def test_a_line_that_was_edited_by_hand_is_named_and_the_others_count(tmp_path, change, said):
    path = tmp_path / "v.jsonl"
    append(path, vote("a"))
    row = json.loads(path.read_text()) | change
    path.write_text(json.dumps(row) + "\n")
    good = append(path, vote("b"))
    found = read(path, "letters")
    assert found.rows == (good,)
    assert found.problems[0].startswith(f"{path}:1: {said}")


def test_lines_that_are_no_objects_or_too_long_are_passed_over(tmp_path):
    path = tmp_path / "v.jsonl"
    path.write_text('[1]\n"a"\n' + "[" * 100_000 + "\n" + "\n")
    found = read(path, "letters")
    assert found.rows == ()
    assert len(found.problems) == 3


def test_votes_of_another_domain_and_no_file_are_refused_in_a_line(tmp_path):
    path = tmp_path / "v.jsonl"
    append(path, vote())
    with pytest.raises(UserError, match=r"v.jsonl:1 is a vote on items of domain 'letters', not of 'music'"):
        read(path, "music")
    with pytest.raises(UserError, match=r"cannot read the votes .*none: No such file or directory; 'seqtutor rate' wr"):
        read(tmp_path / "none", "music")
    with pytest.raises(UserError, match=r"cannot write the vote to .*; name another file with --votes"):
        append(tmp_path / "no" / "folder", vote())


def test_a_run_reads_the_votes_that_it_was_tuned_by_though_the_file_grows(tmp_path):
    path = tmp_path / "v.jsonl"
    append(path, vote("a"))
    before = read(path, "letters")
    append(path, vote("b"))
    assert read(path, "letters", size=before.size, digest=before.digest) == before
    path.write_text(path.read_text().replace("anna", "otto"))
    with pytest.raises(UserError, match="no longer begins with the votes that the run was tuned by"):
        read(path, "letters", size=before.size, digest=before.digest)


def test_a_kill_loses_at_most_the_vote_that_is_being_written(tmp_path):
    path = tmp_path / "v.jsonl"
    code = (
        "import sys; from pathlib import Path; from seqtutor.people.votes import Vote, append\n"
        "for n in range(10**6):\n"
        "    append(Path(sys.argv[1]), Vote('letters', 'anna', 'ab', 'ba', 'a'))\n"
        "    print(n + 1, flush=True)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for _ in range(20):
        process.stdout.readline()
    os.kill(process.pid, signal.SIGKILL)
    told = 20 + len(process.stdout.read().split())
    process.stdout.close()
    process.wait()
    found = read(path, "letters")
    assert told <= len(found.rows) <= told + 1
    assert len(found.problems) <= 1
    append(Path(path), vote("b"))
    assert read(path, "letters").rows[-1].answer == "b"
