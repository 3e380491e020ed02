#!/bin/sh
# In place of a docking program: minus one for a ring (the digits of the SMILES outside of brackets, by two), minus a half for
# an N or O. Put your own in its place: it reads one SMILES a line, and prints one number a line, at once.
#   seqtutor train --domain molecules --program "dock=sh examples/dock.sh" --transform dock=reverse_sigmoid,low=-9,high=-5
while IFS= read -r smiles; do
    rings=$(printf '%s' "$smiles" | sed 's/\[[^]]*\]//g' | tr -cd '0-9')
    polar=$(printf '%s' "$smiles" | tr -cd 'NOno')
    tenths=$((${#rings} * 5 + ${#polar} * 5))
    echo "-$((tenths / 10)).$((tenths % 10))"
done
