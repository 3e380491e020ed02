"""Voting on a page: what is asked, that nobody else can vote, and that nothing is lost."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from letters import LettersDomain, language, new_model

from seqtutor import UserError
from seqtutor.cli import main
from seqtutor.people.asking import AGO, FIRST, REPEATED, SHAKY, Session, consistency
from seqtutor.people.lens import new_lens
from seqtutor.people.server import Page, bound, serve
from seqtutor.people.votes import Vote, append, read
from seqtutor.priors.files import save_model
from seqtutor.runs.report.svg import clean

WORDS = list(dict.fromkeys(language(60, 3)))


def session(path, **more):
    writers = {"policy": WORDS, "prior": WORDS}
    return Session(LettersDomain(), writers, Path(path), "anna", np.random.default_rng(0), **more)


def answered(asked, count, liked=lambda word: word.count("a")):
    """So many pairs answered by somebody who takes the word that is more `liked`."""
    shown = []
    for _ in range(count):
        pair = asked.pair()
        shown.append(pair)
        answer = "same" if liked(pair.a) == liked(pair.b) else "a" if liked(pair.a) > liked(pair.b) else "b"
        assert asked.answer(pair.id, answer, 5)
    return shown


def test_every_tenth_pair_is_an_old_one_the_other_way_round(tmp_path):
    asked = session(tmp_path / "v")
    shown = answered(asked, 3 * REPEATED)
    repeats = [i for i, pair in enumerate(shown) if pair.why == "repeat"]
    assert repeats == [REPEATED - 1, 2 * REPEATED - 1, 3 * REPEATED - 1]
    for i in repeats:
        (first,) = [pair for pair in shown if pair.id == shown[i].of]
        assert (first.a, first.b) == (shown[i].b, shown[i].a)
        assert i - shown.index(first) > AGO
    assert consistency(asked.votes) == (3, 3)
    assert len({frozenset((pair.a, pair.b)) for pair in shown}) == len(shown) - 3  # nothing else is asked twice


def test_a_pair_stays_open_until_it_is_answered_and_an_old_one_is_refused(tmp_path):
    asked = session(tmp_path / "v")
    pair = asked.pair()
    assert asked.pair() is pair
    assert not asked.answer("another", "a", 1)
    assert asked.answer(pair.id, "a", 1)
    assert not asked.answer(pair.id, "b", 1)
    assert [vote.answer for vote in read(tmp_path / "v", "letters").rows] == ["a"]


def test_undo_takes_back_and_asks_again(tmp_path):
    asked = session(tmp_path / "v")
    assert not asked.undo()
    (pair,) = answered(asked, 1)
    assert asked.undo()
    again = asked.pair()
    assert (again.a, again.b) == (pair.a, pair.b)
    assert asked.answer(again.id, "bad", 1)
    assert [vote.answer for vote in read(tmp_path / "v", "letters").rows] == ["bad"]


def test_after_the_first_votes_pairs_are_chosen_by_what_they_tell(tmp_path):
    asked = session(tmp_path / "v")
    asked.lens = new_lens(LettersDomain(), new_model(spread=1.0, hidden=8))
    answered(asked, FIRST)
    asked.refit()
    pair = asked.pair()
    assert pair.why == "information"
    assert asked.taste is not None
    mean, _ = asked.taste.predict(asked.lens(["b", "aaa"]))
    assert mean[1] > mean[0]


def test_a_session_goes_on_where_the_file_ends_and_knows_its_own_rater(tmp_path):
    append(tmp_path / "v", Vote("letters", "bert", "a", "b", "a"))
    answered(session(tmp_path / "v"), 4)
    assert len(session(tmp_path / "v").votes) == 4
    assert {vote.rater for vote in read(tmp_path / "v", "letters").rows} == {"bert", "anna"}


def test_two_models_against_each_other_write_one_item_each(tmp_path):
    asked = session(tmp_path / "v", against=True)
    shown = answered(asked, 9)
    assert all({pair.source_a, pair.source_b} == {"policy", "prior"} for pair in shown)
    assert {pair.source_a for pair in shown} == {"policy", "prior"}


def test_who_answers_by_a_coin_is_told(tmp_path):
    asked = session(tmp_path / "v")
    for n in range(60):
        assert asked.answer(asked.pair().id, "a", 1)  # always the left one: never alike when swapped
        assert bool(asked.warning()) == (n >= 49)
    assert "you chose alike in 0: they may be a coin toss for you" in asked.warning()
    assert SHAKY == 0.6


def test_what_cannot_be_compared_is_one_line(tmp_path, monkeypatch):
    with pytest.raises(UserError, match="there are 1 items to compare, and it takes two"):
        Session(LettersDomain(), {"prior": ["a"]}, tmp_path / "v", "anna", np.random.default_rng(0))
    with pytest.raises(UserError, match="a rater needs a name: --rater anna, say"):
        Session(LettersDomain(), {"prior": ["a", "b"]}, tmp_path / "v", " ", np.random.default_rng(0))
    for name, shown in (("x" * 70_000, r"xxx\.\.\."), ("anna\udcff", r"anna\\udcff")):
        with pytest.raises(
            UserError, match=f"a rater's name is text in UTF-8 of at most 200 .*, not '.*{shown}': --ra"
        ):
            Session(LettersDomain(), {"prior": ["a", "b"]}, tmp_path / "v", name, np.random.default_rng(0))
    with pytest.raises(UserError, match=r"there is no folder .*no for the votes; name another file with --votes"):
        session(tmp_path / "no" / "v")
    with monkeypatch.context() as patch:
        patch.setattr("os.access", lambda path, mode: False)
        with pytest.raises(UserError, match=r"cannot write the votes to .*v: no permission"):
            session(tmp_path / "v")
    append(tmp_path / "m", Vote("music", "anna", "a", "b", "a"))
    with pytest.raises(UserError, match="is a vote on items of domain 'music', not of 'letters'"):
        session(tmp_path / "m")


@pytest.fixture
def server(tmp_path):
    """A page that is served, its port and a way to ask it."""
    page, listening = Page(session(tmp_path / "v"), 100, "seqtutor train"), bound(0)
    port, servers = listening.getsockname()[1], []
    thread = threading.Thread(target=serve, args=(page, listening, "secret", servers.append), daemon=True)
    thread.start()

    def ask(method, path, body=None, **changed):
        headers = {"host": f"127.0.0.1:{port}", "x-seqtutor-token": "secret"}
        if method == "POST":
            headers |= {"origin": f"http://127.0.0.1:{port}", "content-type": "application/json"}
        headers |= {name.replace("_", "-"): value for name, value in changed.items()}
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        content = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else b""
        for name, value in {**headers, "content-length": str(len(content))}.items():
            if value is not None:
                connection.putheader(name, value)
        connection.endheaders(content)
        answer = connection.getresponse()
        found = answer.status, answer.read().decode(), dict(answer.getheaders())
        connection.close()
        return found

    yield ask, tmp_path / "v", port
    page.last = -1e9  # as after an hour without a vote: the server ends by itself
    thread.join(10)
    listening.close()
    assert not thread.is_alive()


def test_the_page_votes_undoes_and_says_nothing_of_who_wrote_what(server):
    ask, path, _ = server
    status, text, _ = ask("GET", "/api/pair")
    state = json.loads(text)
    assert status == 200
    assert state["done"] == 0
    assert "policy" not in text
    assert "prior" not in text
    assert len(state["items"]) == 2
    assert clean(state["items"][0]["picture"])[1] == []
    status, text, _ = ask("POST", "/api/vote", {"pair": state["pair"], "answer": "b", "ms": 900})
    assert (status, json.loads(text)["done"]) == (200, 1)
    (vote,) = read(path, "letters").rows
    assert (vote.answer, vote.ms, vote.rater) == ("b", 900, "anna")
    assert ask("POST", "/api/vote", {"pair": state["pair"], "answer": "b", "ms": 1})[0] == 409
    assert ask("POST", "/api/undo", {})[0] == 200
    assert read(path, "letters").rows == ()
    assert ask("POST", "/api/undo", {})[:2] == (409, "there is no vote to take back")


@pytest.mark.parametrize(
    "changed",
    [
        {"x_seqtutor_token": None},
        {"x_seqtutor_token": "guess"},
        {"x_seqtutor_token": "é"},
        {"host": "evil.example"},
        {"host": None},
        {"host": "127.0.0.1"},
        {"host": "127.0.0.1.evil.example:80"},
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": None},
        {"origin": "http://localhost"},
    ],
)
def test_another_origin_a_wrong_host_or_no_token_is_forbidden_and_writes_nothing(server, changed):
    ask, path, _ = server
    pair = json.loads(ask("GET", "/api/pair")[1])["pair"]
    try:
        status, text, _ = ask("POST", "/api/vote", {"pair": pair, "answer": "a", "ms": 1}, **changed)
    except ConnectionResetError:  # a request without a host is none: the server hangs up without reading all of it
        assert changed == {"host": None}
        status, text = 400, ""
    assert status in (403, 400)
    assert status == 403 or changed == {"host": None}
    assert pair not in text
    assert not path.exists()
    if "origin" not in changed or changed["origin"]:
        assert ask("GET", "/api/pair", **changed)[0] in (403, 400)


def test_files_need_no_token_and_every_answer_has_a_strict_policy(server):
    ask, _, port = server
    for name in ("/", "/rate.css", "/rate.js", "/page.css", "/page.js"):
        status, text, headers = ask("GET", name, x_seqtutor_token=None, host=f"localhost:{port}")
        assert status == 200
        assert text
        assert "default-src 'none'; script-src 'self'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert "server" not in headers
    assert ask("GET", "/", host="evil.example")[0] == 403
    for name in ("/../votes.py", "/%2e%2e/votes.py", "/page/rate.js", "/api/none"):
        assert ask("GET", name)[0] == 404
    assert ask("GET", "/api/vote")[0] == 405
    html = ask("GET", "/")[1]
    assert "http" not in html.replace("http-equiv", "")
    assert "style=" not in html
    assert "<script src" in html


@pytest.mark.parametrize(
    ("body", "changed", "status"),
    [
        (b"{", {}, 400),
        (b"[1]", {}, 400),
        (b"[" * 50_000, {}, 400),
        (b'"' + b"x" * 70_000, {}, 413),
        ({"pair": 1, "answer": "a"}, {}, 400),
        ({"pair": "x", "answer": "undo"}, {}, 400),
        ({"pair": "x", "answer": ["a"]}, {}, 400),
        ({"pair": "x", "answer": "a", "ms": -1}, {}, 400),
        ({"pair": "x", "answer": "a", "ms": True}, {}, 400),
        ({"pair": "x", "answer": "a"}, {}, 409),
        ({"pair": "x", "answer": "a"}, {"content_type": "text/plain"}, 415),
    ],
)
def test_what_is_no_vote_is_refused_and_not_written(server, body, changed, status):
    ask, path, _ = server
    assert ask("POST", "/api/vote", body, **changed)[0] == status
    assert not path.exists()
    assert ask("GET", "/api/pair")[0] == 200


def test_a_port_in_use_or_out_of_range_is_one_line(tmp_path):
    with bound(0) as taken:
        port = taken.getsockname()[1]
        result = CliRunner().invoke(main, ["rate", "music", "--port", str(port)])
    assert result.exit_code == 1
    assert f"cannot use port {port}: Address already in use; --port 0 takes a free one" in result.output
    result = CliRunner().invoke(main, ["rate", "music", "--port", "70000"])
    assert "cannot use port 70000: a port lies between 0 and 65535; --port 0 takes a free one" in result.output


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL])
def test_the_command_answers_and_an_end_loses_no_vote(tmp_path, end):
    words = ["rate", "music", "--no-open", "--rater", "anna"]
    process = subprocess.Popen(
        [sys.executable, "-m", "seqtutor", *words], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    url = process.stdout.readline().split()[-1]
    address, token = url.removeprefix("http://").split("/#")

    def ask(method, path, body=None):
        headers = {"x-seqtutor-token": token, "origin": f"http://{address}", "content-type": "application/json"}
        with closing(http.client.HTTPConnection(address, timeout=120)) as connection:
            connection.request(method, path, json.dumps(body) if body else None, headers)
            with connection.getresponse() as answer:
                return json.loads(answer.read())

    state = ask("GET", "/api/pair")
    state = ask("POST", "/api/vote", {"pair": state["pair"], "answer": "a", "ms": 1})
    for _ in range(4):
        state = ask("POST", "/api/vote", {"pair": state["pair"], "answer": "b", "ms": 1})
    assert all(item["notes"] for item in state["items"])
    os.kill(process.pid, end)
    rest = process.stdout.read()
    process.stdout.close()
    process.wait(120)
    assert [vote.answer for vote in read(tmp_path / "music-votes.jsonl", "music").rows] == ["a", "b", "b", "b", "b"]
    if end == signal.SIGINT:
        assert process.returncode == 0
        assert "5 votes given, 5 of anna in all, in music-votes.jsonl" in rest


def test_the_command_names_the_lines_that_are_no_votes(installed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("prior").mkdir()
    save_model(new_model(spread=1.0, hidden=8), Path("prior"), "model", domain="letters")
    append(Path("letters-votes.jsonl"), Vote("letters", "anna", "a", "b", "a"))
    with Path("letters-votes.jsonl").open("a") as file:
        file.write("{\n" * 4)
    monkeypatch.setattr("seqtutor.cli.rate._serve", lambda *_: None)
    result = CliRunner().invoke(main, ["rate", "./prior", "--rater", "anna"])
    assert "letters-votes.jsonl:2: no JSON object of at most" in result.output
    assert "4 votes were passed over in all" in result.output
    assert "0 votes given, 1 of anna in all" in result.output


def test_models_of_two_domains_are_not_compared(installed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("letters", "fixedletters"):
        Path(name).mkdir()
        model = new_model(spread=1.0, hidden=8, fixed_length=name == "fixedletters")
        save_model(model, Path(name), "model", domain=name)
    result = CliRunner().invoke(main, ["rate", "./letters", "--against", "./fixedletters"])
    assert result.exit_code == 1
    assert "'fixedletters' is of domain 'fixedletters' and 'letters' of 'letters'" in result.output
    assert "only models of one domain can be compared" in result.output


PRESSES = """
const keys = ["ArrowLeft", "b", "ArrowDown", "x", "q", "z", "ArrowRight"];
let before = null;
setInterval(() => {
  if (busy || !state || (keys.length < 7 && state.pair === before && keys[0] !== "z")) return;
  const key = keys.shift();
  before = state.pair;
  if (key === "q") before = null;
  if (key) document.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
  const sizes = [...document.querySelectorAll("button")].filter((b) => b.offsetParent).map((b) => b.offsetHeight);
  document.body.dataset.smallest = Math.min(...sizes);
  document.body.dataset.wide = document.documentElement.scrollWidth - innerWidth;
}, 60);
"""


class Driven(Page):
    """A page that presses keys by itself."""

    presses = PRESSES

    async def _file(self, request):
        answer = await super()._file(request)
        if request.url.path == "/rate.js":
            answer.body += self.presses.encode()
            answer.headers["content-length"] = str(len(answer.body))
        return answer


@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs chromium")
@pytest.mark.parametrize("width", [390, 1100])
def test_a_browser_votes_by_keyboard_and_the_page_fits_a_phone(tmp_path, width):
    dom = shown_by_a_browser(Driven(session(tmp_path / "v"), 100, "seqtutor train"), tmp_path, width)
    assert [vote.answer for vote in read(tmp_path / "v", "letters").rows] == ["a", "b", "same", "b"]
    assert int(dom.partition('data-smallest="')[2].partition('"')[0]) >= 44
    assert int(dom.partition('data-wide="')[2].partition('"')[0]) <= 0
    assert "4 of 100 votes" in dom


def shown_by_a_browser(page, tmp_path, width=1100):
    """What a page has become after six seconds in a browser."""
    listening = bound(0)
    url = f"http://127.0.0.1:{listening.getsockname()[1]}/#secret"
    thread = threading.Thread(target=serve, args=(page, listening, "secret", lambda ended: None), daemon=True)
    thread.start()
    flags = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    flags += [f"--window-size={width},900", "--virtual-time-budget=6000", "--dump-dom"]
    dom = subprocess.run(["chromium", *flags, url], capture_output=True, text=True, timeout=60, check=False).stdout
    page.last = -1e9
    thread.join(10)
    listening.close()
    return dom


ELSEWHERE = """
const press = (key) => document.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
const settled = async () => { do await new Promise((wake) => setTimeout(wake, 50)); while (busy || !state); };
const note = (name) => {
  const chosen = document.querySelectorAll(".chosen").length;
  document.body.dataset[name] = `${$("#notice").textContent} ${chosen} chosen, ${$("#count").textContent}`;
};
(async () => {
  await settled();
  await ask("api/vote", { pair: state.pair, answer: "a", ms: 1 }); // in another tab
  press("b");
  await settled();
  note("answered");
  press("b");
  await settled();
  note("on");
  const real = fetch;
  window.fetch = async (...words) => { window.fetch = real; await real(...words); throw new TypeError("lost"); };
  press("x");
  await settled();
  note("lost");
})();
"""


@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs chromium")
def test_a_page_whose_pair_was_answered_elsewhere_or_whose_reply_is_lost_goes_on(tmp_path):
    page = Driven(session(tmp_path / "v"), 100, "seqtutor train")
    page.presses = ELSEWHERE
    dom = shown_by_a_browser(page, tmp_path)
    refused = "that pair is not the one that is open. Nothing was counted. 0 chosen, 1 of 100 votes"
    assert f'data-answered="{refused}"' in dom
    assert 'data-on=" 0 chosen, 2 of 100 votes"' in dom
    lost = "No answer: is the command 'seqtutor rate' still running? It is not known whether that was counted."
    assert f'data-lost="{lost} 0 chosen, 3 of 100 votes"' in dom
    assert [vote.answer for vote in read(tmp_path / "v", "letters").rows] == ["a", "b", "bad"]
