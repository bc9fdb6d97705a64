"""Parts that handlers get by annotation, the log for programs, and names of the existing SDK."""

from __future__ import annotations

import asyncio
import dataclasses
import io
import json
import logging
import pickle
import subprocess
import sys
from textwrap import dedent
from typing import Any

import avtomatika_worker
import pytest
from avtomatika_worker import ObservabilityManager, OrchestratorClient, Worker, models, observability
from avtomatika_worker import logging as own_logging
from avtomatika_worker import worker as worker_module
from avtomatika_worker._command import WorkerCommand
from avtomatika_worker.models import SkillInfo
from avtomatika_worker.models import TaskError as TaskErrorMessage
from avtomatika_worker.signature import analyse
from avtomatika_worker.testing import TestWorker
from support import beside, config, orchestrator, until
from wire import results

# Arguments by annotation


async def by_class(params: dict[str, Any], anything: OrchestratorClient) -> None: ...
async def optional(params: dict[str, Any], anything: OrchestratorClient | None = None) -> None: ...
async def as_text(params: dict[str, Any], anything: avtomatika_worker.OrchestratorClient) -> None: ...
async def first(anything: OrchestratorClient, params: dict[str, Any]) -> None: ...


class OwnClient(OrchestratorClient): ...


async def subclass(params: dict[str, Any], anything: OwnClient) -> None: ...


@pytest.mark.parametrize("handler", [by_class, optional, as_text, first, subclass])
def test_the_annotation_of_an_argument_decides_what_it_gets(handler):
    plan = analyse(handler)
    assert plan.injected == {"anything": "OrchestratorClient"}
    assert plan.params_reader(b'{"a": 1}') == {"a": 1}


def test_other_annotations_get_nothing():
    async def handler(params: dict, client: int, other, more: dict[str, int] | None = None): ...

    assert analyse(handler).injected == {}


def test_a_client_calls_skills():
    worker = Worker(config=config("http://127.0.0.1:1"))

    @worker.skill
    async def on_loop(params, client: OrchestratorClient):
        return {"data": await client.call_skill("search", {"query": params["text"]})}

    @worker.skill
    def on_thread(params, client: OrchestratorClient):
        return {"data": client.call_skill_sync("search", {"query": params["text"]})}

    for name in ("on_loop", "on_thread"):
        run = TestWorker(worker).run(name, {"text": "a"})
        assert run.data["status"] == "success"
        assert run.data["data"] == {"mocked": True, "skill": "search", "params": {"query": "a"}}


def test_calls_reach_the_orchestrator_and_its_answer_comes_back():
    script = """
    from avtomatika_worker import OrchestratorClient, Worker
    worker = Worker()
    @worker.skill("research")
    async def research(params, client: OrchestratorClient):
        return {"data": await client.call_skill("search", params)}
    worker.run()
    """
    (result,), _, _ = results(dedent(script), [("research", {"query": "a"})], version="1.0b17")
    called = {"skill_name": "search", "params": {"query": "a"}}
    assert result["data"] == {"status": "success", "data": {"called": called}}


def test_a_handler_gets_the_manager_for_spans():
    worker = Worker(config=config("http://127.0.0.1:1"))

    @worker.task("t")
    async def t(params, obs: ObservabilityManager):
        with obs.start_task_span("step", "t", "j") as span:
            return {"data": {"enabled": obs.has_otel, "span": span}}

    assert TestWorker(worker).run("t", {}).data == {"enabled": False, "span": None}


def test_each_worker_has_its_own_manager_for_spans(monkeypatch):
    # Whether the packages of OpenTelemetry are installed must not matter.
    monkeypatch.setattr(observability.ObservabilityManager, "_set_up_providers", lambda *_: None)
    found = {}
    with orchestrator() as one, orchestrator() as other:
        workers, handlers = {}, {}
        for dev, kind in ((one, "measured"), (other, "plain")):
            workers[kind] = worker = Worker(kind, config=config(dev.url, WORKER_ENABLE_METRICS=kind == "measured"))

            @worker.add_middleware
            async def keep(context, next_handler, kind=kind):
                found.setdefault(kind, []).append(context["observability"])
                return await next_handler()

            async def t(obs: ObservabilityManager, task_name, kind=kind):
                found.setdefault(kind, []).append(obs)

            handlers[kind] = worker.task("t")(t)
        with beside(workers["measured"]), beside(workers["plain"]):
            for dev in (one, other, one):
                dev.run("t")
            workers["measured"].task("late")(handlers["measured"])
            one.run("late")
    assert [len(set(map(id, found[kind]))) for kind in ("measured", "plain")] == [1, 1]
    assert [len(found[kind]) for kind in ("measured", "plain")] == [6, 2]
    assert found["measured"][0] is not found["plain"][0] and not found["plain"][0].enabled


# Observability


def test_without_opentelemetry_it_does_nothing_and_says_so(monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    monkeypatch.setitem(sys.modules, "opentelemetry.trace", None)
    manager = ObservabilityManager()
    assert (manager.enabled, manager.has_otel, manager.tracer, manager.meter) == (False, False, None, None)
    assert "the package `opentelemetry-api` is not installed" in caplog.text
    with pytest.raises(ZeroDivisionError):
        with manager.start_s3_span("get", "s3://a/b") as span:
            assert span is None
            1 / 0  # noqa: B018
    manager.set_span_status_error(None, "bad")
    manager.record_s3_op("get", "ok")
    manager.record_task_finished("t", "success", 0.5)
    asyncio.run(manager.shutdown())


class FakeSpan:
    def __init__(self) -> None:
        self.status: Any = None

    def set_status(self, status: Any) -> None:
        self.status = status


class FakeTracer:
    def __init__(self) -> None:
        self.spans: list[tuple[str, Any, dict[str, Any]]] = []

    def start_as_current_span(self, name: str, context: Any = None, attributes: Any = None) -> Any:
        from contextlib import nullcontext

        self.spans.append((name, context, attributes))
        return nullcontext(FakeSpan())


def test_spans_and_metrics_are_named_as_with_the_existing_sdk():
    from opentelemetry import trace

    manager = ObservabilityManager()
    assert manager.has_otel
    manager.tracer = tracer = FakeTracer()
    parent = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
    with manager.start_task_span("draw", "t", "j", parent, 2, 3, "hash") as span:
        manager.set_span_status_error(span, "bad")
    with manager.start_s3_span("get", "s3://a/b"):
        pass
    (name, context, attributes), s3 = tracer.spans
    assert (name, attributes) == (
        "task.draw",
        {
            "task.id": "t",
            "job.id": "j",
            "task.type": "draw",
            "task.step": 2,
            "task.depth": 3,
            "task.parent_hash": "hash",
        },
    )
    assert format(trace.get_current_span(context).get_span_context().span_id, "x") == "b7ad6b7169203331"
    assert s3 == ("s3.get", None, {"s3.uri": "s3://a/b", "s3.operation": "get"})
    assert span.status.status_code is trace.StatusCode.ERROR
    manager.record_s3_op("get", "ok")
    manager.record_task_finished("t", "success", 0.5)


# Logs


@pytest.fixture
def root(monkeypatch):
    """The root logger, as it is outside of tests, and its output."""
    logger = logging.getLogger()
    handlers, level = logger.handlers[:], logger.level
    output = io.StringIO()
    monkeypatch.setattr(own_logging, "stdout", output)
    own_logging.clear_context()
    yield output
    own_logging.clear_context()
    logger.handlers[:] = handlers
    logger.setLevel(level)


def test_the_log_is_text_by_default(root, monkeypatch):
    monkeypatch.delenv("LOG_FORMAT", raising=False)
    monkeypatch.delenv("LOG_LEVEL", raising=False)
    own_logging.setup_logging("w1")
    own_logging.setup_logging("w1")
    logging.getLogger("app").info("hello %s", "you")
    logging.getLogger("app").debug("not shown")
    assert len(logging.getLogger().handlers) == 1
    assert root.getvalue().endswith("] INFO in app: hello you\n") and root.getvalue().count("\n") == 1


def test_json_lines_have_the_context(root, monkeypatch):
    monkeypatch.setenv("LOG_FORMAT", "JSON")
    monkeypatch.setenv("LOG_LEVEL", "debug")
    own_logging.setup_logging("w1")
    log = logging.getLogger("app")
    own_logging.set_context(task_id="t", user=5)
    log.debug("one", extra={"own": 1, "job_id": "own"})
    own_logging.clear_context("user")
    try:
        raise ValueError("bad")
    except ValueError:
        log.exception("two")
    own_logging.clear_context()
    log.info("three")
    one, two, three = (json.loads(line) for line in root.getvalue().splitlines())
    assert {"levelname": "DEBUG", "name": "app", "message": "one"}.items() <= one.items()
    assert {"worker_id": "w1", "task_id": "t", "job_id": "own", "user": 5, "own": 1}.items() <= one.items()
    assert "user" not in two and two["exc_info"].endswith("ValueError: bad")
    assert (three["worker_id"], three["task_id"], three["job_id"]) == (None, None, None)


def test_the_lines_of_a_handler_have_its_ids(root, monkeypatch):
    monkeypatch.setenv("LOG_FORMAT", "json")
    own_logging.setup_logging()
    worker = Worker(config=config("http://127.0.0.1:1"))

    @worker.task("on_loop")
    async def on_loop(params, task_id, job_id):
        await asyncio.sleep(0)
        logging.getLogger("app").info("%s %s", task_id, job_id)

    @worker.task("on_thread")
    def on_thread(params, task_id, job_id):
        logging.getLogger("app").info("%s %s", task_id, job_id)

    for name in ("on_loop", "on_thread"):
        assert TestWorker(worker).run(name, {}).status == "success"
    lines = [line for line in map(json.loads, root.getvalue().splitlines()) if line["name"] == "app"]
    assert len(lines) == 2
    assert [line["message"] for line in lines] == [f"{line['task_id']} {line['job_id']}" for line in lines]
    logging.getLogger("app").info("outside")
    assert json.loads(root.getvalue().splitlines()[-1])["task_id"] is None


# Commands


def test_a_command_is_an_object_and_a_mapping():
    command = WorkerCommand(command="reboot", task_id=None, job_id=None, params={"a": 1}, metadata=None)
    assert (command.command, command.params, command.task_id) == ("reboot", {"a": 1}, None)
    assert (command["command"], command.get("params"), "metadata" in command) == ("reboot", {"a": 1}, True)
    assert json.loads(json.dumps(command))["params"] == {"a": 1}
    assert (type(command).__name__, isinstance(command, models.WorkerCommand)) == ("WorkerCommand", True)
    assert command == dict(command) == dataclasses.asdict(command) == pickle.loads(pickle.dumps(command))
    assert repr(command).startswith("WorkerCommand(command='reboot', task_id=None, ")
    with pytest.raises(AttributeError, match="nothing"):
        _ = command.nothing


# The worker


def test_what_has_no_effect_is_said_once_in_the_log(caplog):
    avtomatika_worker._logging.LOG._said.clear()
    for _ in range(2):
        worker = Worker(config=config("http://127.0.0.1:1"), http_session=object(), clients=[])
        assert worker._config is worker.config
        other = config("http://127.0.0.1:2")
        worker._config = other
        assert worker.config is worker._config is other
    said = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert [message.partition(":")[0] for message in said] == [
        "`http_session` has no effect",
        "`clients` has no effect",
        "`worker._config` is internal",
    ]


def test_the_event_of_the_shutdown_stops_the_worker(caplog):
    with orchestrator() as dev:
        worker = Worker(config=config(dev.url))
        seen: list[bool] = []

        @worker.task("t")
        async def t(params):
            waiting = asyncio.create_task(worker._shutdown_event.wait())
            seen.append(worker._shutdown_event.is_set())
            worker._shutdown_event.set()
            seen.append(await waiting)

        with beside(worker):
            assert dev.run("t")["status"] == "finished"
            until(lambda: worker._run is None)
        assert seen == [False, True]
        assert worker._shutdown_event.is_set()


# Names


def test_the_module_worker_has_the_names_that_programs_import_from_it():
    from avtomatika_worker import _names

    for names in (names for home, names in _names._HOMES.items() if home != "s3"):
        for name in names:
            assert getattr(worker_module, name) is not None
    assert worker_module.SkillInfo is SkillInfo is avtomatika_worker.SkillInfo
    assert worker_module.TaskError is TaskErrorMessage
    assert issubclass(avtomatika_worker.TaskError, Exception)
    assert (worker_module.TASK_STATUS_CANCELLED, worker_module.MSG_TYPE_PROGRESS) == ("cancelled", "progress_update")
    assert worker_module.logger.name == "avtomatika_worker.worker"
    assert worker_module.replace(SkillInfo("a"), name="b") == SkillInfo("b")
    assert [field.name for field in worker_module.fields(SkillInfo)][:2] == ["name", "type"]
    with pytest.raises(AttributeError, match=r"module 'avtomatika_worker.worker' has no attribute 'nothing'"):
        _ = worker_module.nothing


def test_an_import_of_all_names_brings_no_version():
    # The version of a skill is by default that of its module.
    assert "__version__" not in avtomatika_worker.__all__


@pytest.mark.parametrize("requirement", [">=1.0b4", "~=1.0b4", ">=1.0a1", ">=1.0b20", "==1.*", "<2"])
def test_the_version_fits_requirements_of_the_existing_package(requirement):
    import pathlib
    import tomllib

    from packaging.specifiers import SpecifierSet
    from packaging.version import Version

    project = tomllib.loads((pathlib.Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    own = Version(project["version"])
    assert own in SpecifierSet(requirement)
    assert all(own > Version(other) for other in ("1.0b4", "1.0b20", "1.0b99", "1.0rc1", "1.0"))


def test_modules_are_attributes_of_the_package():
    script = (
        "import avtomatika_worker as a, sys\n"
        "before = {'logging', 'asyncio', 'dataclasses'} & set(sys.modules)\n"
        "print(a.logging.setup_logging.__name__, a.types.TRANSIENT_ERROR, a.observability.logger.name, before)\n"
        "print(type(a.__version__).__name__, a.config.WorkerConfig.__name__)\n"
    )
    output = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert output.splitlines() == [
        "setup_logging TRANSIENT_ERROR avtomatika_worker.observability set()",
        "str WorkerConfig",
    ]


def test_schemas_are_extracted_as_with_the_existing_sdk():
    async def handler(params: dict[str, Any], size: int) -> list[int]: ...
    def plain(params) -> dict: ...

    extract = worker_module.worker_extract_schema_from_func
    assert extract(handler, "size") == {"type": "integer"}
    assert extract(handler, "nothing") is None and extract(plain, "params") is None
    assert worker_module.worker_extract_output_schema_from_func(handler) == {
        "type": "array",
        "items": {"type": "integer"},
    }
    assert worker_module.worker_extract_output_schema_from_func(plain) is None
    assert worker_module.worker_extract_json_schema(None) is None
    assert worker_module.worker_extract_json_schema({"type": "null"}) == {"type": "null"}
