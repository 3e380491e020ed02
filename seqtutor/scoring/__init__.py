"""From sequences to rewards: terms from anywhere, transforms, workers, answers on disk, and what could not be scored.

scorer.py      Scorer: a batch of sequences in, Scores out; what was seen, counted, failed
scores.py      Scores: what a batch earned; Asked: one that is being scored; the geometric mean
terms.py       the terms in use: the domain's and those of `[terms.NAME]` tables, with weights and transforms
transforms.py  from a raw value to a score
engine.py      who answers which term: this process, or a pool
pool.py        worker processes that are started once, watched, and replaced when they die
store.py       answers on disk
"""

from seqtutor.outside.answers import Outcome
from seqtutor.scoring.scorer import Scorer
from seqtutor.scoring.scores import Asked, News, Scores
from seqtutor.scoring.terms import TermSettings, settings_of, weighted_terms

__all__ = ["Asked", "News", "Outcome", "Scorer", "Scores", "TermSettings", "settings_of", "weighted_terms"]
