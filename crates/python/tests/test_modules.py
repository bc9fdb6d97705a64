"""The modules of the package do not import each other in a circle, not even for type checkers."""

import ast
import pathlib
from graphlib import TopologicalSorter

import avtomatika_worker

PACKAGE = pathlib.Path(avtomatika_worker.__file__).parent


def imports(source: str, modules: set[str]) -> set[str]:
    """The modules of the package that a module imports, at its top or within functions."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.level == 1:
            names = [node.module] if node.module else [alias.name for alias in node.names]
            found.update(name.partition(".")[0] for name in names)
    return found & modules


def test_no_modules_import_each_other_in_a_circle():
    sources = {path.stem: path.read_text() for path in PACKAGE.glob("*.py")}
    graph = {name: imports(source, set(sources)) for name, source in sources.items()}
    assert graph["_serving"] >= {"_bridge", "_route"}, "imports are found"
    # Raises `CycleError` with the modules of a circle.
    TopologicalSorter(graph).prepare()
