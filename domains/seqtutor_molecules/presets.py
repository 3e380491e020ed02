"""Weights of the reward terms by the name of the preset; a term that is not named has weight 0."""

from __future__ import annotations

from collections.abc import Mapping

# default: drug-like, makeable, and not flat. R lies in [0, 1]; a sequence that is no molecule earns 0. QED and SA rise
# most easily in flat, neutral molecules without stereocentres, which nobody asked for; a twentieth for Fsp3 up to .4
# holds it. What the optimum prior * exp(R/c), c = .02, has, by `seqtutor calibrate molecules --draws 10000` (the prior:
# QED .74, SA 3.06, Fsp3 .42, 61 % with stereocentres): QED .904, SA 2.44, Fsp3 .40, 43 %, at 2.0 nats a molecule. With
# qed .7, makeability .3 and nothing else: QED .91, SA 2.3, Fsp3 .33, 35 %, at 2.2.
#
# paper: the reward of a finished molecule in the authors' last code, 600 + 10 D with
#   D = -2 SA + 3 logP + 5 ring + 50 QED,
# less 200 (25) for fewer than 19 (27) characters and 150 for each carbon beyond 11 in a row; an invalid end costs 5.
# Here -20 SA = 180 makeability - 200, and 5 is added throughout, which no optimum notices: 600 + 5 - 200 = 405.
# Left out: the 5 + D that they paid for each valid prefix. Made for a temperature of 2.86.
PRESETS: Mapping[str, Mapping[str, float]] = {
    "default": {"qed": 0.65, "makeability": 0.3, "saturation": 0.05},
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
