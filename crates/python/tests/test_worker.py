"""The worker with the development orchestrator."""

from __future__ import annotations

import asyncio
import contextvars
import copy
import functools
import logging
import os
import re
import textwrap
import threading
import time
from typing import Any

import pytest
from avtomatika_worker import ConfigError, PermanentError, Worker, WorkerConfig
from avtomatika_worker._logging import LOG
from support import LIMIT, Beside, beside, config, orchestrator, until
from wire import results


def made(url: str, attributes: dict[str, Any] | None = None, **arguments: Any) -> Worker:
    return Worker(config=config(url, **(attributes or {})), **arguments)


def test_async_and_blocking_handlers_get_their_arguments_and_return_data():
    with orchestrator() as dev:
        worker = made(dev.url, worker_type="a-type")

        @worker.task("one")
        async def one(params: dict, task_id: str, priority):
            return {"data": {"params": params, "task_id": task_id, "priority": priority}}

        @worker.task("two")
        def two(params, **kwargs):
            return {"names": sorted(kwargs), "thread": threading.current_thread().name}

        with beside(worker):
            view = dev.run("one", {"a": [1, 2.5, "ü"], "big": 2**60}, priority=3)
            assert view["data"]["params"] == {"a": [1, 2.5, "ü"], "big": 2**60}
            assert (view["data"]["task_id"], view["data"]["priority"]) == (view["task_id"], 3)
            data = dev.data("two")
            assert {"task_id", "job_id", "priority", "tracing_context", "send_progress", "add_to_hot_cache"} <= set(
                data["names"]
            )
            assert data["thread"].startswith("avtomatika-handler-")
            assert dev.workers()[0]["worker_type"] == "a-type"


def test_a_deadline_is_an_int_when_it_is_whole():
    script = """
    from avtomatika_worker import Worker
    worker = Worker()
    @worker.task("t")
    async def t(params, deadline, **others):
        return {"data": {"deadline": repr(deadline)}}
    worker.run()
    """
    tasks = [("t", {}, {"deadline": 4_000_000_000}), ("t", {}, {"deadline": 4_000_000_000.25}), ("t", {})]
    found = results(textwrap.dedent(script), tasks, version="1.0b17")[0]
    assert [one["data"]["deadline"] for one in found] == ["4000000000", "4000000000.25", "None"]


def test_a_wrapper_of_an_async_handler_may_block_or_pass_it_on():
    def blocks(func):
        @functools.wraps(func)
        def wrapper(*arguments, **named):
            return asyncio.run(func(*arguments, **named))

        return wrapper

    def passes_on(func):
        @functools.wraps(func)
        def wrapper(*arguments, **named):
            return func(*arguments, **named)

        return wrapper

    with orchestrator() as dev:
        worker = made(dev.url)

        @worker.task("blocks")
        @blocks
        async def one(params: dict, task_id: str):
            await asyncio.sleep(0)
            return {"task_id": task_id}

        @worker.task("passes_on")
        @passes_on
        async def two(params: dict, task_id: str):
            await asyncio.sleep(0)
            return {"task_id": task_id}

        with beside(worker):
            for name in ("blocks", "passes_on"):
                view = dev.run(name)
                assert view.get("data") == {"task_id": view["task_id"]}, view


def test_as_many_handlers_block_at_once_as_there_are_slots():
    with orchestrator() as dev:
        worker = made(dev.url, max_concurrent_tasks=12)
        together = threading.Barrier(12)

        @worker.task("block")
        def block(params):
            together.wait(LIMIT)
            return {"data": {}}

        with beside(worker):
            jobs = [dev.submit("block") for _ in range(12)]
            assert {dev.result(job)["status"] for job in jobs} == {"finished"}


def test_limits_of_groups_are_obeyed():
    with orchestrator() as dev:
        worker = made(dev.url, task_type_limits={"video": 1}, max_concurrent_tasks=8)
        now, most = 0, 0

        @worker.task("video", task_type="video")
        async def video(params):
            nonlocal now, most
            now += 1
            most = max(most, now)
            await asyncio.sleep(0.05)
            now -= 1

        with beside(worker):
            for job in [dev.submit("video") for _ in range(6)]:
                assert dev.result(job)["status"] == "finished"
        assert most == 1


def test_exceptions_are_transient_typed_ones_carry_their_code_and_the_traceback_is_in_the_log(caplog):
    with orchestrator() as dev:
        worker = made(dev.url)

        @worker.task("any")
        async def any_(params):
            raise KeyError("missing")

        @worker.task("typed")
        def typed(params):
            raise PermanentError("never", details={"n": 1})

        @worker.task("exits")
        async def exits(params):
            raise SystemExit(3)

        @worker.task("still_there")
        async def still_there(params):
            return None

        with beside(worker):
            error = dev.error("any")
            assert (error["code"], error["details"]["type"]) == ("TRANSIENT_ERROR", "KeyError")
            assert dev.error("typed") == {"code": "PERMANENT_ERROR", "message": "never", "details": {"n": 1}}
            assert dev.error("exits")["code"] == "TRANSIENT_ERROR"
            dev.data("still_there")
    tracebacks = [record for record in caplog.records if record.exc_info]
    assert any("KeyError: 'missing'" in caplog.handler.format(record) for record in tracebacks)
    assert all("never" not in str(record.exc_info) for record in tracebacks)


def test_wrong_params_are_invalid_input_and_the_handler_is_not_run():
    from dataclasses import dataclass

    ran = []

    @dataclass
    class Size:
        width: int

    with orchestrator() as dev:
        worker = made(dev.url)

        @worker.task("async")
        async def asynchronous(params: Size):
            ran.append(params)
            return {"data": {"width": params.width}}

        @worker.task("blocking")
        def blocking(params: Size):
            ran.append(params)

        with beside(worker):
            for name in ("async", "blocking"):
                assert dev.error(name, {"width": "x"})["code"] == "INVALID_INPUT_ERROR"
            assert not ran
            assert dev.data("async", {"width": 3}) == {"width": 3}


def test_data_that_cannot_be_sent_do_not_hang_the_task():
    with orchestrator() as dev:
        worker = made(dev.url)
        results = {"set": {"a": {1}}, "nan": {"a": float("nan")}, "list": [1], "deep": {"a": b"x"}}

        @worker.task("odd")
        async def odd(params):
            return results[params["which"]]

        with beside(worker):
            for which in results:
                error = dev.error("odd", {"which": which})
                assert error["code"] == "PERMANENT_ERROR", which


def test_each_handler_has_a_context_of_its_own():
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="none")

    with orchestrator() as dev:
        worker = made(dev.url)

        @worker.task("async")
        async def asynchronous(params):
            before = variable.get()
            variable.set("async")
            return {"data": {"before": before}}

        @worker.task("blocking")
        def blocking(params):
            before = variable.get()
            variable.set("blocking")
            return {"data": {"before": before}}

        async def main():
            variable.set("outer")
            await worker.main()

        thread = threading.Thread(target=lambda: asyncio.run(main()))
        thread.start()
        for name in ("async", "blocking", "async", "blocking"):
            assert dev.data(name) == {"before": "outer"}
        worker.drain()
        thread.join(20)
        assert not thread.is_alive()


def test_the_trace_of_a_task_is_the_current_one_in_its_handler():
    trace = pytest.importorskip("opentelemetry.trace")
    from avtomatika_worker._execution import _attach_trace

    def seen() -> str:
        parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        _attach_trace({"traceparent": parent})
        return format(trace.get_current_span().get_span_context().trace_id, "032x")

    assert contextvars.copy_context().run(seen) == "0af7651916cd43dd8448eb211c80319c"


def test_progress_models_and_capacity_are_reported_from_both_kinds_of_handlers():
    with orchestrator() as dev:
        full = threading.Event()
        worker = made(
            dev.url,
            skill_dependencies={"draw": ["a", "b"]},
            capacity_checker=lambda name: name != "hot" or not full.is_set(),
        )
        go_on = threading.Event()

        @worker.task("draw")
        async def draw(params, task_id, job_id, send_progress, add_to_hot_cache):
            add_to_hot_cache("a")
            await send_progress(task_id, job_id, 0.5, "half")
            await asyncio.to_thread(go_on.wait, 15)

        @worker.task("hot")
        def hot(params, send_progress, add_to_hot_cache, remove_from_hot_cache):
            add_to_hot_cache("b")
            remove_from_hot_cache("a")
            send_progress(0.25, "a quarter")

        with beside(worker):
            job = dev.submit("draw")
            until(lambda: dev.task(job).get("progress") == 0.5)
            assert worker.get_hot_cache() == {"a"}
            worker.add_to_hot_cache("c")
            dev.data("hot")
            go_on.set()
            dev.result(job)
            assert worker.get_hot_cache() == {"b", "c"}
            assert set(dev.workers()[0]["accepts"]) == {"draw", "hot"}
            full.set()
            until(lambda: dev.workers()[0]["accepts"] == ["draw"])
        assert worker.get_hot_cache() == {"b", "c"}


def test_a_capacity_checker_that_raises_counts_as_yes_and_is_logged_once(caplog):
    asked = []

    def check(name):
        asked.append(name)
        raise OSError("no card")

    with orchestrator() as dev:
        worker = made(dev.url, capacity_checker=check)

        @worker.task("t")
        async def t(params):
            return None

        with beside(worker):
            dev.data("t")
            until(lambda: len(asked) > 3)
    said = [record for record in caplog.records if "capacity_checker" in record.getMessage()]
    assert len(said) == 1 and said[0].exc_info


def test_skills_are_tasks_under_their_newer_name():
    with orchestrator() as dev:
        worker = made(dev.url, skill_type_limits={"gpu": 1})

        @worker.skill
        async def bare(params):
            return {"by": "bare"}

        @worker.skill("named", type="gpu", description="does it")
        async def other(params):
            return {"by": "named"}

        @worker.skill(version="1.2.3")
        def from_function(params):
            return {"by": "function"}

        with beside(worker):
            for name in ("bare", "named", "from_function"):
                dev.data(name)


def test_several_workers_live_in_one_process_at_once_and_one_after_the_other():
    with orchestrator() as dev:
        workers = []
        for number in range(3):
            worker = made(dev.url, {"WORKER_ID": f"w-{number}"})

            @worker.task(f"t{number}")
            async def t(params, task_name):
                return {"by": task_name}

            workers.append(worker)
        for _ in range(2):
            with beside(workers[0]), beside(workers[1]), beside(workers[2]):
                for number in range(3):
                    assert dev.data(f"t{number}") == {"by": f"t{number}"}


def test_several_workers_run_on_one_loop():
    with orchestrator() as dev:
        workers = []
        for number in range(2):
            worker = made(dev.url, {"WORKER_ID": f"w-{number}"})

            @worker.task(f"t{number}")
            async def t(params):
                return {}

            workers.append(worker)

        async def main():
            running = [asyncio.create_task(worker.main()) for worker in workers]
            for number in range(2):
                await asyncio.to_thread(dev.data, f"t{number}")
            for worker in workers:
                worker.drain()
            return await asyncio.gather(*running)

        assert all(stopped.is_clean for stopped in asyncio.run(main()))


def test_uvloop_runs_it():
    uvloop = pytest.importorskip("uvloop")
    with orchestrator() as dev:
        worker = made(dev.url)

        @worker.task("loop")
        async def loop(params):
            return {"loop": type(asyncio.get_running_loop()).__module__}

        @worker.task("block")
        def block(params):
            return {}

        with beside(worker, run=uvloop.run):
            assert dev.data("loop") == {"loop": "uvloop"}
            dev.data("block")


def test_a_loop_without_readers_is_woken_by_a_thread():
    class Loop(asyncio.SelectorEventLoop):
        def add_reader(self, *_: Any) -> None:
            raise NotImplementedError

    def run(coroutine):
        with asyncio.Runner(loop_factory=Loop) as runner:
            runner.run(coroutine)

    with orchestrator() as dev:
        worker = made(dev.url)

        @worker.task("t")
        async def t(params):
            return {}

        with beside(worker, run=run):
            for _ in range(20):
                dev.data("t")


def test_all_problems_of_a_configuration_and_a_worker_without_tasks_are_reported(monkeypatch):
    monkeypatch.setenv("HEARTBEAT_INTERVAL", "soon")
    monkeypatch.setenv("MAX_CONCURRENT_TASKS", "0")
    worker = Worker()

    @worker.task("t")
    async def t(params):
        return None

    with pytest.raises(ConfigError) as caught:
        asyncio.run(worker.main())
    assert "HEARTBEAT_INTERVAL" in str(caught.value) and "MAX_CONCURRENT_TASKS" in str(caught.value)


def test_wrong_registrations_are_refused_at_once():
    worker = made("http://127.0.0.1:1")

    with pytest.raises(TypeError):
        worker.add_middleware("no function")
    with pytest.raises(ValueError, match="invalid task name: `<function"):

        @worker.task
        async def without_parentheses(params):
            return None

    with pytest.raises(TypeError, match="the name of a command must be text"):

        @worker.on_command
        async def without_a_name(command):
            return None


@pytest.mark.parametrize("value", [-1, -0.5, "2", float("nan"), float("inf"), [1]])
def test_a_number_of_tasks_that_cannot_be_meant_is_refused(value):
    with pytest.raises(ValueError, match=re.escape(f"max_concurrent_tasks is `{value}`, expected a whole number")):
        made("http://127.0.0.1:1", max_concurrent_tasks=value)


@pytest.mark.parametrize("value", [0, False])
def test_a_worker_for_no_tasks_starts_with_a_warning_and_takes_none(value, caplog):
    LOG._said.clear()
    worker = made("http://127.0.0.1:1", max_concurrent_tasks=value)
    worker.task("t")(lambda params: None)
    registered = worker._registered()
    assert registered.max_concurrent_tasks == 1, "the core has no limit 0"
    assert registered.hooks.capacity_checker is not None
    assert registered.hooks.capacity_checker("t") is False
    assert "`max_concurrent_tasks` is 0: the worker takes no tasks" in caplog.text


@pytest.mark.parametrize(("value", "counts"), [(2.5, 3), (0.1, 1), (True, 1)])
def test_limits_that_are_not_whole_are_taken_with_a_warning(value, counts, caplog):
    LOG._said.clear()
    worker = made("http://127.0.0.1:1", max_concurrent_tasks=value, task_type_limits={"gpu": value, "cpu": 2.0})
    assert worker.config.MAX_CONCURRENT_TASKS == counts
    assert worker._registered().limits == {"gpu": counts, "cpu": 2}
    assert [record.getMessage().partition(", ")[0] for record in caplog.records] == [
        f"the limit of `gpu` is `{value}`",
        f"max_concurrent_tasks is `{value}`",
    ]
    assert f"which counts as {counts}: use a whole number" in caplog.text


def test_a_configuration_shows_what_the_worker_was_given(caplog):
    one = config("http://127.0.0.1:1")
    one.MAX_CONCURRENT_TASKS, one.WORKER_TYPE = 7, "of-the-configuration"
    Worker(config=one)
    assert (one.MAX_CONCURRENT_TASKS, one.WORKER_TYPE) == (7, "of-the-configuration")
    first = Worker("first", 2, config=one)
    assert (one.MAX_CONCURRENT_TASKS, one.WORKER_TYPE) == (2, "first")
    second = Worker("second", 3, config=one)
    assert (one.MAX_CONCURRENT_TASKS, one.WORKER_TYPE) == (3, "second")
    of_both = [(each._registered().worker_type, each._registered().max_concurrent_tasks) for each in (first, second)]
    assert of_both == [("first", 2), ("second", 3)]
    # Neither of them changes what is configured, for those that are given nothing.
    for third in (Worker(config=one), Worker(config=copy.copy(one))):
        native = third.config._native
        assert (third._registered().worker_type, third._registered().max_concurrent_tasks) == (None, None)
        assert (native.get("WORKER_TYPE"), native.get("MAX_CONCURRENT_TASKS")) == ("of-the-configuration", 7)
    one.WORKER_TYPE = "set-later"
    assert (one.WORKER_TYPE, one._native.get("WORKER_TYPE"), one.MAX_CONCURRENT_TASKS) == ("set-later", "set-later", 3)
    one.validate()
    assert caplog.text == ""


@pytest.mark.parametrize("config", [{}, None, False])
def test_an_empty_configuration_is_none(config):
    assert isinstance(Worker(config=config).config, WorkerConfig)


def test_log_lines_of_the_core_have_their_time_and_fields(caplog):
    caplog.set_level(logging.INFO, "avtomatika_worker")
    with orchestrator() as dev:
        worker = made(dev.url)

        @worker.task("t")
        async def t(params):
            return None

        before = time.time()
        with beside(worker):
            view = dev.run("t")
    started = next(record for record in caplog.records if record.getMessage().startswith("task started"))
    assert (started.name, started.levelname, started.task_id) == ("avtomatika_worker", "INFO", view["task_id"])
    assert before - 1 < started.created < time.time()
    assert any(record.getMessage().startswith("the worker has stopped") for record in caplog.records)


def test_lines_below_the_level_of_the_logger_are_not_created(caplog):
    caplog.set_level(logging.WARNING, "avtomatika_worker")
    with orchestrator() as dev:
        worker = made(dev.url)
        seen = []

        @worker.task("t")
        async def t(params):
            seen.extend(worker._run.native.log_lines()[0])

        with beside(worker):
            dev.data("t")
    assert not [line for line in seen if line[0] < 30]


def test_ten_thousand_tasks_do_not_make_the_process_grow():
    with orchestrator() as dev:
        worker = made(dev.url, max_concurrent_tasks=100)

        @worker.task("async")
        async def asynchronous(params):
            return {"data": {"n": params["n"]}}

        @worker.task("blocking")
        def blocking(params):
            return {"data": {"n": params["n"]}}

        def many(count):
            for start in range(0, count, 200):
                jobs = [dev.submit("blocking" if n % 4 == 0 else "async", {"n": n}) for n in range(start, start + 200)]
                for n, job in enumerate(jobs, start):
                    assert dev.result(job)["data"] == {"n": n}

        with beside(worker):
            many(3000)
            before = _resident()
            many(7000)
            grown = _resident() - before
            assert not worker._run._running
    # The orchestrator is in the same process, and remembers its tasks.
    assert grown < 24 * 2**20, f"{grown / 2**20:.1f} MiB"


def _resident() -> int:
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_hooks_run_before_the_registration_and_after_the_last_result():
    diary = []
    with orchestrator() as dev:
        worker = made(dev.url)

        @worker.on_startup
        async def first():
            diary.append("first")

        @worker.on_startup
        def second():
            diary.append(threading.current_thread() is not threading.main_thread() and "second")

        @worker.on_shutdown
        async def last():
            diary.append("last")

        @worker.on_shutdown
        async def raises():
            diary.append("raises")
            raise OSError

        @worker.task("t")
        async def t(params):
            diary.append("task")

        with beside(worker):
            dev.data("t")
    assert diary == ["first", "second", "task", "raises", "last"]


def test_a_startup_hook_that_raises_ends_the_run_with_it():
    worker = made("http://127.0.0.1:1")

    @worker.task("t")
    async def t(params):
        return None

    @worker.on_startup
    def fails():
        raise LookupError("the model is missing")

    one = Beside(worker)
    one.join()
    assert isinstance(one.error, LookupError)


def test_schemas_are_made_from_annotations_for_skills_and_sent_for_tasks_only_when_given():
    """Orchestrators of 1.0b30 check tasks against them before a worker gets them."""
    from avtomatika_worker._serving import routes, spec

    worker = made("http://127.0.0.1:1")

    @worker.task("task")
    async def task(params: dict) -> dict:
        """Does it."""
        return {}

    @worker.task("given", input_schema={"type": "object"})
    async def given(params: dict) -> dict:
        return {}

    @worker.skill
    async def skill(params: dict) -> dict:
        return {}

    registered = worker._registered()
    specs = {route.name: spec(registered.tasks[route.name], route, registered.limits) for route in routes(registered)}
    assert [specs[name]["input_schema"] for name in ("task", "given", "skill")] == [
        None,
        '{"type": "object"}',
        specs["skill"]["input_schema"],
    ]
    assert specs["skill"]["input_schema"] is not None
    assert specs["task"]["description"] == "Does it."
