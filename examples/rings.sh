#!/bin/sh
# A reward term in another language: how many rings a SMILES opens (its ring-closure digits, by two).
#   seqtutor train --domain molecules --program "rings=sh examples/rings.sh"
# The contract: one text a line comes in, one JSON object a line goes out, at once.
while IFS= read -r smiles; do
    digits=$(printf '%s' "$smiles" | tr -cd '0-9')
    echo "{\"value\": $((${#digits} / 2))}"
done
