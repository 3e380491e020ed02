"""What the engine costs and saves: python benchmarks/scoring.py

Prints a table: QED, SA and logP in this process and over two others, cached against not, the engine's time for an item
on top of the function itself, a scorer that fails, hangs and dies beside a healthy one, what a checkpoint costs, and a
resume. Run it on an idle machine with two cores at least and OMP_NUM_THREADS=1.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

from hostile import fate

import seqtutor
from seqtutor import SequenceTerm
from seqtutor.config import TrainConfig
from seqtutor.priors.files import load_prior
from seqtutor.rewards.outcomes import Outcome
from seqtutor.rewards.scorer import Scorer
from seqtutor.rewards.terms import TermSettings, settings_of, weighted_terms
from seqtutor.runs.checkpoint import SECONDS, SHARE
from seqtutor.runs.folder import RunFolder
from seqtutor.training.tuner import Tuner
from seqtutor.training.tuning import checkpoint, resume
from seqtutor_molecules.structures import molecule

EXAMPLES = Path(__file__).parents[1] / "examples"
ITEMS = 200
REPEATS = 2
HOSTILE = 3000  # texts of the hostile run
TIMEOUT = 0.5  # seconds


def seconds(work: Callable[[], object], before: Callable[[], object] = lambda: None) -> float:
    """The least of REPEATS times, `before` not counted."""
    times = []
    for _ in range(REPEATS):
        before()
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return min(times)


def forget() -> None:
    """Empty the domain's own memory, which would make the second time free."""
    from seqtutor_molecules import properties

    molecule.cache_clear()
    for function in vars(properties).values():
        if hasattr(function, "cache_clear"):
            function.cache_clear()


def main() -> None:
    """Measure and print."""
    domain = seqtutor.load("molecules")
    texts = [line.split()[0] for line in (EXAMPLES / "molecules.smi").read_text(encoding="utf-8").splitlines()][:ITEMS]
    weights = {term.name: float(term.name in ("qed", "makeability", "logp")) for term in domain.terms()}
    terms = [term for term in weighted_terms(domain, weights) if term.weight and isinstance(term, SequenceTerm)]
    with tempfile.TemporaryDirectory() as folder:
        print(f"{len(texts)} molecules, QED + SA + logP")
        times = {}
        for workers in (1, 2):
            times[workers] = fresh(terms, texts, workers)
            print(f"  {workers} process{'es' if workers > 1 else '':<3}{1e3 * times[workers]:>10.1f} ms")
        print(f"  two against one    {times[1] / times[2]:.2f} times as fast")
        path = Path(folder) / "answers.sqlite"
        ask_disk(domain, terms, texts, path)
        cached = seconds(lambda: ask_disk(domain, terms, texts, path))
        print(f"  from disk          {1e3 * cached:.2f} ms: {times[1] / cached:,.0f} times as fast as one process")
        overhead(texts)
        hostile(domain)
        cost(domain, Path(folder))


def fresh(terms: Sequence[SequenceTerm], texts: Sequence[str], workers: int) -> float:
    """Seconds that new worker processes, started before the clock, take for texts that they have not seen."""
    times = []
    for _ in range(REPEATS):
        with closing(Scorer(seqtutor.load("molecules"), terms, workers=workers)) as scorer:
            ask(scorer, ["C"] * 1 + ["CC", "CCC", "CCCC"])
            began = time.perf_counter()
            ask(scorer, texts)
            times.append(time.perf_counter() - began)
    return min(times)


def ask(scorer: Scorer, texts: Sequence[str]) -> None:
    """Have every term answer for the texts that nobody has asked it about; nothing is counted."""
    scorer.answers.submit(texts)
    scorer.answers.finish()


def ask_disk(domain: seqtutor.Domain, terms: Sequence[SequenceTerm], texts: Sequence[str], path: Path) -> None:
    """The same in a new scorer, which remembers nothing and finds everything on disk."""
    scorer = Scorer(domain, terms)
    with scorer.remembering(path):
        ask(scorer, texts)


def overhead(texts: Sequence[str]) -> None:
    """Microseconds an item beyond a function that costs nothing, here and in a worker."""
    many = [f"{text}{i}" for i in range(20) for text in texts]
    domain = seqtutor.load("molecules")
    (free,) = (term for term in domain.terms() if term.name == "validity" and isinstance(term, SequenceTerm))
    for label, workers in (("in this process", 0), ("in a worker", 1)):
        with closing(Scorer(domain, [free], workers=workers)) as scorer:
            ask(scorer, ["C"])
            spent = seconds(lambda scorer=scorer: ask(scorer, many)) - seconds(lambda: free.values(many))  # type: ignore[misc]
            print(f"engine, {label:<16}{1e6 * spent / len(many):>6.1f} us an item")


def hostile(domain: seqtutor.Domain) -> None:
    """A scorer that fails on 10 %, hangs on 1 % and kills its worker on .1 % of the texts, beside a healthy one.

    A text that hangs keeps one of the workers waiting for 1 + retries time-outs, and the first of all for one more, as
    part of a call of several: these, shared by the workers, are taken off the time of the hostile one.
    """
    texts = [f"C{'C' * (i % 7)}{i}" for i in range(HOSTILE)]
    wanted = Counter(fate(text) for text in texts)
    healthy, _ = scored(domain, "healthy", texts)
    spent, answers = scored(domain, "hostile", texts)
    wrong = [text for text, outcome in answers.items() if (outcome.kind == "value") != (fate(text) == "works")]
    waits = TIMEOUT * (wanted["hangs"] * (1 + TermSettings.retries) + 1) / 2
    told = ", ".join(f"{count:,} {kind}" for kind, count in sorted(wanted.items()))
    print(f"a hostile scorer, 2 workers, {HOSTILE:,} texts: {told}; {len(wrong)} wrongly told")
    print(f"  a healthy one      {healthy:.2f} s")
    print(f"  the hostile one    {spent:.2f} s, of which time-outs {waits:.2f} s")
    print(f"  time-outs apart    {(spent - waits) / healthy:.2f} times the healthy one's")


def scored(domain: seqtutor.Domain, kind: str, texts: Sequence[str]) -> tuple[float, dict[str, Outcome]]:
    """Seconds that a function of hostile.py takes with two workers, started before the clock; and its answers."""
    settings = settings_of({kind: {"function": f"hostile:{kind}", "workers": 2, "timeout": TIMEOUT}})
    terms = [term for term in weighted_terms(domain, {}, settings) if term.name == kind]
    times = []
    for _ in range(REPEATS):
        with closing(Scorer(domain, terms, settings=settings)) as scorer:
            ask(scorer, [f"{i} to warm it" for i in range(8)])
            began = time.perf_counter()
            ask(scorer, texts)
            known, reasons = scorer.answers.known[kind], scorer.answers.reasons
            answers = {text: reasons.get((kind, text), Outcome(known[text])) for text in texts}
            times.append(time.perf_counter() - began)
    return min(times), answers


def cost(domain: seqtutor.Domain, folder: Path) -> None:
    """The share of a run that its checkpoints take, with a full memory; what a resume needs beyond a fresh start."""
    tuner = Tuner(domain, TrainConfig(domain="molecules"), load_prior("molecules", domain))
    batch, _ = tuner.receive(tuner.collect())
    for _ in range(tuner.config.settings.replay // len(batch) + 1):
        tuner.replay.add(batch)
    spent = seconds(lambda: checkpoint(tuner, RunFolder(folder)))
    size = (folder / "checkpoint" / "checkpoint.safetensors").stat().st_size
    every = max(SECONDS, spent / SHARE)
    print(f"a checkpoint: {spent:.2f} s for {size / 1e6:.0f} MB, every {every:.0f} s: {spent / every:.1%} of a run")
    fresh = Tuner(domain, tuner.config, load_prior("molecules", domain))
    spent = seconds(lambda: resume(fresh, RunFolder(folder)))
    print(f"a resume: {spent:.2f} s from that checkpoint to the first new update, beyond what a fresh start needs")


if __name__ == "__main__":
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    forget()
    main()
