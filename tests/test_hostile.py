"""Attacks of a hostile machine or a stranger: each was red once, or shows that it never was; docs/promises.md."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner
from letters import LettersDomain
from test_cli_runs import BASE, elsewhere, finish, line, start, table, train, updates, wait_for, write  # noqa: F401

from seqtutor import UserError
from seqtutor.cli import main
from seqtutor.priors.files import write_atomically
from seqtutor.rewards.store import Store
from seqtutor.runs.folder import RunFolder, new_folder

pytestmark = pytest.mark.usefixtures("installed")
DOMAIN = LettersDomain()


@contextmanager
def within(seconds):
    """What hangs in the block is a failure."""

    def over(number, frame):
        raise AssertionError(f"it hangs: {seconds} s are over")

    before = signal.signal(signal.SIGALRM, over)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def seqtutor(*args):
    with within(60):
        return CliRunner().invoke(main, [str(arg) for arg in args])


@pytest.fixture
def run(elsewhere):  # noqa: F811
    """A small finished run, and a file beside it that nobody may touch."""
    result = train("--updates", 2, "--output", "run")
    assert result.exit_code == 0, result.output
    Path("precious.txt").write_text("precious")
    yield Path("run")
    assert Path("precious.txt").read_text() == "precious"


COMMANDS = {
    "status": ("status", "run"),
    "report": ("report", "run"),
    "resume": ("train", "--resume", "run", "--updates", 3),
    "generate": ("generate", "./run", "-n", 2),
    "record": (*BASE, "--log", "run", "--log-reward", "variety", "--output", "other"),
}


# 2. Links


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("name", ["lock", "metrics.csv", "report.html", "answers.sqlite", "samples", "checkpoint/new"])
def test_a_run_folder_that_leads_out_of_itself_is_refused_by_name(run, name, command):
    place = run / name
    if place.is_dir():
        place.rename("moved")
    place.unlink(missing_ok=True)
    place.symlink_to(Path("precious.txt").absolute())
    text = line(seqtutor(*COMMANDS[command]))
    assert f"'{name}'" in text
    assert "a link to" in text


def test_a_part_that_lies_there_as_a_link_is_not_written_through(run):
    (run / "report.html.part").symlink_to("../precious.txt")
    write_atomically(run / "report.html", b"page")
    assert (run / "report.html").read_bytes() == b"page"


def test_nor_is_one_whose_name_somebody_foresaw(run, monkeypatch):
    monkeypatch.setattr("seqtutor.files.secrets.token_hex", lambda count: "00")
    (run / "report.html.00.part").symlink_to("../precious.txt")
    before = (run / "../precious.txt").read_bytes()
    with pytest.raises(OSError, match="exists"):
        write_atomically(run / "report.html", b"page")
    assert (run / "../precious.txt").read_bytes() == before


def test_a_row_is_not_added_through_a_link(run):
    (run / "metrics.csv").unlink()
    (run / "metrics.csv").symlink_to("../precious.txt")
    with pytest.raises(OSError, match="symbolic links"):
        RunFolder(run).log({"update": 1})


@pytest.mark.parametrize("command", COMMANDS)
def test_a_file_that_the_run_renames_at_that_moment_is_no_hindrance(run, command, monkeypatch):
    walk = os.walk
    monkeypatch.setattr(os, "walk", lambda top: ((path, dirs, [*names, "new.part"]) for path, dirs, names in walk(top)))
    assert "new.part" not in seqtutor(*COMMANDS[command]).output


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        '{"a": ',
        "[" * 100_000,
        '{"optimum": 3}',
        '{"updates": ' + "9" * 5000 + "}",
        '{"optimum": {"temperature": "hot"}}',
        '{"terms": {"a": 1}}',
        '{"terms": [{"name": 1, "weight": 2}]}',
        '{"terms": [{"name": "variety", "weight": "much"}]}',
    ],
)
def test_a_summary_that_no_run_wrote_is_refused_in_a_line(run, content):
    (run / "summary.json").write_text(content)
    assert "summary.json'" in line(seqtutor("generate", "./run", "-n", 2, "--draws", 16))


# 3. What is no file, and what runs within one


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("name", ["lock", "metrics.csv", "checkpoint/checkpoint.safetensors", "answers.sqlite"])
def test_a_fifo_hangs_nobody(run, name, command):
    (run / name).unlink()
    os.mkfifo(run / name)
    text = line(seqtutor(*COMMANDS[command]))
    assert f"'{name}'" in text
    assert "neither a file nor a folder" in text


def test_a_fifo_for_a_prior_a_config_or_data_hangs_nobody(run):
    for name in ("config.json", "model.safetensors"):
        before = Path("prior", name).read_bytes()
        Path("prior", name).unlink()
        os.mkfifo(Path("prior", name))
        assert name in line(seqtutor(*BASE, "--output", "other"))
        Path("prior", name).unlink()
        Path("prior", name).write_bytes(before)
    os.mkfifo("pipe.toml")
    assert "pipe.toml" in line(seqtutor("train", "--config", "pipe.toml"))


@pytest.mark.parametrize("place", ["{cell},reward\na,1\n", "text,reward\n{cell},1\n"])
def test_a_cell_of_a_record_that_is_too_long_is_said_in_a_line(run, place):
    Path("record.csv").write_text(place.format(cell="a" * 200_000))
    assert "record.csv:" in line(seqtutor(*BASE, "--log", "record.csv", "--log-reward", "reward", "--output", "other"))


def test_items_in_another_encoding_are_said_in_a_line_by_every_command_that_reads_them(run):
    Path("words.txt").write_text("ab\nba\n", encoding="utf-16")
    for command in (
        ("score", "words.txt", "--config", "run/config.toml"),
        ("pretrain", "--domain", "letters", "--data", "words.txt"),
        ("inspect", "words.txt", "--domain", "letters"),
    ):
        assert "words.txt" in line(seqtutor(*command))


LETTERS = ("--domain", "letters", "--prior", "./prior")
GIVEN = {
    "taste": ("train", *LETTERS, "--taste", "pipe"),
    "telling": ("explain", "./run", "abc", "--taste", "pipe"),
    "votes": ("rate", "./run", "--votes", "pipe", "--no-open"),
    "examples": ("infer", *LETTERS, "--examples", "pipe"),
    "samples": ("infer", *LETTERS, "--examples", "pipe.csv"),
    "among": ("infer", "--domain", "letters", "--examples", "words.txt", "--among", "pipe"),
    "data": ("pretrain", "--domain", "letters", "--data", "pipe"),
    "inspect": ("inspect", "pipe", "--domain", "letters"),
    "score": ("score", "pipe", "--config", "run/config.toml", "--output", "scored"),
    "record": ("train", *LETTERS, "--log", "pipe.csv", "--log-reward", "reward"),
}


@pytest.mark.parametrize("command", GIVEN)
def test_a_fifo_in_the_place_of_a_file_that_was_named_hangs_nobody(run, command):
    write_words("words.txt")
    for name in ("pipe", "pipe.csv"):
        os.mkfifo(name)
    assert "is no file" in line(seqtutor(*GIVEN[command]))


def write_words(name):
    Path(name).write_text("".join(f"{word}\n" for word in ("a", "b", "c", "ab", "ba", "abc", "cab", "bca", "aba")))


def test_a_fifo_for_the_weights_that_infer_knows_a_prior_by_hangs_nobody(run):
    write_words("words.txt")
    Path("prior/model.safetensors").unlink()
    os.mkfifo("prior/model.safetensors")
    assert "is no file" in line(seqtutor("infer", *LETTERS, "--examples", "words.txt"))


TRIGGER = """
CREATE TRIGGER slow AFTER INSERT ON answers BEGIN
  DELETE FROM answers WHERE text IN (
    WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x FROM n WHERE x < 0);
END
"""


@pytest.mark.parametrize("sql", [TRIGGER, "CREATE VIEW more AS SELECT 1", "CREATE TABLE more (a)"])
def test_answers_that_would_do_something_are_refused(run, sql):
    with closing(sqlite3.connect(run / "answers.sqlite")) as connection:
        connection.execute(sql)
        connection.commit()
    assert "cannot use the answers in run/answers.sqlite: it holds" in line(seqtutor(*COMMANDS["resume"]))


@pytest.mark.parametrize("row", [("much", "", "value"), (1e39, "", "value"), (1.0, b"\xff", "odd"), (1.0, 3, None)])
def test_an_answer_on_disk_that_nobody_wrote_is_a_failure_or_a_line(tmp_path, row):
    with Store(tmp_path / "a.sqlite", failures=True) as store:
        store.connection.execute("INSERT INTO answers VALUES ('t', 'v', 'x', ?, ?, ?)", row)
        try:
            (found,) = store.get("t", "v", ["x"]).values()
        except UserError as error:
            assert "a.sqlite" in str(error)  # noqa: PT017
        else:
            assert found.kind == "failure"


# 10. Tables


@pytest.mark.parametrize("left", ["", "upd", "update,reward\r\n1,0.", "update,reward\r\n", "\ufffd"])
def test_a_table_repairs_itself(tmp_path, left):
    run = RunFolder(tmp_path)
    (tmp_path / "metrics.csv").write_text(left, newline="")
    run.keep(0)
    run.log({"update": 1, "reward": 0.5})
    assert (tmp_path / "metrics.csv").read_bytes() == b"update,reward\r\n1,0.5\r\n"


def test_a_full_disk_at_any_row_leaves_a_table_without_half_a_row(tmp_path):
    code = """
import resource, signal, sys
from pathlib import Path
from seqtutor.runs.folder import RunFolder
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
for size in range(0, 60, 3):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    try:
        for update in range(1, 9):
            RunFolder(Path(".")).log({"update": update, "reward": 0.5})
    except OSError:
        pass
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    text = Path("metrics.csv").read_text() if Path("metrics.csv").exists() else ""
    assert not text or text.startswith("update,reward\\n") and text.endswith("\\n"), (size, text)
    Path("metrics.csv").unlink(missing_ok=True)
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)


def test_runs_of_one_second_have_folders_of_their_own():
    folders = {new_folder("", "letters-psi") for _ in range(5)}
    assert len(folders) == 5


# 11. Odd names, odd terminals


@pytest.mark.parametrize("name", ["[/b]", "[bold]x", "[link=x]", ":smile:", "\x1b[2J"])
def test_a_name_that_looks_like_markup_is_a_name(name):
    result = seqtutor(*BASE, "--updates", 1, "--function", f"{name}=oracles:length", "--output", "run")
    if result.exit_code:
        line(result)
    else:
        assert name in result.output


def test_output_in_ascii_and_a_path_that_is_no_text():
    folder = os.fsdecode(b"run\xff")
    env = {**os.environ, "PYTHONIOENCODING": "ascii", "LC_ALL": "C", "OMP_NUM_THREADS": "1"}
    more = f"main(['status', {folder!r}], standalone_mode=False); main(['report', {folder!r}], standalone_mode=False)"
    before = f"import atexit\natexit.register(lambda: exec({more!r}, {{'main': main}}))\n"
    process = start(
        *BASE, "--updates", 1, "--output", folder, before=before, encoding="utf-8", errors="replace", environment=env
    )
    status, out, err = finish(process)
    assert status == 0, err
    assert "Traceback" not in err
    assert out.count("report.html") >= 2


def test_a_status_prints_nothing_that_steers_a_terminal(run):
    with (run / "failures.csv").open("a") as file:
        file.write("update,term,text,reason\n1,\x1b[2Jx,\x07ab,\x9bno\n")
    result = seqtutor("status", run)
    assert result.exit_code == 0
    assert "x1b[2Jx of '\\x07ab': \\x9bno" in result.output
    assert not set(result.output) & set("\x1b\x07\x9b")


@pytest.mark.parametrize("key", ["\x1b[2Jx", "a\nb", "\x9bno"])
def test_a_message_is_one_line_that_steers_no_terminal(key):
    text = line(seqtutor("train", "--config", write("run.toml", **{key: 1})))
    assert f"unknown key in run.toml '{key.encode('unicode_escape').decode()}'" in text


def test_a_config_of_any_size_is_said_to_be_too_large(run):
    os.truncate(run / "config.toml", 1 << 40)
    for command in (("train", "--config", "run/config.toml"), ("train", "--resume", "run"), ("score", "run/")):
        assert "has 1,099,511,627,776 bytes" in line(seqtutor(*command))


@pytest.mark.parametrize("tables", [[1, 2], {"t": 3}, {"t": {"function": ["a", "b"]}}, {"t": {"program": 3}}])
def test_a_config_of_a_strange_shape_is_refused_in_a_line(tables):
    line(seqtutor("train", "--trust", "--config", write("run.toml", terms=tables)))
