"""The modules of the package do not import each other in a circle, not even for type checkers; and importing the package
loads few of them."""

import ast
import json
import pathlib
import subprocess
import sys
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


def loaded_by(program: str) -> set[str]:
    """The modules that a program loads in a fresh interpreter."""
    script = f"""
import sys
sys.path.insert(0, {str(PACKAGE.parent)!r})
before = set(sys.modules)
{program}
loaded = sorted(set(sys.modules) - before)
import json
print(json.dumps(loaded))
"""
    printed = subprocess.run([sys.executable, "-I", "-c", script], capture_output=True, text=True, check=True)
    return set(json.loads(printed.stdout))


def test_importing_the_package_loads_few_modules():
    loaded = loaded_by("from avtomatika_worker import Worker")
    assert {name for name in loaded if name.startswith("avtomatika_worker.")} == {
        "avtomatika_worker._registry",
        "avtomatika_worker._skill",
        "avtomatika_worker.validators",
        "avtomatika_worker.worker",
    }
    # Further modules of the standard library, apart from those that `typing` loads.
    others = {name for name in loaded - loaded_by("import typing") if name.partition(".")[0] != PACKAGE.name}
    assert others <= {"__future__"}


def test_a_worker_with_a_task_loads_what_it_needs():
    loaded = loaded_by(
        "from avtomatika_worker import Worker\nworker = Worker()\nworker.task('a')(lambda params, task_id: None)"
    )
    rarely_used = {"asyncio", "difflib", "pathlib", "pydantic", "socket", "ssl", "subprocess", "uuid"}
    assert loaded & rarely_used == set()
    assert {name.partition(".")[2] for name in loaded if name.startswith("avtomatika_worker.")} == {
        "_attributes",
        "_injected",
        "_live",
        "_logging",
        "_native",
        "_options",
        "_problems",
        "_pydantic",
        "_registered",
        "_registry",
        "_skill",
        "_task_options",
        "config",
        "errors",
        "params",
        "signature",
        "validators",
        "worker",
    }
