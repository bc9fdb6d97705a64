"""What `docs/migrating.md` says is so: each row of its tables has a test, and each test a row. The tests are in
`test_migrating_….py`."""

import ast
import pathlib
import re

import pytest
from avtomatika_worker import WorkerConfig
from migrating import AREAS, TEXT, table

HERE = pathlib.Path(__file__).parent

SECTIONS = re.findall(r"^### (.*)$", TEXT.partition("## What differs on purpose\n")[2], re.MULTILINE)


def test_every_table_is_tested():
    assert sorted(SECTIONS) == sorted(section for sections in AREAS.values() for section in sections)
    for area in AREAS:
        source = (HERE / f"test_migrating_{area}.py").read_text()
        assert f'AREA = Area("{area}")' in source and "AREA.check()" in source, area


@pytest.mark.parametrize("section", SECTIONS)
def test_rows_are_complete(section):
    rows = table(section)
    assert rows
    assert [cells for cells in rows if len(cells) != 4 or not all(cells)] == []
    assert {cells[1] for cells in rows} <= {"1.0b4", "1.0b20", "both"}


def test_defaults_that_differ(monkeypatch):
    rows = table("Defaults that differ")
    assert len(rows) > 3
    for name, _, here in rows:
        monkeypatch.delenv(name.strip("`"), raising=False)
        default = getattr(WorkerConfig(), name.strip("`"))
        expected = re.fullmatch(r"`(.*)`", here)[1]
        assert default == (ast.literal_eval(expected) if not expected.isupper() else expected), name


def test_every_differing_default_is_in_the_list_of_variables():
    variables = (HERE.parents[2] / "docs" / "configuration.md").read_text()
    aliases = {"SHUTDOWN_TIMEOUT": "WORKER_SHUTDOWN_TIMEOUT"}
    for name, _, _ in table("Defaults that differ"):
        assert f"`{aliases.get(name.strip('`'), name.strip('`'))}`" in variables, name
