"""Rewards: terms from anywhere, their transforms, who answers for them, and how they become one R.

reward.py      Reward: from what the terms said of a batch to R; a pure function
terms.py       the terms in use: the domain's and those of `[terms.NAME]` tables, with weights and transforms
transforms.py  from a raw value to a score
payment.py     which share of it is paid: less for repeats and full families
scorer.py      Scorer: a batch of sequences in, Scores out; what was seen, counted, failed
answers.py     Answers: one question, one answer, whether from memory, disk, this process or a worker
store.py       answers on disk
pool.py        worker processes that are started once, watched, and replaced when they die
worker.py      such a process
outside.py     what it answers for: functions, programs, a domain's own terms
outcomes.py    what became of one text

Nothing is imported here, so that a worker process starts at once.
"""
