"""The rows of `docs/migrating.md` about skills and blueprints."""

import asyncio
import dataclasses
import sys

import pytest
from avtomatika_worker import SkillBlueprint, SkillInfo, Worker
from avtomatika_worker.worker import Resources
from migrating import Area, connected

AREA = Area("skills")


def test_every_row_has_a_test_and_every_test_a_row():
    AREA.check()


class Plain:
    name = "plain"
    version = "3"


@dataclasses.dataclass
class Own:
    name: str
    price: int


async def handler(params):
    return {}


def sent(register, **arguments):
    """The skills that a worker's registration describes, by their names."""
    worker = Worker(**arguments)
    register(worker)
    with connected(worker) as (one, _):
        return {skill["name"]: skill for skill in one.registered()["supported_skills"]}


@AREA.row("`skill` ignores a class or object")
@AREA.row("`skill` ignores options beside a `SkillInfo`")
@AREA.row("`timeout=` and `task_type=` of `skill`")
@AREA.row("`@worker.skill` without parentheses")
@AREA.row("`@worker.skill()` without a name")
def test_what_describes_a_skill():
    def register(worker):
        worker.skill(Plain)(handler)
        worker.skill(Own("own", 5))(handler)
        worker.skill(SkillInfo("info", version="1", description="one"), version="2")(handler)
        worker.skill("options", task_type="gpu", timeout=5)(handler)
        worker.skill(handler)

    worker = Worker(task_type_limits={"gpu": 1})
    register(worker)
    options = worker._registered().tasks["options"].options
    assert (options["task_type"], options["timeout"], options["extra"]) == ("gpu", 5, {})
    skills = sent(register, task_type_limits={"gpu": 1})
    assert set(skills) == {"plain", "own", "info", "options", "handler"}
    assert (skills["plain"]["version"], skills["own"]["price"]) == ("3", 5)
    assert (skills["info"]["version"], skills["info"]["description"]) == ("2", "one")
    assert skills["handler"]["type"] == "handler"
    assert skills["options"]["type"] == "gpu" and "timeout" not in skills["options"]


@AREA.row("`avtomatika_worker.worker.Resources` takes")
def test_the_positions_of_resources():
    assert Resources([], {"a": 1}, cpu_cores=2) == Resources(devices=[], properties={"a": 1}, cpu_cores=2)


@AREA.row("Wrong schemas and statuses")
@pytest.mark.parametrize(
    "wrong",
    [{"input_schema": 5}, {"events_schema": ["a"]}, {"output_statuses": "done"}, {"price": float("nan")}],
)
def test_wrong_fields(wrong):
    for owner in (Worker(), SkillBlueprint()):
        with pytest.raises(ValueError, match=f"{next(iter(wrong)).partition('_')[0]}.* of the skill `handler`"):
            owner.skill(**wrong)(handler)


@AREA.row("A limit that names a skill")
def test_limits_by_name():
    worker = Worker(skill_type_limits={"resize": 1}, max_concurrent_tasks=4)
    running, most = [0], [0]

    @worker.skill(SkillInfo("resize"))
    async def resize(params):
        running[0] += 1
        most[0] = max(most[0], running[0])
        await asyncio.sleep(0.1)
        running[0] -= 1

    with connected(worker, WORKER_MAX_POLLERS=4) as (one, _):
        tasks = [one.give("resize") for _ in range(3)]
        assert [one.result(task)["status"] for task in tasks] == ["success"] * 3
    assert most == [1]


BLUEPRINT = """
from avtomatika_worker import SkillBlueprint

blueprint = SkillBlueprint()


@blueprint.skill("one")
async def one(params):
    return {}
"""

OTHER = "def setup(this): this.skill('other')(lambda params: None)"


async def loaded(worker, folder=None):
    await worker.load_skills(folder)
    return sorted(worker._registered().tasks)


@AREA.row("All files of the folder `skills` are run")
@AREA.row("The module of the file `one.py`")
async def test_files_of_skills(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WORKER_SKILLS_DIR", raising=False)
    (tmp_path / "skills").mkdir()
    (tmp_path / "skills" / "one.py").write_text(BLUEPRINT)
    (tmp_path / "skills" / "setup.py").write_text("def setup(worker): worker.skill('two')(lambda params: None)")
    (tmp_path / "skills" / "other.py").write_text(OTHER)
    assert await loaded(Worker()) == ["one", "two"]
    assert "avtomatika_skills_one" in sys.modules and "one" not in sys.modules
    assert await loaded(Worker(skills_dir="skills")) == ["one", "other", "two"]


@AREA.row("An `async def setup`")
@AREA.row("`sys.exit()` in a file of skills")
async def test_setup_and_exit(tmp_path, caplog):
    (tmp_path / "a.py").write_text("import sys; sys.exit(3)")
    (tmp_path / "b.py").write_text("async def setup(worker): worker.skill('later')(lambda params: None)")
    assert await loaded(Worker(), tmp_path) == ["later"]
    assert f"the skills of `{tmp_path / 'a.py'}` cannot be loaded" in caplog.text


@AREA.row("A skill that is added while the worker runs")
@AREA.row("A skill that is added during the shutdown")
def test_skills_that_are_added(caplog):
    worker = Worker()

    @worker.skill("add")
    async def add(params):
        for name in params["names"]:
            if params["late"]:
                worker.drain()
            worker.skill(name)(handler)

    with connected(worker) as (one, _):
        one.result(one.give("add", {"names": ["b", "c"], "late": False}))
        again = one.until(lambda: one.registrations()[1:], "a second registration")
        assert again[0]["supported_tasks"] == ["add", "b", "c"]
        assert one.result(one.give("c"))["status"] == "success"
        one.result(one.give("add", {"names": ["d"], "late": True}))
        assert len(one.registrations()) == 2
    assert "the task `d` is not offered to orchestrators: the worker is shutting down" in caplog.text
    with connected(worker) as (one, _):
        assert one.registered()["supported_tasks"] == ["add", "b", "c", "d"]
