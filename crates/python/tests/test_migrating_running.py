"""The rows of `docs/migrating.md` about running workers."""

import asyncio
import dataclasses
import logging
import threading
from unittest.mock import MagicMock

import pytest
from avtomatika_worker import OrchestratorClient, Worker, WorkerConfig, models
from migrating import Area, connected, run
from wire import results, running, wire

AREA = Area("running")


def test_every_row_has_a_test_and_every_test_a_row():
    AREA.check()


SLOW = """
import asyncio
import sys

from avtomatika_worker import Worker

worker = Worker()


@worker.task("work")
async def work(params):
    print("begun", flush=True)
    await asyncio.sleep(0.5)
    return {"data": {"done": True}}


async def main():
    await worker.main()


asyncio.run(main()) if "MAIN" in sys.modules["os"].environ else worker.run()
print("after", flush=True)
"""


def stopped(**variables):
    """Sends SIGTERM while a task runs; returns the exit code, the output and the results."""
    with wire() as orchestrator, running(SLOW, orchestrator.url, WORKER_SHUTDOWN_POLLS="drop", **variables) as program:
        orchestrator.give("work")
        orchestrator.until(lambda: "begun" in program.output(), "the start of the task")
        code, output = program.end()
        return code, output, [one.body for one in orchestrator.of("POST", "/result")]


@AREA.row("SIGTERM kills `run()`")
def test_sigterm_lets_tasks_finish():
    code, output, found = stopped()
    assert (code, [one["data"] for one in found]) == (0, [{"done": True}])
    assert "after" in output


@AREA.row("`asyncio.run(worker.main())` handles SIGTERM")
def test_signals_belong_to_the_program():
    code, output, _ = stopped(MAIN="1")
    assert code == -15
    assert "after" not in output


def test_drain_ends_main():
    async def main(orchestrator):
        config = WorkerConfig()
        config.ORCHESTRATORS = [{"url": orchestrator.url}]
        worker = Worker(config=config)

        @worker.task("work")
        async def work(params):
            worker.drain()

        orchestrator.give("work")
        return await worker.main()

    with wire() as orchestrator:
        assert asyncio.run(main(orchestrator)).is_clean


def worker(**arguments):
    made = Worker(**arguments)

    @made.task("work")
    async def work(params):
        return {"data": {}}

    return made


@AREA.row("A task without a valid signature")
def test_unsigned_tasks():
    with connected(worker(), ORCHESTRATOR_SECRET_KEY="key") as (one, _):
        assert one.result(one.give("work"))["error"]["code"] == "SECURITY_ERROR"


@AREA.row("Messages have the members of one version")
@pytest.mark.parametrize("version", [None, "1.0b17"])
def test_messages_for_both(version):
    with connected(worker(), version) as (one, _):
        sent = one.registered()
        result = one.result(one.give("work"))
        beats = one.until(one.heartbeats)
    assert (sent["supported_tasks"], [skill["name"] for skill in sent["supported_skills"]]) == (["work"], ["work"])
    assert {"installed_models", "installed_artifacts", "skills_hash"} <= set(sent)
    assert beats[0]["supported_tasks"] == beats[0]["available_skills"] == ["work"]
    assert {"timestamp", "security", "origin_worker_id", "costs"} <= set(result)


@AREA.row("A registration leaves out what `capacity_checker` refuses")
def test_registrations_list_all_tasks():
    made = worker(capacity_checker=lambda name: name != "busy")
    made.task("busy")(lambda params: None)
    with connected(made, None) as (one, _):
        assert one.registered()["supported_tasks"] == ["work", "busy"]
        first, *_ = one.until(one.heartbeats, "a heartbeat")
    assert first["supported_tasks"] == ["work"]


@AREA.row("A usage checker that raises")
def test_the_usage_checker(caplog):
    made, threads = worker(), set()

    def check():
        threads.add(threading.current_thread())
        raise OSError("no sensor")

    made.set_usage_checker(check)
    with connected(made) as (one, _):
        beats = one.until(lambda: len(one.heartbeats()) > 2 and one.heartbeats(), "three heartbeats")
    assert [beat["usage"] for beat in beats if beat.get("usage")] == []
    assert len([record for record in caplog.records if "no sensor" in str(record.exc_info or record.getMessage())]) == 1
    assert threads and threading.main_thread() not in threads


@AREA.row("A task that is added to the hot cache by its name")
def test_hot_tasks():
    made = worker()
    made.add_to_hot_cache("work")
    with connected(made) as (one, _):
        beats = one.until(lambda: [beat for beat in one.heartbeats() if beat.get("hot_skills")], "a hot skill")
    assert (beats[0]["hot_skills"], beats[0]["hot_cache"]) == (["work"], ["work"])


ROOT = """
import logging
from avtomatika_worker import Worker, setup_logging

root = logging.getLogger()
worker = Worker()
assert root.handlers == []
setup_logging()
print(len(root.handlers), logging.getLevelName(root.level))
worker.run()
"""


@AREA.row("`Worker()` sets up the root logger")
@AREA.row("An unknown `LOG_LEVEL`")
def test_the_root_logger():
    with wire() as orchestrator, running(ROOT, orchestrator.url, LOG_LEVEL="LOUD") as program:
        assert program.process.wait(60) == 2
        assert "1 INFO" in program.output() and "`LOG_LEVEL` is `LOUD`" in program.output()


SPANS = """
import sys, types
from opentelemetry import trace
from avtomatika_worker import ObservabilityManager, Worker

names = []

class Tracers(trace.NoOpTracerProvider):
    # Stands in for the provider of the SDK.
    def __init__(self, resource=None):
        pass

    def get_tracer(self, *_, **__):
        return Tracer()

    def add_span_processor(self, processor):
        names.append(type(processor).__name__)

class Tracer(trace.NoOpTracer):
    def start_as_current_span(self, name, *arguments, **named):
        names.append(name)
        return super().start_as_current_span(name)

def module(name, **members):
    sys.modules[name] = types.ModuleType(name)
    vars(sys.modules[name]).update(members)

module("opentelemetry.sdk")
module("opentelemetry.sdk.trace", TracerProvider=Tracers)
module("opentelemetry.sdk.metrics", MeterProvider=lambda **_: __import__("opentelemetry.metrics").metrics.NoOpMeterProvider())
module("opentelemetry.sdk.resources", Resource=types.SimpleNamespace(create=dict))
worker = Worker()

@worker.task("work")
async def work(params, task_id, job_id, obs: ObservabilityManager):
    with obs.start_task_span("own", task_id, job_id):
        return {"data": {"names": names}}

worker.run()
"""


@AREA.row("With `WORKER_ENABLE_METRICS`, every task has a span")
def test_spans():
    (found,), _, _ = results(SPANS, [("work", {})], WORKER_ENABLE_METRICS="true")
    assert found["data"]["names"] == ["task.own"]


@AREA.row("`OrchestratorClient(transport, worker)`")
def test_clients():
    async def handler(params, client: OrchestratorClient):
        return {"data": await client.call_skill("other", {"a": 1})}

    assert run(handler).data["data"]["skill"] == "other"


RELOADED = """
from avtomatika_worker import Worker

worker = Worker()
worker.task("work")(lambda params: None)
"""


@AREA.row("`worker run --reload` needs the package `watchdog`")
def test_reload_needs_no_package(tmp_path):
    (tmp_path / "app_to_migrate.py").write_text(RELOADED)
    arguments = ["run", "--app", "app_to_migrate:worker", "--no-health-check", "--reload"]
    script = f"import sys, os; os.chdir({str(tmp_path)!r}); sys.modules['watchdog'] = None\n"
    script += f"from avtomatika_worker.__main__ import main; sys.exit(main({arguments}))"
    with wire() as orchestrator, running(script, orchestrator.url) as program:
        assert orchestrator.registered()["supported_tasks"] == ["work"]
        code, _ = program.end()
    assert code == 0


@AREA.row("The classes of messages are named tuples")
def test_messages():
    for kind in (models.TaskResult, models.SkillInfo, models.Heartbeat):
        assert dataclasses.is_dataclass(kind) and not issubclass(kind, tuple)
    with pytest.raises(AttributeError):
        models.SkillInfo("a").name = "b"


@AREA.row("The log has a logger for each module")
def test_all_lines_have_one_logger(caplog):
    caplog.set_level(logging.INFO)
    worker = Worker()

    @worker.task("work")
    async def work(params):
        raise RuntimeError("wrong")

    with connected(worker) as (one, _):
        one.result(one.give("work"))
    names = {record.name for record in caplog.records}
    assert {name for name in names if name.startswith("avtomatika")} == {"avtomatika_worker"}
    assert "task started" in caplog.text and "the handler raised" in caplog.text


@AREA.row("A handler's `add_to_hot_cache`")
def test_the_function_of_a_handler_is_not_the_method():
    class Own(Worker):
        def add_to_hot_cache(self, model_name):
            raise AssertionError("not called")

    worker = Own()

    @worker.task("load")
    async def load(params, add_to_hot_cache, add_to_hot_skills):
        add_to_hot_cache(model_name="one")
        add_to_hot_skills(item="two")

    with connected(worker) as (one, _):
        one.result(one.give("load"))
        assert worker.get_hot_cache() == {"one", "two"}


@AREA.row("Patching names in the modules")
def test_patched_names_are_not_used(monkeypatch):
    fake = MagicMock()
    monkeypatch.setattr("avtomatika_worker.worker.S3Manager", fake)
    assert run(lambda params: {"data": {"n": 1}}).data == {"n": 1}
    assert not fake.called


@AREA.row("`Worker(config=…)` takes any object")
def test_a_configuration_is_one():
    with pytest.raises(TypeError, match="`config` is a `MagicMock`"):
        Worker(config=MagicMock())
