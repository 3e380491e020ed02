"""What runs in a worker process, and how it is asked. Free of numpy, so that a worker starts at once.

oracles.py     Function, Program, Own: a Python function of the user's, a program in any language, a domain's own term
answers.py     Outcome: what became of one text; asking a function once, safely
worker.py      the process: it takes functions and answers questions until its pipe closes
"""
