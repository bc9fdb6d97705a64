"""What a task sends while it runs: progress, events, and calls of other skills; and what it was given beside its
parameters."""

from __future__ import annotations

import asyncio
import gc
import inspect
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import uvloop
from avtomatika_worker import Worker, _events
from avtomatika_worker._offers import Calls
from avtomatika_worker._skill_calls import call_skill
from avtomatika_worker.models import SecurityContext, WorkerEventPayload
from support import LIMIT, Beside, beside, config
from wire import Wire, wire


@contextmanager
def running(worker: Worker, version: str | None = "1.0b17", **attributes: Any) -> Iterator[tuple[Wire, Beside]]:
    with wire(version) as one:
        worker.config = config(one.url, **attributes)
        with beside(worker) as other:
            one.registered()
            yield one, other


def data_of(worker: Worker, name: str, **members: Any) -> tuple[Any, list[dict[str, Any]]]:
    """Runs a task, and returns the data of its result and the events that were sent."""
    with running(worker) as (one, _):
        result = one.result(one.give(name, **members))
        assert "error" not in result, result
        return result.get("data"), one.events()


# --- Coroutines


@pytest.mark.parametrize("name", ["send_progress", "send_event", "emit_event"])
def test_the_functions_that_send_count_as_coroutine_functions(name):
    function = getattr(Calls(None), name)
    with warnings.catch_warnings():
        # Deprecated since Python 3.14.
        warnings.simplefilter("ignore", DeprecationWarning)
        assert asyncio.iscoroutinefunction(function)
    assert inspect.iscoroutinefunction(function) is (sys.version_info >= (3, 12))


async def by_await(made):
    return await made


async def by_task(made):
    return await asyncio.create_task(made, name="progress")


async def by_group(made):
    async with asyncio.TaskGroup() as group:
        task = group.create_task(made)
    return task.result()


async def by_gather(made):
    first, second = await asyncio.gather(made, asyncio.sleep(0, 5))
    assert second == 5
    return first


async def by_wait_for(made):
    return await asyncio.wait_for(made, LIMIT)


async def by_shield(made):
    return await asyncio.shield(made)


async def by_ensure_future(made):
    return await asyncio.ensure_future(made)


async def by_another_thread(made):
    loop = asyncio.get_running_loop()
    return await asyncio.to_thread(lambda: asyncio.run_coroutine_threadsafe(made, loop).result(LIMIT))


async def by_a_loop_in_a_thread(made):
    return await asyncio.to_thread(asyncio.run, made)


WAYS = [
    by_await,
    by_task,
    by_group,
    by_gather,
    by_wait_for,
    by_shield,
    by_ensure_future,
    by_another_thread,
    by_a_loop_in_a_thread,
]


class Sent:
    """Stands in for the core's task: keeps what is sent."""

    task_id, job_id = "t", "j"

    def __init__(self, rooms: list[bool] | None = None) -> None:
        self.progress: list[Any] = []
        self.events: list[Any] = []
        self.rooms = rooms or []

    def send_progress(self, *progress: Any) -> None:
        self.progress.append(progress)

    def send_event(self, *event: Any) -> bool:
        has_room = self.rooms.pop(0) if self.rooms else True
        if has_room:
            self.events.append(event)
        return has_room


def loops() -> list[Any]:
    eager = getattr(asyncio, "eager_task_factory", None)
    ways: list[Any] = [asyncio.run, uvloop.run, lambda main: asyncio.run(main, debug=True)]
    if eager is not None:

        async def eagerly(main: Any) -> Any:
            asyncio.get_running_loop().set_task_factory(eager)
            return await main

        ways.append(lambda main: asyncio.run(eagerly(main)))
    return ways


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
@pytest.mark.parametrize("run", loops(), ids=lambda _: "")
def test_what_is_sent_is_a_coroutine_to_asyncio_and_was_sent_at_the_call(way, run):
    sent = Sent()
    calls = Calls(sent)  # type: ignore[arg-type]
    for made in (
        calls.send_progress("t", "j", 0.5, "half"),
        calls.send_event("e", {}),
        calls.emit_event("e", {}),
        calls.send_progress(0.25),
    ):
        assert inspect.isawaitable(made)
        assert asyncio.iscoroutine(made)
        assert run(way(made)) is None
    assert sent.progress == [(0.5, "half"), (0.25, "")]
    assert [event[0] for event in sent.events] == ["e", "e"]


def test_awaiting_is_optional_and_closing_or_cancelling_does_no_harm():
    sent = Sent()
    calls = Calls(sent)  # type: ignore[arg-type]
    calls.send_progress(0.1)
    calls.send_progress(0.2).close()

    async def cancelled() -> None:
        task = asyncio.create_task(calls.send_progress(0.3))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
    assert [number for number, _ in sent.progress] == [0.1, 0.2, 0.3]


def test_progress_takes_the_ids_by_every_name_and_a_wrong_number_is_logged(caplog):
    sent = Sent()
    calls = Calls(sent)  # type: ignore[arg-type]
    calls.send_progress(task_id_arg="t", job_id_arg="j", progress=0.25, message=5)
    calls.send_progress(task_id="t", job_id="j", progress="0.5")
    calls.send_progress(None, None, 5)
    assert caplog.text == ""
    calls.send_progress("t", "j", "half")
    assert sent.progress == [(0.25, "5"), (0.5, ""), (5.0, "")]
    assert "progress is not sent: it is 'half', expected a number" in caplog.text


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_an_event_waits_for_room_if_it_is_awaited(way, caplog):
    sent = Sent([False, False, True])
    calls = Calls(sent)  # type: ignore[arg-type]

    async def handler():
        made = calls.send_event("e", {"n": 1})
        assert sent.events == []
        await way(made)

    asyncio.run(handler())
    assert [event[:3] for event in sent.events] == [("e", b'{"n":1}', 0.0)]
    assert caplog.text == ""


def test_an_event_without_room_that_is_not_awaited_is_logged(caplog):
    sent = Sent([False])
    calls = Calls(sent)  # type: ignore[arg-type]

    async def handler():
        calls.send_event("lost", {})

    with warnings.catch_warnings(action="error"):
        asyncio.run(handler())
        gc.collect()
    assert sent.events == []
    assert [record.getMessage() for record in caplog.records] == [
        "the event `lost` is not sent: too many events of the task wait to be sent, and it was not awaited task_id=t job_id=j"
    ]


def test_an_event_waits_for_room_on_a_thread_without_a_loop(caplog):
    sent = Sent([False, False, True])
    calls = Calls(sent)  # type: ignore[arg-type]
    calls.send_event("e", {"n": 1})
    assert [event[:3] for event in sent.events] == [("e", b'{"n":1}', 0.0)]
    assert caplog.text == ""


def test_an_event_that_gets_no_room_in_time_is_logged(caplog, monkeypatch):
    monkeypatch.setattr(_events, "_ROOM_LIMIT", 0.0)
    sent = Sent([False] * 100)
    Calls(sent).send_event("late", {})  # type: ignore[arg-type]
    assert sent.events == []
    assert "the event `late` is not sent: too many events of the task wait to be sent task_id=t job_id=j" in caplog.text


def test_a_sync_handler_that_sends_many_events_loses_none():
    worker = Worker()

    @worker.task("many")
    def many(params, send_event):
        for number in range(250):
            send_event("counted", {"n": number})
        # A result waits for a limited time only for the events before it.
        one.until(lambda: len(one.events()) == 250)

    with running(worker) as (one, _):
        assert "error" not in one.result(one.give("many"))
        assert [event["payload"]["n"] for event in one.events()] == list(range(250))


def test_a_handler_that_awaits_each_of_many_events_loses_none():
    worker = Worker()

    @worker.task("many")
    async def many(params, send_event):
        for number in range(250):
            await send_event("counted", {"n": number})
        # A result waits for a limited time only for the events before it.
        await asyncio.to_thread(one.until, lambda: len(one.events()) == 250)

    with running(worker) as (one, _):
        assert "error" not in one.result(one.give("many"))
        assert [event["payload"]["n"] for event in one.events()] == list(range(250))


def test_a_sync_handler_sends_progress_and_events():
    worker = Worker()

    @worker.task("sync")
    def sync(params, task_id, job_id, send_progress, send_event):
        send_progress(task_id, job_id, 0.25)
        asyncio.run(send_progress(task_id, job_id, 0.5))
        asyncio.run(send_event("seen", {"a": 1}))

    _, events = data_of(worker, "sync")
    assert sorted((event["event_type"], str(event["payload"])) for event in events) == [
        ("progress", "{'progress': 0.25, 'message': ''}"),
        ("progress", "{'progress': 0.5, 'message': ''}"),
        ("seen", "{'a': 1}"),
    ]


# --- Events


@dataclass
class OwnContext:
    signature: str = "mine"
    identity_chain: None = None


def test_the_further_arguments_of_an_event_are_sent():
    worker = Worker()

    @worker.task("t")
    async def send(params, send_event, emit_event):
        await send_event("plain", {"a": 1})
        await send_event("positions", {"a": 1}, 2.5, SecurityContext("mine", "me"), {"m": 1}, "other")
        await emit_event(event_type="names", payload=None, priority=3, metadata={"k": [1]}, origin_worker_id="o2")
        await send_event("own", {}, security=OwnContext())
        await send_event("progress", {"progress": 0.5, "message": "half"})

    _, events = data_of(worker, "t")
    sent = {event["event_type"]: event for event in events}
    me = worker.config.WORKER_ID
    assert sent["plain"]["origin_worker_id"] == me
    assert sent["plain"]["security"]["signer_id"] == me
    assert "metadata" not in sent["plain"]
    at = sent["positions"]
    assert (at["priority"], at["metadata"], at["origin_worker_id"]) == (2.5, {"m": 1}, "other")
    # A security context of the caller's replaces the worker's signature; the orchestrator checks it.
    assert at["security"] == {"signature": "mine", "signer_id": "me"}
    assert isinstance(at["timestamp"], int)
    assert "nonce" not in at
    names = sent["names"]
    assert (names["priority"], names["metadata"], names["origin_worker_id"]) == (3, {"k": [1]}, "o2")
    assert (names["payload"], names["security"]["signer_id"]) == ({}, me)
    assert sent["own"]["security"] == {"signature": "mine"}
    assert sent["progress"]["payload"] == {"progress": 0.5, "message": "half"}
    assert [event["bubbling_chain"] for event in events] == [[]] * 5
    assert {event["worker_id"] for event in events} == {me}


COUNTED = {"counted": {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}}


@pytest.mark.parametrize("strict", [True, False])
def test_an_event_that_is_undeclared_or_does_not_fit_is_logged_and_dropped(strict, caplog):
    worker = Worker()

    @worker.skill("t", events_schema=COUNTED)
    async def send(params, send_event):
        await send_event("counted", {"n": 1})
        await send_event("counted", {"n": "x"})
        await send_event("other", {"n": "x"})
        return {}

    with running(worker, STRICT_EVENT_VALIDATION=strict) as (one, _):
        one.result(one.give("t"))
        sent = [(event["event_type"], event["payload"]) for event in one.events()]
    others = [] if strict else [("other", {"n": "x"})]
    assert sent == [("counted", {"n": 1}), *others]
    assert "the event `counted` is not sent: the payload of the event `counted` does not fit its schema" in caplog.text
    assert ("the event `other` is not sent: the event `other` is not declared" in caplog.text) is strict


@pytest.mark.parametrize(
    ("event", "named"),
    [
        (("e", [1]), "the payload of the event `e` is an array, expected an object"),
        (("e", {"a": object()}), "the data is not JSON: at `a`: a value of the type `object`"),
        (("e", {"a": float("nan")}), "the data is not JSON: at `a`: NaN"),
        (("e", {}, "x"), "could not convert string to float"),
        (("e", {}, 0, [1]), "the `security` is a list, `[1]`, expected a dictionary"),
        (("e", {}, 0, None, "text"), "the `metadata` is a string, `'text'`, expected a dictionary"),
        (("", {}), "the event type `` is not valid"),
        (("x" * 300, {}), "is not valid"),
        ((5, {}), "'int' object"),
        (("progress", 5), "the payload is a number, `5`, expected a dictionary"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_event_that_cannot_be_sent_is_logged_and_raises_nothing(event, named, caplog):
    worker = Worker()

    @worker.task("t")
    async def send(params, send_event):
        await send_event(*event)
        return {}

    assert data_of(worker, "t") == ({}, [])
    assert named in caplog.text


# --- Events of the worker


def on_loop(other: Beside, coroutine: Any) -> Any:
    assert other.loop is not None
    return asyncio.run_coroutine_threadsafe(coroutine, other.loop).result(LIMIT)


def test_the_worker_sends_ready_made_events():
    worker = Worker()

    @worker.task("t")
    def handler(params):
        pass

    event = WorkerEventPayload(
        event_id="E1",
        worker_id="w",
        origin_worker_id="child",
        event_type="relay",
        payload={"a": 1},
        bubbling_chain=["child"],
        priority=1.5,
    )
    signed = {"event_id": "E2", "event_type": "signed", "payload": {}, "timestamp": 5, "security": {"signature": "s"}}
    with running(worker) as (one, other):
        # A worker that runs tasks is registered.
        one.result(one.give("t"))
        on_loop(other, worker.emit_event(event))
        on_loop(other, worker.emit_event(signed))
        events = one.until(lambda: len(one.events()) == 2 and one.events())
    first, second = events
    seal = {name: first.pop(name) for name in ("security", "timestamp", "nonce")}
    assert first == {
        "event_id": "E1",
        "worker_id": "w",
        "origin_worker_id": "child",
        "event_type": "relay",
        "payload": {"a": 1},
        "bubbling_chain": ["child"],
        "priority": 1.5,
    }
    assert seal["security"]["signer_id"] == worker.config.WORKER_ID
    assert second == signed


def test_an_event_of_the_worker_that_cannot_be_sent_is_logged(caplog):
    worker = Worker()

    @worker.task("t")
    def handler(params):
        pass

    asyncio.run(worker.emit_event({"event_id": "E"}))
    assert "the event is not sent: the worker does not run" in caplog.text
    with running(worker, None) as (one, other):
        on_loop(other, worker.emit_event(5))
        on_loop(other, worker.emit_event({"a": {1}}))
        on_loop(other, worker.emit_event({"event_id": "E"}))
        assert one.events() == []
    for named in (
        "the event is a number, `5`, expected a dictionary",
        "the data is not JSON: at `a`: a value of the type `set`",
        "not registered with an orchestrator that knows events",
    ):
        assert named in caplog.text


# --- Metadata, the security context, and results


def test_a_handler_gets_metadata_and_the_security_context_of_its_task():
    worker = Worker()
    seen: list[Any] = []

    @worker.task("named")
    def named(params, metadata, security):
        seen.append((metadata, security))

    @worker.task("all")
    async def takes_all(params, **everything):
        seen.append((everything["metadata"], everything["security"]))

    @worker.task("one")
    async def takes_one(params, security="default"):
        seen.append((None, security))

    context = {"signature": "s", "signer_id": "x", "identity_chain": ["a"], "metadata": {"q": 1}, "unknown": 1}
    with running(worker) as (one, _):
        for name in ("named", "all"):
            one.result(one.give(name, metadata={"a": [1.0]}, security=context))
            one.result(one.give(name, metadata={}, security={}))
            one.result(one.give(name))
        one.result(one.give("one", metadata={"a": 1}, security=context))
    expected = SecurityContext("s", "x", ["a"], {"q": 1})
    assert seen == [*[({"a": [1.0]}, expected), ({}, SecurityContext()), (None, None)] * 2, (None, expected)]


def test_what_stands_beside_the_data_of_a_result_is_sent():
    worker = Worker()
    error = {"code": "X", "message": "m", "details": {"d": 1}}

    @worker.task("returns")
    async def returns(params):
        return params

    @worker.task("raises")
    def raises(params):
        raise RuntimeError("no")

    @worker.task("cancels")
    async def cancels(params):
        raise asyncio.CancelledError

    with running(worker) as (one, _):

        def result(name: str, params: Any = None, **members: Any) -> dict[str, Any]:
            found = one.result(one.give(name, params, **members))
            known = ("status", "data", "error", "metadata", "costs")
            shown = {member: found[member] for member in known if member in found}
            if "costs" in shown:
                seconds = shown["costs"].pop("execution_time_seconds")
                assert isinstance(seconds, float | int), found
            return shown

        of_task = {"metadata": {"of": "task"}}
        sides = {"metadata": {"m": 1}, "costs": {"gpu": 2}}
        for status in ("custom", "success", "failure", "cancelled"):
            whole = {"status": status, "data": {"a": 1}, "error": error, **sides}
            assert result("returns", whole) == whole
            assert result("returns", whole, **of_task) == whole
        failure = {"status": "failure", "error": error}
        assert result("returns", failure) == {**failure, "data": {}, "costs": {}}
        assert result("returns", failure, **of_task) == {**failure, "data": {}, "costs": {}}
        assert result("returns", {"status": "mine", "metadata": {}}) == {"status": "mine", "data": {}, "costs": {}}
        raised = result("raises")
        assert set(raised) == {"status", "error"}
        assert result("raises", **of_task) == {**raised, **of_task}
        assert result("cancels") == {"status": "cancelled"}
        assert result("cancels", **of_task, task_id="c1") == {"status": "cancelled", **of_task}
        own = one.result(one.give("returns", {"data": {}, "costs": {"execution_time_seconds": 9}}))
        assert own["costs"] == {"execution_time_seconds": 9}


# --- Calls of skills


def test_a_task_calls_a_skill_of_another_worker(monkeypatch):
    worker = Worker()
    answers = {
        "fails": (500, {"error": "boom"}),
        "list": (200, [1, 2]),
        "nothing": (200, None),
        "unknown": (404, {"error": "no such skill"}),
    }
    answer = Wire._answer

    def answered(self: Wire, request: Any) -> tuple[int, Any]:
        usual = answer(self, request)
        return answers.get(request.body["skill_name"], usual) if request.path.endswith("/skills/call") else usual

    monkeypatch.setattr(Wire, "_answer", answered)

    async def said(coroutine: Any) -> Any:
        try:
            return await coroutine
        except (RuntimeError, ValueError) as error:
            return f"{type(error).__name__}: {error}"

    @worker.task("t")
    async def calls(params, send_progress):
        task = send_progress.__self__._task
        names = ("other", "fails", "list", "nothing", "unknown")
        found = {name: await said(call_skill(task, name, {"p": 1})) for name in names}
        found["not JSON"] = await said(call_skill(task, "other", {"p": {1}}))
        return {"data": found}

    with running(worker) as (one, _):
        data = one.result(one.give("t"))["data"]
        request = next(one for one in one.requests if one.path.endswith("/skills/call"))
    assert (request.path, request.body) == ("/skills/call", {"skill_name": "other", "params": {"p": 1}})
    headers = {name.lower(): value for name, value in request.headers.items()}
    assert (headers["x-worker-token"], headers["x-worker-id"]) == ("a-token", worker.config.WORKER_ID)
    assert data == {
        "other": {"status": "success", "data": {"called": {"skill_name": "other", "params": {"p": 1}}}},
        "fails": 'RuntimeError: Orchestrator returned HTTP 500: {"error": "boom"}',
        "list": [1, 2],
        "nothing": None,
        "unknown": 'RuntimeError: Orchestrator returned HTTP 404: {"error": "no such skill"}',
        "not JSON": "ValueError: the data is not JSON: at `p`: a value of the type `set`",
    }


def test_a_call_of_a_skill_ends_when_it_is_cancelled(monkeypatch):
    worker = Worker()
    called, free = threading.Event(), threading.Event()
    answer = Wire._answer

    def held(self: Wire, request: Any) -> tuple[int, Any]:
        if request.path.endswith("/skills/call"):
            called.set()
            free.wait(LIMIT)
        return answer(self, request)

    monkeypatch.setattr(Wire, "_answer", held)

    @worker.task("t")
    async def calls(params, send_progress):
        call = asyncio.create_task(call_skill(send_progress.__self__._task, "other", {}))
        await asyncio.to_thread(called.wait, LIMIT)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        return {"data": {"threads": sum(thread.name.startswith("asyncio") for thread in threading.enumerate())}}

    with running(worker) as (one, _):
        try:
            assert one.result(one.give("t"))["status"] == "success"
        finally:
            free.set()
