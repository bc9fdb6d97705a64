"""What may change while the worker runs, limits keyed by skill, hot skills, and the usage checker."""

from __future__ import annotations

import json
import pathlib
import threading
from typing import Any

import pytest
import wire
from avtomatika_worker import Worker
from avtomatika_worker._usage import UsageChecker
from support import LIMIT, beside, config, until

HEAD = """
import asyncio, logging
from avtomatika_worker import Worker
logging.basicConfig(level=logging.INFO)
"""

ADDING = (
    HEAD
    + """
worker = Worker()

@worker.skill("first")
async def first(params):
    @worker.skill("second", description="added")
    async def second(params):
        return {"data": {"second": params["n"]}}

    @worker.task("third")
    def third(params):
        return {"data": {"third": params["n"]}}

    return {}

worker.run()
"""
)


@pytest.mark.parametrize("version", [None, "1.0b17"])
def test_tasks_added_while_it_runs_are_registered_and_run(version: str | None) -> None:
    with wire.wire(version) as one, wire.running(ADDING, one.url, WORKER_HEARTBEAT_DEBOUNCE_DELAY="0.2"):
        assert one.registered()["supported_tasks"] == ["first"]
        assert one.result(one.give("first"))["status"] == "success"
        assert one.result(one.give("second", {"n": 1}))["data"] == {"second": 1}
        assert one.result(one.give("third", {"n": 2}))["data"] == {"third": 2}
        again = one.until(lambda: one.registrations()[1:], "a second registration")[0]
        assert again["supported_tasks"] == ["first", "second", "third"]
        assert again["supported_skills"][1]["description"] == "added"
        told = one.until(lambda: [b for b in one.heartbeats() if "third" in b["supported_tasks"]], "a heartbeat")
        assert told[0]["status"] == "idle"
        assert len(one.registrations()) == 2, "one for both"


REPLACING = (
    HEAD
    + """
import threading
worker = Worker()

@worker.skill("work", description="old")
def work(params):
    return {"data": {"old": True}}

@worker.skill("replace")
def replace(params):
    if params["how"] == "loop":
        @worker.skill("work", description="new", timeout=5)
        async def work(params):
            return {"data": {"on_loop": threading.current_thread() is threading.main_thread()}}
    else:
        @worker.skill("work", description="old")
        def work(params):
            return {"data": {"on_loop": threading.current_thread() is threading.main_thread()}}

worker.run()
"""
)


def test_a_second_handler_of_a_name_replaces_the_first_while_it_runs() -> None:
    with wire.wire("1.0b17") as one, wire.running(REPLACING, one.url) as program:
        assert one.result(one.give("work"))["data"] == {"old": True}
        for how in ("loop", "thread"):
            assert one.result(one.give("replace", {"how": how}))["status"] == "success"
            assert one.result(one.give("work"))["data"] == {"on_loop": how == "loop"}
        assert len(one.registrations()) == 1
        _, output = program.end()
    said = "a second handler is registered for the task `work`, and replaces the first"
    assert f"{said}; `description`, `timeout` take effect when the worker is started again" in output
    assert output.count(said) == 2


FOLDER = (
    HEAD
    + """
import pathlib
import threading
worker = Worker(skills_dir="loaded")

@worker.task("again")
async def again(params):
    pathlib.Path("loaded/one.py").write_text(SKILL.replace("1", "2"))
    await worker.load_skills()

pathlib.Path("loaded").mkdir()
SKILL = '''
from avtomatika_worker import SkillBlueprint
blueprint = SkillBlueprint()

@blueprint.skill("one")
async def one(params):
    return {"number": 1}
'''
pathlib.Path("loaded/one.py").write_text(SKILL)
worker.run()
"""
)


def test_a_folder_of_skills_can_be_loaded_again(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    # The second file is as old and as long as the first.
    variables = {"PYTHONDONTWRITEBYTECODE": "1", "MAX_CONCURRENT_TASKS": "1"}
    before, _, after = wire.results(FOLDER, [("one", {}), ("again", {}), ("one", {})], **variables)[0]
    assert (before["data"], after["data"]) == ({"number": 1}, {"number": 2})


EMPTY = (
    HEAD
    + """
worker = Worker()

@worker.on_command("learn")
async def learn(command):
    @worker.skill("first")
    async def first(params):
        return {"data": {"n": params["n"]}}

worker.run()
"""
)


@pytest.mark.parametrize("version", [None, "1.0b17"])
def test_a_worker_without_tasks_runs_and_tasks_can_be_added(version: str | None) -> None:
    variables = {"WORKER_ENABLE_WEBSOCKETS": "true", "WORKER_HEARTBEAT_DEBOUNCE_DELAY": "0.1"}
    with wire.wire(version) as one, wire.running(EMPTY, one.url, **variables) as program:
        assert one.registered()["supported_tasks"] == []
        told = one.until(one.heartbeats, "a heartbeat")[0]
        assert (told["status"], told["supported_tasks"]) == ("busy", [])
        one.command("w1", {"command": "learn"})
        one.until(lambda: one.registrations()[1:], "a second registration")
        assert one.registrations()[1]["supported_tasks"] == ["first"]
        one.until(lambda: one.heartbeats()[-1]["status"] == "idle", "an idle worker")
        assert one.result(one.give("first", {"n": 1}))["data"] == {"n": 1}
    assert program.end()[0] == 0
    assert program.output().count("no task is registered: the worker is `busy` until one is added") == 1


STARTUP = (
    HEAD
    + """
worker = Worker()

@worker.task("first")
async def first(params):
    return {}

@worker.on_startup
async def load():
    worker.task("loaded")(first)

worker.run()
"""
)


def test_a_task_added_by_a_startup_hook_is_in_the_first_registration() -> None:
    with wire.wire() as one, wire.running(STARTUP, one.url):
        assert one.registered()["supported_tasks"] == ["first", "loaded"]
        assert one.result(one.give("loaded"))["status"] == "success"
        assert len(one.registrations()) == 1


MIDDLEWARE = (
    HEAD
    + """
worker = Worker()
seen = []

@worker.task("add")
async def add(params):
    async def note(context, next_handler):
        seen.append([context["task_name"], type(context["observability"]).__name__])
        return await next_handler()
    worker.add_middleware(note)

@worker.task("blocking")
def blocking(params):
    return {"data": {"seen": list(seen)}}

worker.run()
"""
)


def test_middleware_added_while_it_runs_counts_for_all_tasks_from_then_on() -> None:
    tasks = [("blocking", {}), ("add", {}), ("blocking", {})]
    before, _, after = wire.results(MIDDLEWARE, tasks, MAX_CONCURRENT_TASKS="1")[0]
    assert (before["data"], after["data"]) == ({"seen": []}, {"seen": [["blocking", "ObservabilityManager"]]})


LATE = (
    HEAD
    + """
worker = Worker()

@worker.task("wait")
async def wait(params):
    worker.drain()
    await asyncio.sleep(0.2)
    worker.task("late")(wait)
    return {"data": {"tasks": sorted(worker._tasks)}}

worker.run()
"""
)


def test_a_task_added_while_it_shuts_down_is_said_to_be_late() -> None:
    with wire.wire() as one:
        program = wire.Running(LATE, one.url)
        result = one.result(one.give("wait"))
        code, output = program.end()
    assert (result["data"], code) == ({"tasks": ["late", "wait"]}, 0), output
    assert "the task `late` is not offered to orchestrators: the worker is shutting down" in output
    assert len(one.registrations()) == 1


LIMITS = (
    HEAD
    + """
from dataclasses import dataclass
worker = Worker(skill_type_limits={"resize": 1, "gpu": 1, "plain": 1}, max_concurrent_tasks=8)
running, most = {}, {}

def register(decorator, name):
    @decorator
    async def handler(params):
        running[name] = running.get(name, 0) + 1
        most[name] = max(most.get(name, 0), running[name])
        if params["wait"]:
            await asyncio.sleep(0.3)
        running[name] -= 1
        return {"data": {"most": most[name]}}

register(worker.skill("resize"), "resize")
register(worker.skill("draw", type="gpu"), "draw")
register(worker.skill("free", type="unknown"), "free")
register(worker.task("plain"), "plain")
worker.run()
"""
)


def test_a_limit_keyed_by_the_name_of_a_skill_limits_it() -> None:
    names = ["resize", "draw", "free", "plain"]
    tasks = [(name, {"wait": True}) for name in names for _ in range(2)]
    results, _, output = wire.results(LIMITS, tasks, WORKER_MAX_POLLERS="8")
    most = {name: results[2 * n + 1]["data"]["most"] for n, name in enumerate(names)}
    # As in 1.0b4, a task of `Worker.task` without a type has no limit.
    assert most == {"resize": 1, "draw": 1, "free": 2, "plain": 2}
    assert "the task `free` is in the group `unknown`, which has no limit" in output
    assert "no task is in the group `plain`: its limit has no effect" in output


HOT = (
    HEAD
    + """
worker = Worker(skill_dependencies={"draw": ["model"]})

@worker.skill("draw")
async def draw(params):
    return {}

@worker.skill("resize")
async def resize(params, add_to_hot_skills, remove_from_hot_skills):
    for name in params["add"]:
        worker.add_to_hot_skills(name)
    for name in params["remove"]:
        remove_from_hot_skills(name)
    return {"data": {"hot": sorted(worker.get_hot_skills_state())}}

worker.run()
"""
)


def test_a_skill_in_the_hot_set_is_hot() -> None:
    def told(hot: list[str] | None) -> Any:
        return lambda: one.heartbeats() and one.heartbeats()[-1].get("hot_skills") == hot

    with wire.wire("1.0b17") as one, wire.running(HOT, one.url):
        one.until(told(None), "nothing is hot")
        result = one.result(one.give("resize", {"add": ["resize", "draw", "else"], "remove": []}))
        assert result["data"] == {"hot": ["draw", "else", "resize"]}
        one.until(told(["resize"]), "`draw` needs its model")
        one.result(one.give("resize", {"add": ["model"], "remove": []}))
        one.until(told(["draw", "resize"]), "both")
        one.result(one.give("resize", {"add": [], "remove": ["resize", "model"]}))
        one.until(told(None), "nothing is hot again")


USAGE = (
    HEAD
    + """
worker = Worker()

class Device:
    unit_id, load_percent, metrics = "gpu0", 55.5, {"driver": "535"}

class Usage:
    cpu_load_percent, ram_used_gb, devices_usage = 11, 2.0, [Device]

@worker.skill("replace")
async def replace(params):
    worker.set_usage_checker(lambda: {"cpu_load_percent": 77.0, "ram_used_gb": 7})

worker.set_usage_checker(Usage)
worker.run()
"""
)


def test_the_usage_checker_is_reported_and_can_be_replaced() -> None:
    def told() -> list[Any]:
        return [beat["usage"] for beat in one.heartbeats() if beat.get("usage")]

    with wire.wire("1.0b17") as one, wire.running(USAGE, one.url, HEARTBEAT_INTERVAL="0.2"):
        device = {"unit_id": "gpu0", "load_percent": 55.5, "metrics": {"driver": "535"}}
        first = {"cpu_load_percent": 11.0, "ram_used_gb": 2.0, "devices_usage": [device]}
        assert one.until(told, "a usage")[0] == first
        one.result(one.give("replace"))
        second = one.until(lambda: [usage for usage in told() if usage != first], "another usage")[0]
        assert second == {"cpu_load_percent": 77.0, "ram_used_gb": 7.0}


async def _coroutine() -> None:
    pass


def _raises() -> None:
    raise OSError("no sensor")


@pytest.mark.parametrize(
    ("check", "message"),
    [
        (_raises, "no sensor"),
        (_coroutine, "is `async`, expected a function that returns the usage"),
        (lambda: 5, "the usage checker returned `5`, expected cpu_load_percent, ram_used_gb, devices_usage"),
        (lambda: {"ram_used_gb": "much"}, "`ram_used_gb` is `'much'`, expected a number"),
        (lambda: {"devices_usage": [{"unit_id": 1}]}, "the `unit_id` of a device is `1`, expected text"),
        (lambda: {"ram_used_gb": float("nan")}, "the data is not JSON"),
    ],
)
def test_a_usage_checker_that_fails_is_logged_once(check: Any, message: str, caplog: pytest.LogCaptureFixture) -> None:
    checker = UsageChecker(check)
    assert (checker(), checker()) == (None, None)
    assert len(caplog.records) == 1
    assert message in caplog.text


def test_a_usage_may_be_an_object_a_mapping_or_nothing() -> None:
    assert UsageChecker(lambda: None)() is None
    raw = UsageChecker(lambda: {"devices_usage": [{"unit_id": "a", "load_percent": 1}]})()
    assert raw is not None
    device = {"unit_id": "a", "load_percent": 1.0, "metrics": {}}
    assert json.loads(raw) == {"cpu_load_percent": 0.0, "ram_used_gb": 0.0, "devices_usage": [device]}


def test_commands_and_usage_checkers_may_be_set_before_it_runs() -> None:
    worker = Worker()
    worker.set_usage_checker(lambda: None)
    worker.set_usage_checker(None)
    assert worker._registered().hooks.usage_checker is None


def test_tasks_and_middleware_added_by_several_threads_meet() -> None:
    worker = Worker(config=config("http://127.0.0.1:1"))
    taken, added = threading.Event(), threading.Event()
    snapshot = worker._registered

    def slow() -> Any:
        registered = snapshot()
        taken.set()
        # Without a lock the other thread comes first, and with one this waits in vain.
        added.wait(0.3)
        return registered

    def add_middleware() -> None:
        taken.wait(LIMIT)
        worker.add_middleware(lambda context, next_handler: next_handler())
        added.set()

    worker.task("first")(lambda params: None)
    with beside(worker):
        until(lambda: worker._run)
        other = threading.Thread(target=add_middleware)
        other.start()
        worker._registered = slow  # type: ignore[method-assign]
        worker.task("second")(lambda params: None)
        other.join(LIMIT)
        assert worker._run is not None
        found = [(route.name, len(route.middleware)) for route in worker._run._routes]
    assert found == [("first", 1), ("second", 1)]
