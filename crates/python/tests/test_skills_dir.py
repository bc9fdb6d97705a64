"""Skills from the Python files of a folder."""

from __future__ import annotations

import asyncio
import logging
import pathlib
import sys
from textwrap import dedent

import pytest
from avtomatika_worker import Worker
from avtomatika_worker.testing import TestWorker
from support import LIMIT, config
from wire import results

BLUEPRINT = """
from __future__ import annotations
from dataclasses import dataclass
from avtomatika_worker import SkillBlueprint

blueprint = SkillBlueprint()

@dataclass
class Params:
    text: str

@blueprint.skill("{name}")
async def handler(params: Params) -> dict:
    return {{"data": {{"text": params.text, "file": __file__}}}}
"""


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path


@pytest.fixture
def worker() -> Worker:
    return Worker(config=config("http://127.0.0.1:1"))


def write(folder: pathlib.Path, **files: str) -> None:
    for name, content in files.items():
        (folder / f"{name}.py").write_text(dedent(content))


def names(worker: Worker) -> list[str]:
    return list(worker._registered().tasks)


async def test_files_bring_blueprints_and_are_called_to_set_up(folder, worker):
    write(
        folder,
        one=BLUEPRINT.format(name="one"),
        _hidden=BLUEPRINT.format(name="hidden"),
        setup_plain="def setup(worker): worker.skill('plain')(lambda params: None)",
        setup_async="async def setup(worker): worker.skill('later')(lambda params: None)",
        nothing="x = 1",
    )
    (folder / "notes.txt").write_text("no Python")
    (folder / "package").mkdir()
    write(folder / "package", inner=BLUEPRINT.format(name="inner"))
    assert await worker.load_skills(str(folder)) is None
    assert names(worker) == ["one", "later", "plain"]
    run = await TestWorker(worker).run_async("one", {"text": "a"})
    assert run.data == {"text": "a", "file": str(folder / "one.py")}


async def test_a_broken_file_is_logged_and_the_others_are_loaded(folder, worker, caplog):
    broken = {"raises": "raise ValueError('boom')", "syntax": "def (", "ends": "import sys; sys.exit(3)"}
    write(folder, **broken, bad_name=BLUEPRINT.format(name="a b"), good=BLUEPRINT.format(name="good"))
    await worker.load_skills(folder)
    assert names(worker) == ["good"]
    errors = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    expected = [
        f"the skills of `{folder / name}.py` cannot be loaded" for name in ("bad_name", "ends", "raises", "syntax")
    ]
    assert errors == expected
    assert "ValueError: boom" in caplog.text
    assert not {f"avtomatika_skills_{name}" for name in broken} & set(sys.modules)


async def test_a_file_may_have_the_name_of_a_module_that_it_imports(folder, worker):
    write(folder, colorsys=BLUEPRINT.format(name="colour") + "\nimport colorsys\nassert colorsys.rgb_to_hsv")
    await worker.load_skills(folder)
    assert names(worker) == ["colour"]


async def test_a_folder_that_is_missing_is_logged(folder, worker, caplog):
    await worker.load_skills(folder / "missing")
    assert f"the skills in `{folder / 'missing'}` cannot be loaded" in caplog.text


async def test_only_files_for_skills_are_run_in_a_folder_that_nobody_has_configured(folder, worker, monkeypatch):
    monkeypatch.chdir(folder)
    # Another test may have run a file of this name.
    monkeypatch.delitem(sys.modules, "avtomatika_skills_other", raising=False)
    (folder / "skills").mkdir()
    write(folder / "skills", other="raise AssertionError('must not run')", one=BLUEPRINT.format(name="one"))
    await worker.load_skills()
    assert names(worker) == ["one"]
    assert "avtomatika_skills_other" not in sys.modules


@pytest.mark.parametrize("by_variable", [True, False])
async def test_a_folder_of_the_default_name_that_is_configured_is_loaded_completely(folder, by_variable, monkeypatch):
    monkeypatch.chdir(folder)
    (folder / "skills").mkdir()
    write(folder / "skills", other="def setup(one): one.skill('other')(lambda params: None)")
    if by_variable:
        monkeypatch.setenv("WORKER_SKILLS_DIR", "skills")
    worker = Worker(config=config("http://127.0.0.1:1"), skills_dir=None if by_variable else "skills")
    await worker.load_skills()
    assert names(worker) == ["other"]


async def test_the_environment_is_read_once(folder, monkeypatch):
    monkeypatch.chdir(folder)
    (folder / "skills").mkdir()
    write(folder / "skills", one=BLUEPRINT.format(name="one"))
    worker = Worker(config=config("http://127.0.0.1:1"))
    monkeypatch.setenv("WORKER_SKILLS_DIR", str(folder / "missing"))
    await worker.load_skills()
    assert names(worker) == ["one"]
    write(folder / "skills", other="def setup(one): one.skill('other')(lambda params: None)")
    worker = Worker(config=config("http://127.0.0.1:1", WORKER_SKILLS_DIR="skills"))
    monkeypatch.delenv("WORKER_SKILLS_DIR")
    await worker.load_skills()
    assert names(worker) == ["one", "other"]


@pytest.mark.parametrize("by_variable", [True, False])
async def test_no_folder_is_searched_if_the_configured_one_is_an_empty_text(folder, by_variable, monkeypatch, caplog):
    monkeypatch.chdir(folder)
    (folder / "skills").mkdir()
    write(folder / "skills", one=BLUEPRINT.format(name="one"))
    if by_variable:
        monkeypatch.setenv("WORKER_SKILLS_DIR", "skills")
    worker = Worker(config=config("http://127.0.0.1:1", WORKER_SKILLS_DIR=""))
    await worker.load_skills()
    assert names(worker) == [] and not caplog.records
    worker.config.WORKER_SKILLS_DIR = None
    assert worker.config.WORKER_SKILLS_DIR == "skills"
    await worker.load_skills()
    assert names(worker) == ["one"]


PROGRAM = """
from avtomatika_worker import Worker
worker = Worker({arguments})
worker.run()
"""


@pytest.mark.parametrize("by_variable", [True, False])
def test_the_first_run_begins_with_the_configured_folder(folder, by_variable):
    write(folder, one=BLUEPRINT.format(name="one"))
    arguments = "" if by_variable else f"skills_dir={str(folder)!r}"
    variables = {"WORKER_SKILLS_DIR": str(folder)} if by_variable else {}
    (result,), one, _ = results(PROGRAM.format(arguments=arguments), [("one", {"text": "a"})], **variables)
    assert result["data"]["text"] == "a"
    assert one.registrations()[0]["supported_tasks"] == ["one"]


async def test_skills_are_loaded_once_they_were_loaded_completely(folder):
    write(
        folder,
        slow="""
        import asyncio
        async def setup(worker):
            worker.loads += 1
            if worker.loads == 1:
                await asyncio.sleep(60)
        """,
    )
    worker = Worker(config=config("http://127.0.0.1:1"), skills_dir=folder)
    worker.loads = 0
    first = asyncio.create_task(worker.main())
    while not worker.loads:
        await asyncio.sleep(0.01)
    with pytest.raises(RuntimeError, match="already running"):
        await worker.main()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    for _ in range(2):
        run = asyncio.create_task(worker.main())
        while worker._run is None:
            await asyncio.sleep(0.01)
        worker.drain()
        await asyncio.wait_for(run, LIMIT)
        assert worker.loads == 2
