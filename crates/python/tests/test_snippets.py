"""Type checkers accept correct uses of the package, and find mistakes."""

import pathlib
import re
import subprocess
import sys

import pytest
from support import LIMIT

SNIPPETS = pathlib.Path(__file__).parent / "snippets"


def lines_found(output: str) -> set[int]:
    return {int(number) for number in re.findall(r"mistakes\.py:(\d+)", output)}


@pytest.mark.parametrize("checker", ["mypy", "basedpyright"])
def test_mistakes_are_found_where_they_are(checker, tmp_path):
    arguments = ["--strict"] if checker == "mypy" else ["--pythonpath", sys.executable]
    if checker == "mypy":
        arguments += ["--cache-dir", str(tmp_path)]
    program = pathlib.Path(sys.executable).parent / checker
    command = [str(program), *arguments, str(SNIPPETS / "mistakes.py")]
    checked = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=LIMIT)
    text = (SNIPPETS / "mistakes.py").read_text()
    expected = {number for number, line in enumerate(text.splitlines(), 1) if line.endswith("# error")}
    assert lines_found(checked.stdout) == expected, checked.stdout + checked.stderr


def test_the_stub_names_every_option():
    from avtomatika_worker import _native

    source = (pathlib.Path(sys.modules["avtomatika_worker"].__file__).parent / "_attributes.py").read_text()
    missing = [name for name, *_ in _native.options() if not re.search(rf"^    {name}: ", source, re.MULTILINE)]
    assert missing == []
