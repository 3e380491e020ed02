"""The profile that tunes a prior of melodies to the figures of real ones, as its domain's column *real* has them.

    python benchmarks/match.py PRIOR FILE --tonic Am --bars 8

`seqtutor infer --figures` takes the figures of examples, or of the whole corpus. Of a mode the column has what few
tunes tell of its tonic, and of everything else what all tunes of the metre do.
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np

from seqtutor.cli.inferred import as_config
from seqtutor.inference.features import prior_base
from seqtutor.inference.matching import matched
from seqtutor.priors.files import made_for
from seqtutor.rewards import figures

TEXTS, RARE = 20_000, 0.01
RIDGE = 2e-3  # of a weight in nats a standard deviation, as in `seqtutor_music.fit`


@click.command()
@click.argument("prior")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--tonic", default="C", show_default=True)
@click.option("--metre", default="4/4", show_default=True)
@click.option("--bars", default=4, show_default=True)
def main(prior: str, file: Path, tonic: str, metre: str, bars: int) -> None:
    """Write FILE, with the weights under which PRIOR has the figures of real melodies."""
    options = {"tonic": tonic, "metre": metre, "bars": bars}
    domain = made_for("music", prior, options)
    terms = figures.single(domain)
    base = prior_base(domain, terms, prior, TEXTS, seed=0).values
    told = np.flatnonzero((base != 0).mean(0) >= RARE)
    scale = base[:, told].std(0)
    fit = matched(np.zeros(len(told)), base[:, told] / scale, np.full(len(base), 1 / len(base)), RIDGE)
    weights = {terms[k].name: float(w) for k, w in zip(told, fit.weights / scale, strict=True)}
    table = figures.table(weights, {terms[k].name: base[:, k] for k in told})
    unpaid = [f'"{term.name}" = 0.0' for term in domain.terms() if term.weight]
    file.write_text(as_config(domain, options, prior, ["figures = 1.0", *unpaid], {"figures": table}), encoding="utf-8")
    worth, away = fit.ess, fit.kl(np.full(len(base), 1 / len(base)))
    print(f"{len(base):,} texts are worth {worth:,.0f}; {away:.2f} nats away; written: {file}")


if __name__ == "__main__":
    main()
