"""Every public name of the existing packages is here, or stands in `docs/migrating.md` as not here."""

import importlib
import json
import pathlib
import re
import subprocess
from inspect import Parameter

import names
import pytest
from peers import VERSIONS, existing

GUIDE = pathlib.Path(__file__).parents[3] / "docs" / "migrating.md"

MOST_NOT_HERE = 20

MISSING = object()

POSITIONAL = {"POSITIONAL_ONLY", "POSITIONAL_OR_KEYWORD"}


def not_here() -> dict[str, list[str]]:
    """The names in the table of the section "Not here", with the other cells of their rows."""
    section = GUIDE.read_text().partition("## Not here")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `([\w.]+)`[^|]*\|(.*)\|$", section, re.MULTILINE)
    return {name: [cell.strip() for cell in rest.split("|")] for name, rest in rows}


def covers(listed, path):
    return any(path == name or path.startswith(f"{name}.") for name in listed)


def find(path):
    """What a dotted path names in this package, or ``MISSING``."""
    parts = path.split(".")
    value = MISSING
    for end in range(len(parts), 0, -1):
        try:
            value = importlib.import_module(".".join(parts[:end]))
        except ImportError:
            continue
        break
    for number, part in enumerate(parts[end:], end):
        if number == len(parts) - 1 and part in getattr(value, "__dataclass_fields__", ()):
            return None  # Without a default, the class has no such attribute.
        try:
            value = getattr(value, part)
        except AttributeError:
            if number == len(parts) - 1 and isinstance(value, type) and value.__name__ in ("WorkerConfig", "Worker"):
                return getattr(value(), part, MISSING)
            return MISSING
    return value


def refused(theirs, ours, others=()):
    """The parameters that our signature does not accept by the same name, or at the same position. Where the packages
    have different parameters at one position, ours has one of them: ``others`` are those of the other package."""
    named = {name for name, kind in ours if kind in ("POSITIONAL_OR_KEYWORD", "KEYWORD_ONLY")}
    positions = [name for name, kind in ours if kind in POSITIONAL]
    kinds = {kind for _, kind in ours}
    found = []
    for position, (name, kind) in enumerate(theirs):
        by_name = name in named or "VAR_KEYWORD" in kinds
        either = {name, *(other for other, _ in others[position : position + 1])}
        at_position = "VAR_POSITIONAL" in kinds or (position < len(positions) and positions[position] in either)
        if kind == "VAR_POSITIONAL":
            fits = "VAR_POSITIONAL" in kinds
        elif kind == "VAR_KEYWORD":
            fits = "VAR_KEYWORD" in kinds
        elif name == "self":
            fits = True
        else:
            fits = (by_name or kind == "POSITIONAL_ONLY") and (at_position or kind == "KEYWORD_ONLY")
        if not fits:
            found.append(f"{name} ({kind}, position {position})")
    return found


def offered(version):
    script = pathlib.Path(names.__file__)
    printed = subprocess.run([existing(version), "-I", script], capture_output=True, text=True, check=True)
    return json.loads(printed.stdout)


@pytest.mark.parametrize("version", VERSIONS)
def test_every_name_is_here(version):
    there = offered(version)
    assert len(there) > 100
    listed = not_here()
    missing = [path for path in there if not covers(listed, path) and find(path) is MISSING]
    assert missing == [], "\n" + "\n".join(missing)


@pytest.mark.parametrize("version", VERSIONS)
def test_parameters_are_accepted(version):
    wrong = {}
    (other,) = (offered(other) for other in VERSIONS if other != version)
    for path, parameters in offered(version).items():
        ours = find(path)
        if parameters is None or ours is MISSING:
            continue
        accepted = names.parameters(ours)
        problems = ["has no signature"] if accepted is None else refused(parameters, accepted, other.get(path) or ())
        if problems:
            wrong[path] = problems
    assert wrong == {}, "\n" + "\n".join(f"{path}: {', '.join(problems)}" for path, problems in wrong.items())


def test_not_here_is_a_short_list_with_reasons():
    listed = not_here()
    assert len(listed) <= MOST_NOT_HERE
    assert [name for name, cells in listed.items() if len(cells) != 2 or not all(cells)] == []


def test_what_is_not_here_is_not_here():
    there = set().union(*(offered(version) for version in VERSIONS))
    listed = not_here()
    assert [name for name in listed if name not in there] == [], "neither package has these names"
    assert [name for name in listed if find(name) is not MISSING] == [], "these names are here"


def test_parameters_are_compared_by_name_and_position():
    def one(a, b=1, *, c=2):
        pass

    def other(b, a, **rest):
        pass

    theirs = names.parameters(one)
    assert theirs[0] == ["a", Parameter.POSITIONAL_OR_KEYWORD.name]
    assert refused(theirs, names.parameters(one)) == []
    found = refused(theirs, names.parameters(other))
    assert found == ["a (POSITIONAL_OR_KEYWORD, position 0)", "b (POSITIONAL_OR_KEYWORD, position 1)"]
    assert refused(theirs, names.parameters(lambda *args, **kwargs: None)) == []
