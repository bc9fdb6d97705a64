"""The rows of `docs/migrating.md` about results, progress, events and calls of skills."""

import asyncio
import inspect
from dataclasses import dataclass

import orchestrators
import pytest
import support
from avtomatika_worker import OrchestratorClient, Worker
from migrating import Area, connected, of_data, run
from support import LIMIT
from wire import running

AREA = Area("results")


def test_every_row_has_a_test_and_every_test_a_row():
    AREA.check()


@AREA.row("A returned dictionary without `status`, `data` and `error`")
@pytest.mark.parametrize("data", [{"message": "hello"}, {"metadata": {"a": 1}}, {"costs": {"a": 1}}])
def test_a_plain_dictionary(data):
    found = of_data(data)
    assert (found.status, found.data) == ("success", data)


@AREA.row("Data that is not JSON")
@pytest.mark.parametrize("value", [float("nan"), {1}])
def test_data_that_is_not_json(value):
    found = of_data({"data": {"a": [value]}})
    assert found.error_code == "PERMANENT_ERROR"
    assert "a[0]" in found.error_message


@AREA.row("A handler that returns a list or a text")
@pytest.mark.parametrize("value", [[1], "done", {"data": [1]}])
def test_a_list_or_a_text(value):
    assert of_data(value).error_code == "PERMANENT_ERROR"


@AREA.row("The status `failure` without `error`")
def test_no_error():
    found = of_data({"status": "failure"})
    assert (found.status, found.error_code) == ("failure", "TRANSIENT_ERROR")


@AREA.row("An `error` without `status`")
def test_no_status():
    found = of_data({"error": {"code": "MINE", "message": "mine"}})
    assert (found.status, found.error_code, found.error_message) == ("failure", "MINE", "mine")


@AREA.row("A failure whose `error` lacks the code or the message")
def test_incomplete_errors():
    assert of_data({"status": "failure", "error": {"code": "MINE"}}).error_code == "MINE"
    assert of_data({"status": "failure", "error": {"message": "mine"}}).error_message == "mine"


@dataclass
class Size:
    width: int


@AREA.row("An exception without a text")
@AREA.row("Messages of errors")
def test_messages_of_errors():
    async def raises(params):
        raise NotImplementedError

    async def handler(params: Size):
        pass

    async def looks_up(params):
        return params["width"]

    async def groups(params):
        async with asyncio.TaskGroup() as group:
            group.create_task(looks_up({}))
            await asyncio.sleep(60)

    found = run(raises)
    assert (found.error_code, found.error_message) == ("TRANSIENT_ERROR", "NotImplementedError")
    assert run(looks_up).error_message == "KeyError: 'width'"
    assert run(groups).error_message.endswith("TaskGroup (1 sub-exception): KeyError: 'width'")
    found = run(handler, {"width": "x"})
    assert found.error_code == "INVALID_INPUT_ERROR" and "`width`" in found.error_message


@AREA.row("`metadata` or `costs` that are not dictionaries")
def test_metadata_and_costs(caplog):
    worker = Worker()

    @worker.task("work")
    async def work(params):
        return {"status": "success", **params}

    given = [{"metadata": [1]}, {"costs": "much"}, {"metadata": {}}, {"metadata": {"a": 1}, "costs": {"b": 2}}]
    with connected(worker) as (one, _):
        found = [one.result(one.give("work", sides)) for sides in given]
    assert [one.get("metadata") for one in found] == [None, None, None, {"a": 1}]
    assert [sorted(one["costs"]) for one in found] == [["execution_time_seconds"]] * 3 + [
        ["b", "execution_time_seconds"]
    ]
    warned = [record.getMessage() for record in caplog.records if "is not sent" in record.getMessage()]
    assert [message.split("`")[1] for message in warned] == ["metadata", "costs"]


METADATA = """
from avtomatika_worker import Worker

worker = Worker()


@worker.task("work")
async def work(params):
    return {"data": {}, "metadata": {"a": 1}}


worker.run()
"""


def test_metadata_of_a_job_without_metadata():
    """What the page says below the table of results is a fault of the orchestrator: if this fails, it is mended."""
    token = orchestrators.WORKER_TOKEN
    with orchestrators.running_orchestrator("1.0b30") as orchestrator:
        with running(METADATA, orchestrator.url, WORKER_TOKEN=token) as program:
            orchestrator.worker("w1", lambda: program.process.poll() is None)
            job = orchestrator.submit("work", {})
            support.until(lambda: "'NoneType' object has no attribute 'update'" in program.output())
            assert orchestrator.job(job)["status"] == "waiting_for_worker"
            # It would send the result until its time is over.
            program.process.kill()


@AREA.row("Each call of `send_progress` is sent")
@AREA.row("`send_progress(…)` and `send_event(…)` without `await`")
def test_progress():
    worker = Worker()

    @worker.task("work")
    async def work(params, send_progress, send_event):
        send_event("begun", {})
        for step in range(1, 51):
            send_progress("", "", step / 50)

    with connected(worker) as (one, _):
        one.result(one.give("work"))
        events = one.events()
    sent = [event["payload"]["progress"] for event in events if event["event_type"] == "progress"]
    # The loop takes less than 4 s even on a machine that is busy.
    assert 1 <= len(sent) < 50
    assert sent[-1] == 1
    assert "begun" in [event["event_type"] for event in events]


@AREA.row("`inspect.iscoroutine(send_progress(…))`")
def test_coroutines():
    async def handler(params, send_progress):
        made = send_progress("", "", 0.5)
        await asyncio.create_task(send_progress("", "", 0.6))
        return {
            "data": {
                "inspect": inspect.iscoroutine(made),
                "asyncio": asyncio.iscoroutine(made),
                "function": asyncio.iscoroutinefunction(send_progress),
            }
        }

    found = run(handler)
    assert found.data == {"inspect": False, "asyncio": True, "function": True}
    assert [fraction for fraction, _ in found.progress] == [0.5, 0.6]


@AREA.row("An event with sets, NaN or objects")
@pytest.mark.parametrize("value", [float("nan"), {1}, object()])
def test_events_that_are_not_json(value, caplog):
    async def handler(params, send_event):
        await send_event("mine", {"a": value})
        await send_event("mine", {"a": 1})

    found = run(handler)
    assert (found.status, found.events) == ("success", [("mine", {"a": 1})])
    assert "the data is not JSON: at `a`" in caplog.text


@AREA.row("`worker.emit_event` sends the event unsigned")
@AREA.row("`worker.emit_event` before the registration")
def test_events_of_the_worker(caplog):
    worker = Worker()

    @worker.task("work")
    async def work(params):
        pass

    asyncio.run(worker.emit_event({"event_type": "early", "payload": {}}))
    assert "the event is not sent: the worker does not run" in caplog.text
    with connected(worker) as (one, other):
        # A worker that runs tasks is registered.
        one.result(one.give("work"))
        event = {"event_id": "E", "event_type": "mine", "payload": {"a": 1}}
        asyncio.run_coroutine_threadsafe(worker.emit_event(event), other.loop).result(LIMIT)
        (sent,) = one.until(one.events)
    assert sent["payload"] == {"a": 1}
    assert sent["security"]["signature"] and sent["security"]["signer_id"] == worker.config.WORKER_ID


@AREA.row("`call_skill` changes parameters that are not JSON")
def test_calls_of_skills():
    async def handler(params, client: OrchestratorClient):
        with pytest.raises(ValueError, match="at `a`"):
            await client.call_skill("other", {"a": {1}})
        return {"data": await client.call_skill("other", {"a": 1})}

    assert run(handler).data["data"]["params"] == {"a": 1}
