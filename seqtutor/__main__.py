"""`python -m seqtutor`."""

from seqtutor.cli import main

main(prog_name="seqtutor")
