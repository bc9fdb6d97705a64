"""What `docs/migrating.md` says is so: each row of its table has a test, and each test a row."""

import ast
import asyncio
import importlib
import logging
import pathlib
import re
from dataclasses import dataclass

import pytest
from avtomatika_worker import TaskFiles, Worker, WorkerConfig
from avtomatika_worker.errors import TaskError
from avtomatika_worker.testing import TestWorker
from pydantic import BaseModel
from wire import results, running, wire

TEXT = (pathlib.Path(__file__).parents[3] / "docs" / "migrating.md").read_text()

TESTED = {}


def table(section):
    """The cells of the rows of a section's table."""
    text = TEXT.partition(f"## {section}\n")[2].partition("\n## ")[0]
    rows = [[cell.strip() for cell in line[2:-2].split(" | ")] for line in text.splitlines() if line.startswith("| ")]
    return rows[1:]


def row(words):
    """Marks the test of the row whose first cell begins with these words."""

    def mark(test):
        TESTED[words] = test.__name__
        return test

    return mark


def run(handler, params=None, middleware=()):
    worker = Worker()
    worker.task("work")(handler)
    for one in middleware:
        worker.add_middleware(one)
    return TestWorker(worker).run("work", {} if params is None else params)


def of_data(data):
    async def handler(params, **kwargs):
        return data

    return run(handler)


def test_every_row_has_a_test_and_every_test_a_row():
    cells = [cells[0] for cells in table("What differs on purpose")]
    assert len(cells) > 20
    assert [cell for cell in cells if sum(cell.startswith(words) for words in TESTED) != 1] == []
    assert [words for words in TESTED if sum(cell.startswith(words) for cell in cells) != 1] == []


def test_rows_are_complete():
    rows = table("What differs on purpose")
    assert [cells for cells in rows if len(cells) != 4 or not all(cells)] == []
    assert {cells[1] for cells in rows} <= {"1.0b4", "1.0b20", "both"}


def test_the_package_satisfies_the_requirements_for_the_existing_one():
    from packaging.specifiers import SpecifierSet

    package = importlib.import_module("avtomatika_worker")
    for requirement in (">=1.0b4", "~=1.0b4", ">=1.0a1"):
        assert SpecifierSet(requirement).contains(package.__version__, prereleases=True), requirement


@row("A handler without `**kwargs`")
def test_arguments_that_are_named():
    async def handler(params, task_id):
        return {"data": {"id": bool(task_id)}}

    assert run(handler).data == {"id": True}


@row("A handler whose first argument is not named `params`")
def test_the_first_argument():
    async def handler(order: dict):
        return {"data": order}

    assert run(handler, {"a": 1}).data == {"a": 1}


@row("A handler that returns `None`")
def test_nothing_returned():
    found = of_data(None)
    assert (found.status, found.data) == ("success", None)


@row("A returned dictionary without `status`, `data` and `error`")
def test_a_plain_dictionary():
    found = of_data({"message": "hello"})
    assert (found.status, found.data) == ("success", {"message": "hello"})


@row("Data that is not JSON")
@pytest.mark.parametrize("value", [float("nan"), {1}])
def test_data_that_is_not_json(value):
    found = of_data({"data": {"a": [value]}})
    assert found.error_code == "PERMANENT_ERROR"
    assert "a[0]" in found.error_message


@row("A handler that returns a list or a text")
@pytest.mark.parametrize("value", [[1], "done"])
def test_a_list_or_a_text(value):
    assert of_data(value).error_code == "PERMANENT_ERROR"


@row("A `ValueError` of the handler")
def test_a_value_error():
    async def handler(params):
        raise ValueError("no number")

    found = run(handler)
    assert (found.error_code, found.error_message) == ("TRANSIENT_ERROR", "no number")


@row("A failure whose `error` lacks the code or the message")
def test_incomplete_errors():
    assert of_data({"status": "failure", "error": {"code": "MINE"}}).error_code == "MINE"
    assert of_data({"status": "failure", "error": {"message": "mine"}}).error_message == "mine"


@dataclass
class Size:
    width: int


@row("A dataclass with fields of other types than annotated")
def test_types_of_fields():
    async def handler(params: Size):
        pass

    assert run(handler, {"width": "5"}).error_code == "INVALID_INPUT_ERROR"


@row("A dataclass refuses unknown fields")
def test_unknown_fields():
    async def handler(params: Size):
        return {"data": {"width": params.width}}

    assert run(handler, {"width": 5, "colour": "red"}).data == {"width": 5}


class Model(BaseModel):
    width: int


@row("A model refuses what it could convert")
def test_conversions():
    async def handler(params: Model):
        return {"data": {"width": params.width}}

    assert run(handler, {"width": "5"}).data == {"width": 5}


@row("Text annotations")
def test_text_annotations():
    async def handler(params: "Size"):
        return {"data": {"type": type(params).__name__}}

    assert run(handler, {"width": 5}).data == {"type": "Size"}


PRIORITY = """
from avtomatika_worker import Worker

worker = Worker()


@worker.task("work")
async def work(params, priority, deadline):
    return {"data": {"priority": repr(priority), "deadline": deadline}}


worker.run()
"""


@row("The argument `priority`")
def test_the_priority():
    given = [("work", {}, {"priority": priority}) for priority in (7.0, 0.5)]
    found, _, _ = results(PRIORITY, given)
    assert [one["data"]["priority"] for one in found] == ["7", "0.5"]


@row("Middleware cannot inject arguments that the handler names")
def test_injected_arguments():
    async def inject(context, next_handler):
        context["handler_kwargs"]["model_path"] = "/models"
        return await next_handler()

    async def handler(params, model_path):
        return {"data": {"path": model_path}}

    assert run(handler, middleware=[inject]).data == {"path": "/models"}


PROGRESS = """
from avtomatika_worker import Worker

worker = Worker()


@worker.task("work")
async def work(params, send_progress):
    for step in range(1, 51):
        await send_progress("", "", step / 50)


worker.run()
"""


@row("Each call of `send_progress` is sent")
def test_progress_is_limited():
    with wire("1.0b17") as orchestrator, running(PROGRESS, orchestrator.url):
        orchestrator.result(orchestrator.give("work"))
        sent = [event["payload"]["progress"] for event in orchestrator.events()]
    # The loop takes less than 4 s even on a machine that is busy.
    assert 10 <= len(sent) < 50
    assert sent[-1] == 1


@row("`TaskFiles` writes outside of the directory of the task")
def test_names_that_lead_outside():
    async def handler(params, files: TaskFiles):
        with pytest.raises(TaskError):
            await files.write("../outside.txt", "x")
        return {"data": {"list": await files.list()}}

    assert run(handler).data == {"list": []}


CAPACITY = """
from avtomatika_worker import Worker

worker = Worker(capacity_checker=lambda name: name != "busy")


@worker.task("busy")
async def busy(params):
    pass


@worker.task("work")
async def work(params):
    pass


worker.run()
"""


@row("A registration leaves out what `capacity_checker` refuses")
def test_registrations_list_all_tasks():
    with wire() as orchestrator, running(CAPACITY, orchestrator.url):
        assert orchestrator.registered()["supported_tasks"] == ["busy", "work"]
        (first, *_) = orchestrator.until(orchestrator.heartbeats, "a heartbeat")
    assert first["supported_tasks"] == ["work"]


@row("`WORKER_TYPE` is ignored")
def test_the_worker_type():
    with wire() as orchestrator, running(PRIORITY, orchestrator.url, WORKER_TYPE="mine"):
        assert orchestrator.registered()["worker_type"] == "mine"


@row("A task with a `deadline` that is a float")
def test_deadlines_that_are_floats():
    (found,), _, _ = results(PRIORITY, [("work", {}, {"deadline": 4_000_000_000.25})], version="1.0b17")
    assert found["data"]["deadline"] == 4_000_000_000.25


@row("A task without a valid signature")
def test_unsigned_tasks():
    (found,), _, _ = results(PRIORITY, [("work", {})], version="1.0b17", ORCHESTRATOR_SECRET_KEY="key")
    assert found["error"]["code"] == "SECURITY_ERROR"


def ended(**variables):
    """The exit code and the output of a program that ends by itself."""
    with wire() as orchestrator, running(PRIORITY, orchestrator.url, **variables) as program:
        return program.process.wait(60), program.output()


@row("A variable that cannot be parsed")
def test_all_wrong_variables_are_reported():
    code, output = ended(HEARTBEAT_INTERVAL="soon", WORKER_PORT="none")
    assert code == 2
    assert "HEARTBEAT_INTERVAL" in output and "WORKER_PORT" in output
    assert "Traceback" not in output


@row("An unknown `MULTI_ORCHESTRATOR_MODE`")
def test_an_unknown_mode():
    code, output = ended(MULTI_ORCHESTRATOR_MODE="SOMEHOW")
    assert code == 2
    assert "`SOMEHOW`" in output


@row("`ORCHESTRATORS_CONFIG='[]'`")
def test_an_empty_list_of_orchestrators():
    found, _, _ = results(PRIORITY, [("work", {})], ORCHESTRATORS_CONFIG="[]")
    assert found[0]["status"] == "success"


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


@row("SIGTERM kills `run()`")
def test_sigterm_lets_tasks_finish():
    code, output, found = stopped()
    assert (code, [one["data"] for one in found]) == (0, [{"done": True}])
    assert "after" in output


@row("`asyncio.run(worker.main())` handles SIGTERM")
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


@row("`http_session` and `clients` are used")
@pytest.mark.parametrize("name", ["http_session", "clients"])
def test_connections_are_not_passed(name, caplog):
    with caplog.at_level(logging.WARNING, "avtomatika_worker"):
        Worker(**{name: [object()]})
    assert name in caplog.text


def test_defaults_that_differ():
    for name, _, here in table("Defaults that differ"):
        default = getattr(WorkerConfig(), name.strip("`"))
        expected = re.fullmatch(r"`(.*)`", here)[1]
        assert default == (ast.literal_eval(expected) if not expected.isupper() else expected), name


def test_every_differing_default_is_in_the_list_of_variables():
    variables = (pathlib.Path(__file__).parents[3] / "docs" / "configuration.md").read_text()
    aliases = {"SHUTDOWN_TIMEOUT": "WORKER_SHUTDOWN_TIMEOUT"}
    for name, _, _ in table("Defaults that differ"):
        assert f"`{aliases.get(name.strip('`'), name.strip('`'))}`" in variables, name
