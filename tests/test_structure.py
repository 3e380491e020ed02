"""What keeps the core readable: no long function, no long file."""

import ast
from pathlib import Path

import seqtutor

SOURCES = sorted(Path(seqtutor.__file__).parent.rglob("*.py"))
FUNCTION, FILE = 40, 350  # lines, at most


def test_no_file_of_the_core_is_long():
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCES}
    assert {str(path): lines for path, lines in lengths.items() if lines > FILE} == {}


def test_no_function_of_the_core_is_long():
    """From `def` to the last line, with the docstring and without decorators."""
    long = {}
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > FUNCTION:
                    long[f"{path}:{node.lineno} {node.name}"] = lines
    assert long == {}
