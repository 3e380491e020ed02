"""Hostile inputs for every reader: real files, bitten, spliced and stretched. A reader may refuse; nothing else.

    python benchmarks/fuzz.py                      1,000 inputs each
    python benchmarks/fuzz.py --count 100000       the long form
    python benchmarks/fuzz.py --only midi --seed 3

Prints a table: inputs, how many were read, how many refused in a line, the most memory that the reader's process held
and by how much its inputs raised that, what crashed or hung (with the input kept in ./fuzz-findings/). Each reader runs
in a process of its own with a limit on its memory, and 5 seconds of work an input: on a busy machine a wait is no hang,
unless it lasts 30.
"""

from __future__ import annotations

import argparse
import functools
import gzip
import json
import os
import random
import re
import resource
import shutil
import signal
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import nn

import seqtutor
from seqtutor import Domain, UserError
from seqtutor.config import TrainConfig, build
from seqtutor.files import read_toml
from seqtutor.people.taste import evidence
from seqtutor.people.votes import Vote, append
from seqtutor.people.votes import read as read_votes
from seqtutor.priors.files import load_model, save_model
from seqtutor.priors.model import LstmModel
from seqtutor.records import read_record
from seqtutor.rewards.terms import settings_of
from seqtutor.runs.checkpoint import CURRENT, Stateful, _digest, check_state, load_checkpoint, save_checkpoint
from seqtutor.runs.report import render
from seqtutor.runs.status import status_of

SECONDS = 5  # of work that an input may take
WAIT = 30  # seconds that it may take in all
MEMORY = 12 << 30  # bytes of address space
EXAMPLES = Path(__file__).parents[1] / "examples"
Reader = Callable[[bytes, Path], object]

ABC = b"X:1\nT:A tune\nM:4/4\nL:1/8\nK:G\n|:GABc dedB|dedB dedB|c2ec B2dB|A2A2 A2BA:|\n"
NOTE = b"<note><pitch><step>%b</step><octave>4</octave></pitch><duration>2</duration><type>half</type></note>"
BAR = b"<measure number='%b'>%b" + NOTE % b"C" + NOTE % b"G" + b"</measure>"
METRE = b"<divisions>1</divisions><key><fifths>0</fifths></key><time><beats>4</beats><beat-type>4</beat-type></time>"
MUSICXML = (
    b"<?xml version='1.0'?><score-partwise version='3.1'>"
    b"<part-list><score-part id='P1'><part-name>one</part-name></score-part></part-list><part id='P1'>"
    + (BAR % (b"1", b"<attributes>" + METRE + b"</attributes>") + BAR % (b"2", b""))
    + b"</part></score-partwise>"
)
TOML = b"""domain = "molecules"
updates = 10
temperature = 0.05
combine = "geometric"
[weights]
qed = 1.0
[options]
[terms.mine]
function = "m:f"
transform = { kind = "double_sigmoid", low = 1, high = 3 }
timeout = 3
[terms.logp]
transform = { kind = "interpolation", points = [[0, 0], [1, 1.5]] }
"""
GOOD = b"CCO\nc1ccccc1\n" * 9
RECORD = b"text,y\n" + b"".join(b"%s,%d\n" % (b"C" * n, n) for n in range(1, 12))
RECORDS = b"".join(b'{"text": "%s", "y": %d.5}\n' % (b"C" * n, n) for n in range(1, 12))
WORDS = (b"\x00", b"\xff", b"\n", b"'", b'"', b"[", b"{", b"(", b"9" * 30, b"-1", b"1e999", b"nan", b"<script>", b"../")
NUMBER = re.compile(rb"-?\d+\.?\d*")
# In a number's place the rest stays well-formed, and what comes after the parser is reached.
ODD = b'-1 0 -0.0 0.5 7 1e308 -1e308 1e-320 1e999 NaN null true "" []'.split()


def mutants(seeds: list[bytes], rng: random.Random) -> Iterator[bytes]:
    """Endless variations: bytes flipped, pieces cut, doubled, spliced from another seed, odd words and numbers."""
    while True:
        data = bytearray(rng.choice(seeds))
        for _ in range(rng.choice((1, 1, 2, 4, 16))):
            if not data:
                data = bytearray(rng.randbytes(8))
            place = rng.randrange(len(data))
            width = min(len(data) - place, 1 + int(rng.expovariate(0.2)))
            kind = rng.randrange(7)
            if kind == 0:
                data[place] ^= 1 << rng.randrange(8)
            elif kind == 1:
                data[place : place + width] = b""
            elif kind == 2:
                data[place:place] = data[place : place + width] * rng.choice((1, 2, 50))
            elif kind == 3:
                other = rng.choice(seeds)
                start = rng.randrange(len(other))
                data[place : place + width] = other[start : start + width]
            elif kind == 4:
                data[place:place] = rng.choice(WORDS)
            elif kind == 5:
                numbers = [found.span() for found in NUMBER.finditer(data)]
                start, end = rng.choice(numbers or [(place, place)])
                data[start:end] = rng.choice(ODD)
            else:
                data[place : place + width] = rng.randbytes(width)
        yield bytes(data[:100_000])


def _file(domain: str, name: str) -> Reader:
    """A reader of a domain's data file, which says of every line whether it can be learnt from."""
    loaded = seqtutor.load(domain)

    def read(data: bytes, folder: Path) -> None:
        (folder / name).write_bytes(data)
        try:
            lines = list(loaded.read(folder / name))
        except (OSError, UnicodeDecodeError) as error:  # as the command line does
            raise UserError(str(error)) from error
        for line in lines[:50]:
            if line.text:
                loaded.encode(line.text)

    return read


@functools.cache
def _molecules() -> Domain:
    return seqtutor.load("molecules")


def _toml(data: bytes, folder: Path) -> None:
    (folder / "run.toml").write_bytes(data)
    config = build(TrainConfig, read_toml(folder / "run.toml"))
    settings_of(config.terms)
    if config.domain:
        seqtutor.load(config.domain, config.options)


def _weights(data: bytes, folder: Path) -> None:
    """The two files of a model, one behind the other: four bytes of length, the description, the weights."""
    length = int.from_bytes(data[:4], "little") % (len(data) + 1)
    (folder / "config.json").write_bytes(data[4 : 4 + length])
    (folder / "model.safetensors").write_bytes(data[4 + length :])
    load_model(folder, "model")


def _packed(data: bytes, folder: Path) -> None:
    """As a file of molecules that was packed: bitten first and then packed, and bitten as it was packed."""
    domain = _molecules()
    for name, content in (("some.smi.gz", gzip.compress(data, 1)), ("other.smi.gz", gzip.compress(GOOD, 1))):
        if name == "other.smi.gz":
            place = len(data) % len(content)
            content = content[:place] + data[:8] + content[place:]
        (folder / name).write_bytes(content)
        with suppress(UserError):
            list(domain.read(folder / name))


def _votes(data: bytes, folder: Path) -> None:
    """Votes on molecules, and the taste that they tell of."""
    (folder / "votes.jsonl").write_bytes(data)
    votes = read_votes(folder / "votes.jsonl", "molecules")
    figures = np.zeros((len(votes.rows), 2))
    evidence(votes.rows, figures, figures, np.ones((1, 2)))


def _record(data: bytes, folder: Path) -> None:
    """A table of scored molecules, as --log takes it, in both of its forms."""
    for name in ("some.csv", "some.jsonl"):
        (folder / name).write_bytes(data)
        with suppress(UserError):
            read_record(_molecules(), [str(folder / name)], {"y": "y"})


def _checkpoint(data: bytes, folder: Path) -> None:
    """A checkpoint as it is, and again behind a right digest, if its parts can be told."""
    model = nn.Linear(2, 2)
    optimiser, generator = torch.optim.Adam(model.parameters()), torch.Generator()
    parts: dict[str, Stateful] = {"policy": model, "optimiser": optimiser, "random": generator}
    (folder / CURRENT).write_bytes(data)
    try:
        load_checkpoint(folder, parts, _check)
    except UserError:
        (folder / CURRENT).write_bytes(_resigned(data))
        load_checkpoint(folder, parts, _check)


def _check(state: dict[str, Any]) -> None:
    check_state(state, {"update": int, "seconds": float, "names": [str]})


def _resigned(data: bytes) -> bytes:
    """The same tensors and state with the digest that belongs to them. Raises UserError where it holds none."""
    try:
        tensors = load(data)
        state = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]["state"]
        return bytes(save(tensors, {"state": state, "digest": _digest(state, tensors)}))
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UserError("it holds no tensors") from error


def _seeds_of_checkpoints(folder: Path) -> list[bytes]:
    model = nn.Linear(2, 2)
    optimiser = torch.optim.Adam(model.parameters())
    model(torch.ones(1, 2)).sum().backward()
    optimiser.step()
    parts: dict[str, Stateful] = {"policy": model, "optimiser": optimiser, "random": torch.Generator()}
    save_checkpoint(folder, parts, {"update": 2, "seconds": 0.5, "names": ["a", "b"]})
    return [(folder / CURRENT).read_bytes()]


def _seeds_of_votes(folder: Path, items: list[str]) -> list[bytes]:
    for a, b, answer in zip(items, items[1:], ("a", "b", "same", "bad", "a"), strict=False):
        vote = append(folder / "votes.jsonl", Vote("molecules", "anna", a, b, answer))
    append(folder / "votes.jsonl", Vote("molecules", "anna", a, b, "undo", of=vote.id))
    return [(folder / "votes.jsonl").read_bytes()]


def _run(data: bytes, folder: Path) -> None:
    """The tables of a run, behind one another with a line of equals signs between."""
    names = ("config.toml", "metrics.csv", "samples.csv", "summary.json", "failures.csv")
    for name, content in zip(names, (data + b"\n=====\n" * 5).split(b"\n=====\n"), strict=False):
        (folder / name).write_bytes(content)
    status_of(folder)
    render(folder, _molecules())


def _seeds_of_weights(folder: Path) -> list[bytes]:
    domain = seqtutor.load("molecules")
    torch.manual_seed(0)
    save_model(LstmModel(domain.vocabulary, embedding=2, hidden=2), folder, "model", domain="molecules")
    about, tensors = (folder / "config.json").read_bytes(), (folder / "model.safetensors").read_bytes()
    return [len(about).to_bytes(4, "little") + about + tensors]


def _seeds_of_runs() -> list[bytes]:
    figure = {"mean": 0.5, "halfwidth": 0.1}
    row = {"prior": figure, "best_of_n": figure, "policy": figure, "better": "higher", "percent": False, "summary": ""}
    summary = {
        **{"updates": 2, "seconds": 3.0, "oracle_calls": 8, "samples": 4, "best_of": 16, "interrupted": False},
        **{"kl": {"sequence": 1.0, "token": 0.1}, "best_of_kl": 1.8, "reward": {**row, "name": "reward"}},
        "best_scored": {"items": 0, "reward": None},
        "terms": [{**row, "name": "qed", "weight": 1.0, "source": ""}],
        "measures": [{**row, "name": "valid"}],
    }
    columns = "update,seconds,reward,kl,kl_per_token,temperature,loss,valid,distinct,length,oracle_calls,term.qed\n"
    parts = (
        'domain = "molecules"\nupdates = 2\n',
        columns + "1,0.5,0.1,0,0,1,2,0.9,1,30,4,0.5\n2,0.9,0.2,1,0.1,1,1,0.9,1,31,8,0.6\n",
        "number,model,text,reward,term.qed,file\n1,policy,CCO,0.4,0.4,1\n1,prior,c1ccccc1,0.3,0.3,\n2,prior,,0,0,\n",
        json.dumps(summary),
        "update,term,text,reason\n1,qed,CC,gave nan\n",
    )
    return ["\n=====\n".join(parts).encode()]


def readers(folder: Path) -> dict[str, tuple[Reader, list[bytes]]]:
    """Every reader with the real inputs that it is fuzzed from."""
    music = seqtutor.load("music")
    melodies = (EXAMPLES / "melodies.txt").read_text(encoding="utf-8").splitlines()[:3]
    midi = [path.read_bytes() for path in music.write(melodies, folder / "midi")]
    smiles = (EXAMPLES / "molecules.smi").read_text(encoding="utf-8").splitlines()[:40]
    _, sdf = seqtutor.load("molecules").write([line.split()[0] for line in smiles[:3]], folder / "sdf")
    return {
        "smiles": (_file("molecules", "some.smi"), [line.encode() for line in smiles]),
        "csv": (_file("molecules", "some.csv"), [b"name,smiles\na,CCO\nb,c1ccccc1\n"]),
        "sdf": (_file("molecules", "some.sdf"), [sdf.read_bytes()]),
        "midi": (_file("music", "some.mid"), midi),
        "abc": (_file("music", "some.abc"), [ABC, ABC + b"\n" + ABC.replace(b"K:G", b"K:Dm")]),
        "musicxml": (_file("music", "some.musicxml"), [MUSICXML]),
        "melodies": (_file("music", "some.txt"), [line.encode() for line in melodies]),
        "toml": (_toml, [TOML]),
        "safetensors": (_weights, _seeds_of_weights(folder)),
        "run": (_run, _seeds_of_runs()),
        "packed": (_packed, [line.encode() for line in smiles]),
        "votes": (_votes, _seeds_of_votes(folder, [line.split()[0] for line in smiles[:6]])),
        "record": (_record, [RECORD, RECORDS]),
        "checkpoint": (_checkpoint, _seeds_of_checkpoints(folder)),
    }


def attempt(reader: Reader, data: bytes) -> str:
    """What a reader does with an input, in a folder of its own: 'read', 'refused', or what it raised."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            reader(data, Path(folder))
        except UserError:
            return "refused"
        except Hang as hang:
            return f"hung for {hang}"
        except Exception as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            return f"{type(error).__name__} at {Path(place.filename).name}:{place.lineno}"
    return "read"


class Hang(BaseException):
    """An input took too long."""


def _alarm(number: int, frame: object) -> None:
    raise Hang(f"{SECONDS} s of work" if number == signal.SIGPROF else f"{WAIT} s")


def watch(seconds: float, wait: float) -> None:
    """Raise Hang after so many seconds of this process's work, or of the clock; 0 and 0: never."""
    signal.setitimer(signal.ITIMER_PROF, seconds)
    signal.setitimer(signal.ITIMER_REAL, wait)


def peak() -> int:
    """The most memory that this process ever held, in megabytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


def fuzz(name: str, count: int, seed: int, findings: Path, report: Path) -> None:
    """Try `count` inputs on one reader; keep those that crash or hang it; write the tally as JSON."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    for number in (signal.SIGALRM, signal.SIGPROF):
        signal.signal(number, _alarm)
    tally: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        reader, seeds = readers(Path(folder))[name]
        if "read" not in [attempt(reader, data) for data in seeds]:  # and what these need is no input's fault
            raise RuntimeError(f"the reader '{name}' refuses good files: a table would say nothing")
        before = peak()
        for data, _ in zip(mutants(seeds, random.Random(seed)), range(count), strict=False):
            (findings / f"{name}.last").write_bytes(data)  # what a crash of the whole process leaves behind
            watch(SECONDS, WAIT)
            result = attempt(reader, data)
            watch(0, 0)
            if result not in ("read", "refused") and not tally[result]:
                (findings / f"{name}.{len(tally)}").write_bytes(data)
            tally[result] += 1
    (findings / f"{name}.last").unlink()
    report.write_text(json.dumps({"tally": tally, "memory": (peak(), peak() - before)}))


def main() -> None:
    """Fuzz each reader in a process of its own and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="")
    args = parser.parse_args()
    findings = Path("fuzz-findings")
    findings.mkdir(exist_ok=True)
    work = Path(tempfile.mkdtemp())
    names = [args.only] if args.only else list(readers(work))
    print(f"{'reader':<14}{'inputs':>9}{'read':>9}{'refused':>9}{'seconds':>9}{'MB':>7}{'grown':>7}  crashed or hung")
    for name in names:
        report, began = work / f"{name}.json", time.monotonic()
        child = os.fork()
        if child == 0:
            devnull = os.open(os.devnull, os.O_WRONLY)
            os.dup2(devnull, 2)  # what libraries say of bad input
            fuzz(name, args.count, args.seed, findings, report)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        died: dict[str, Any] = {"tally": {f"process died: {status}": 1}, "memory": (0, 0)}
        found = json.loads(report.read_text()) if report.is_file() else died
        tally, memory = Counter(found["tally"]), found["memory"]
        bad = {key: value for key, value in tally.items() if key not in ("read", "refused")}
        spent = time.monotonic() - began
        counts = (sum(tally.values()), tally["read"], tally["refused"])
        print(
            f"{name:<14}"
            + "".join(f"{count:>9,}" for count in counts)
            + f"{spent:>9.1f}{memory[0]:>7,}{memory[1]:>7,}  {bad or 'none'}"
        )
    shutil.rmtree(work)


if __name__ == "__main__":
    main()
