"""Weights of the reward terms by the name of the preset; a term that is not named has weight 0."""

from __future__ import annotations

from collections.abc import Mapping

# default: drug-like and makeable. R lies in [0, 1]; a sequence that is no molecule earns 0. SA falls most easily by
# dropping stereocentres, so that it has the smaller weight. The optimum prior * exp(R/c) with 10,000 molecules of
# ZINC250k for a prior (QED .73, SA 3.05, 58 % with a stereocentre), at c = .05 and .04:
#   qed .5, makeability .5   QED .843 .857   SA 2.53 2.44   stereo .44 .40   KL .71  .97 nats a molecule
#   qed .7, makeability .3   QED .862 .875   SA 2.69 2.62   stereo .53 .51   KL .79 1.05
#
# paper: the reward of a finished molecule in the authors' last code, 600 + 10 D with
#   D = -2 SA + 3 logP + 5 ring + 50 QED,
# less 200 (25) for fewer than 19 (27) characters and 150 for each carbon beyond 11 in a row; an invalid end costs 5.
# Here -20 SA = 180 makeability - 200, and 5 is added throughout, which no optimum notices: 600 + 5 - 200 = 405.
# Left out: the 5 + D that they paid for each valid prefix. Made for a temperature of 2.86.
PRESETS: Mapping[str, Mapping[str, float]] = {
    "default": {"qed": 0.7, "makeability": 0.3},
    "paper": {
        "validity": 405.0,
        "qed": 500.0,
        "makeability": 180.0,
        "logp": 30.0,
        "ring_penalty": 50.0,
        "shortness": 200.0,
        "carbon_chain": 150.0,
    },
}
