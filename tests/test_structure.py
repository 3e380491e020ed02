"""What keeps the core readable: no long function, no long file, no arrow upwards."""

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


LAYERS = (  # what a layer imports when it is loaded is itself, or stands before it; its functions may import others
    *("errors arrays vocabulary option measure term files signals hardware", "domain plugin", "objectives", "config"),
    *("priors", "rewards", "inference", "records", "runs", "people", "testing", "training", "api", "cli"),
)
HEIGHT = {name: height for height, layer in enumerate(LAYERS) for name in layer.split()}
CORE = Path(seqtutor.__file__).parent


def statements(body):
    """What runs when a module is loaded: neither its functions nor what is there for types alone."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        yield node
        for part in ("body", "orelse", "handlers", "finalbody"):
            yield from statements(getattr(node, part, []))


def imported(node):
    """Where an import from the core stands in LAYERS."""
    if isinstance(node, ast.Import):
        return [alias.name.split(".")[1] for alias in node.names if alias.name.startswith("seqtutor.")]
    if not isinstance(node, ast.ImportFrom):
        return []
    assert not node.level, "no relative imports here"
    parts = (node.module or "").split(".")
    if parts[0] != "seqtutor":
        return []
    return [parts[1]] if len(parts) > 1 else [alias.name for alias in node.names if alias.name in HEIGHT]


def test_no_arrow_points_upwards():
    upwards = []
    for path in SOURCES:
        own = path.relative_to(CORE).parts[0].removesuffix(".py")
        if own.startswith("__"):
            continue
        for node in statements(ast.parse(path.read_text(encoding="utf-8")).body):
            upwards += [f"{path}: {name}" for name in imported(node) if HEIGHT[name] > HEIGHT[own]]
    assert upwards == []


def test_the_layers_are_all_that_there_is():
    modules = {path.stem for path in CORE.glob("*.py")} | {path.parent.name for path in CORE.glob("*/__init__.py")}
    assert {name for name in modules if not name.startswith("__")} == set(HEIGHT)
