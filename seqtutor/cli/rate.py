"""`seqtutor rate`: a local page where somebody chooses between two items, again and again."""

from __future__ import annotations

import getpass
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from seqtutor.cli.options import SEED, ModelCommand, as_typed, typed

if TYPE_CHECKING:
    from seqtutor.people.asking import Session
    from seqtutor.people.server import Page
    from seqtutor.runs.drawing import Source


@click.command(cls=ModelCommand)
@click.argument("model")
@click.option("--against", default="", metavar="MODEL", help="Another model: each pair has one item of either.")
@click.option(
    "-n", "count", type=click.IntRange(1), default=100, show_default=True, help="Votes that you want to give now."
)
@click.option("--rater", default="", help="Who votes.  [default: your name on this machine]")
@click.option("--votes", default="", metavar="FILE", help="File to add the votes to.  [default: <domain>-votes.jsonl]")
@click.option("--port", type=int, default=0, show_default=True, help="Port on this machine; 0: any that is free.")
@click.option("--seed", type=SEED, default=0, show_default=True, help="Seed of the items and of their order.")
@click.option("--open/--no-open", "browser", default=True, show_default=True, help="Open the page in a browser.")
def rate(
    model: str, against: str, count: int, rater: str, votes: str, port: int, seed: int, browser: bool, **options: Any
) -> None:
    """Choose between two items of MODEL, a run folder or a prior, on a page that only this machine can open.

    \b
    seqtutor rate music
    seqtutor rate outputs/music-reinforce-20260101-120000 -n 50 --rater anna
    seqtutor rate outputs/molecules-tb-20260101-120000 --against molecules
    seqtutor train --domain music --taste music-votes.jsonl
    """
    from seqtutor.cli.tasting import say_passed_over
    from seqtutor.people.server import Page, bound
    from seqtutor.rewards.taste import LEAST
    from seqtutor.runs.drawing import open_model

    listening = bound(port)
    with listening:
        source = open_model(model, typed(options))
        path = Path(votes or f"{source.domain.name}-votes.jsonl")
        session = _session(source, model, against, path, rater or _name(), seed)
        say_passed_over(session.passed_over)
        command = _command(source, model, path)
        before = len(session.votes)
        page = Page(session, before + count, command)
        _serve(page, source, listening.getsockname()[1], listening, browser)
    given = len(session.votes)
    click.echo(f"{len(session.mine)} votes given, {given} of {session.rater} in all, in {session.path}")
    if session.problem:
        click.echo(f"pairs were chosen at random: {session.problem}")
    if given >= LEAST:
        click.echo(f"tune with: {command}")


def _session(source: Source, model: str, against: str, path: Path, rater: str, seed: int) -> Session:
    """A session over items of the model and of its prior, or of two models that stand against each other."""
    import numpy as np

    from seqtutor.people.asking import POOL, Session
    from seqtutor.people.lens import different_items
    from seqtutor.runs.drawing import alike, open_model

    models = {"policy": source.model, "prior": source.prior} if source.tuned else {"prior": source.model}
    if against:
        other = alike(open_model(against), against, source)
        models = {model: source.model, against if against != model else f"{against} again": other.model}
    writers = {
        name: different_items(one, source.domain, POOL, seed + place)
        for place, (name, one) in enumerate(models.items())
    }
    return Session(source.domain, writers, path, rater, np.random.default_rng(seed), bool(against))


def _serve(page: Page, source: Source, port: int, listening: Any, browser: bool) -> None:
    """Answer until Ctrl-C, and learn beside it."""
    import secrets
    import threading
    import webbrowser
    from collections.abc import Callable
    from contextlib import suppress
    from functools import partial

    from seqtutor.people.lens import new_lens
    from seqtutor.people.server import LOOPBACK, serve

    token = secrets.token_urlsafe(16)
    url = f"http://{LOOPBACK}:{port}/#{token}"
    click.echo(f"vote here: {url}\nthe votes go to {page.session.path}; Ctrl-C ends")

    learners: list[threading.Thread] = []

    def started(ended: Callable[[], bool]) -> None:
        lens = partial(new_lens, source.domain, source.prior)
        learner = threading.Thread(target=page.session.follow, args=(lens, ended))
        learner.start()
        learners.append(learner)
        if browser and sys.stdout.isatty():
            webbrowser.open(url)

    with suppress(KeyboardInterrupt):
        serve(page, listening, token, started)
    for learner in learners:
        learner.join()  # torch must not be left in the middle of a sum when the process ends


def _command(source: Source, model: str, path: Path) -> str:
    """What tunes a model by the votes."""
    used = source.domain.own_prior if model == source.domain.name else model
    prior = source.config.prior if source.tuned else ("" if used == source.domain.name else used)
    words = ["seqtutor", "train", "--domain", source.domain.name, *(["--prior", prior] if prior else [])]
    return shlex.join([*words, *as_typed(source.domain.options), "--taste", str(path)])


def _name() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a user id without a name
        return "somebody"
