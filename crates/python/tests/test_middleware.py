"""Middleware: its context, its effects, and its order."""

from __future__ import annotations

import asyncio
import functools
import logging
import sys
import threading
import time
import types
from typing import Any

import pytest
from avtomatika_worker import TaskFiles, Worker, shielded
from avtomatika_worker._serving import routes
from avtomatika_worker.testing import TestWorker
from support import LIMIT, Stopwatch, beside, config, orchestrator, until


def asynchronous(name: str, diary: list[str]) -> Any:
    async def middleware(context: dict, next_handler):
        diary.append(f"{name}-enter")
        context["handler_kwargs"]["model_path"] = f"/models/{name}"
        try:
            await asyncio.sleep(0)
            result = await next_handler()
            result["data"][name] = sorted(set(context) - {"handler_kwargs"})
            return result
        finally:
            diary.append(f"{name}-exit")

    return middleware


def blocking(name: str, diary: list[str]) -> Any:
    def middleware(context: dict, next_handler):
        assert threading.current_thread().name.startswith("avtomatika-handler-")
        diary.append(f"{name}-enter")
        context["handler_kwargs"]["model_path"] = f"/models/{name}"
        try:
            time.sleep(0.001)
            result = next_handler()
            result["data"][name] = sorted(set(context) - {"handler_kwargs"})
            return result
        finally:
            diary.append(f"{name}-exit")

    return middleware


@pytest.mark.parametrize("handler", ["async", "blocking"])
@pytest.mark.parametrize("kinds", ["aa", "ab", "ba", "bb", "a", "b", "aba", "bab", "abab", "babab"])
def test_all_mixtures_nest_and_the_innermost_injection_counts(kinds, handler):
    diary: list[str] = []
    with orchestrator() as dev:
        # One slot: a task never needs more than one thread.
        worker = Worker(config=config(dev.url), max_concurrent_tasks=1)
        names = [f"{kind}{place}" for place, kind in enumerate(kinds)]
        for kind, name in zip(kinds, names, strict=True):
            worker.add_middleware((asynchronous if kind == "a" else blocking)(name, diary))

        if handler == "async":

            @worker.task("t")
            async def t(params, model_path):
                return {"status": "mine", "data": {"model_path": model_path, "n": params["n"]}}
        else:

            @worker.task("t")
            def t(params, model_path):
                return {"status": "mine", "data": {"model_path": model_path, "n": params["n"]}}

        with beside(worker):
            view = dev.run("t", {"n": 1})
    assert view["result_status"] == "mine", view
    seen = ["job_id", "observability", "params", "s3_manager", "skill_name", "task_id", "task_name"]
    assert view["data"] == {"model_path": f"/models/{names[-1]}", "n": 1, **dict.fromkeys(names, seen)}
    assert diary == [f"{name}-enter" for name in names] + [f"{name}-exit" for name in reversed(names)]


def test_middleware_may_catch_replace_and_refuse():
    with orchestrator() as dev:
        worker = Worker(config=config(dev.url))

        @worker.add_middleware
        async def catches(context, next_handler):
            try:
                return await next_handler()
            except LookupError as error:
                return {"data": {"caught": str(error)}}

        @worker.add_middleware
        def refuses(context, next_handler):
            if context["params"].get("refuse"):
                return {"status": "refused", "data": {"task": context["task_name"]}}
            return next_handler()

        @worker.task("t")
        async def t(params):
            raise LookupError("nothing there")

        with beside(worker):
            assert dev.data("t") == {"caught": "nothing there"}
            view = dev.run("t", {"refuse": True})
            assert (view["result_status"], view["data"]) == ("refused", {"task": "t"})


def test_a_handler_with_an_argument_that_is_not_injected_fails_permanently():
    with orchestrator() as dev:
        worker = Worker(config=config(dev.url))

        @worker.add_middleware
        async def injects_nothing(context, next_handler):
            return await next_handler()

        @worker.task("t")
        def t(params, model_path):
            return {}

        with beside(worker):
            error = dev.error("t")
            assert error["code"] == "PERMANENT_ERROR" and "model_path" in error["message"]


@pytest.mark.parametrize("kinds", ["b", "bb", "ba", "ab", "bab"])
@pytest.mark.parametrize("handler", ["async", "blocking"])
def test_cancelling_reaches_all_middleware_and_the_handler(kinds, handler):
    began, diary = threading.Event(), []
    with orchestrator() as dev:
        worker = Worker(config=config(dev.url), max_concurrent_tasks=1)
        for place, kind in enumerate(kinds):
            worker.add_middleware((asynchronous if kind == "a" else blocking)(f"{kind}{place}", diary))

        if handler == "async":

            @worker.task("t")
            async def t(params):
                began.set()
                await asyncio.sleep(60)
        else:

            @worker.task("t")
            def t(params):
                began.set()
                while True:
                    time.sleep(0.01)

        @worker.task("next")
        async def following(params):
            return {"data": {}}

        with beside(worker):
            job = dev.submit("t")
            assert began.wait(LIMIT)
            stopwatch = Stopwatch()
            dev.cancel(job)
            assert dev.result(job)["status"] == "cancelled"
            assert stopwatch.took() < 4
            assert dev.run("next")["status"] == "finished", "the slot and the thread are free again"
    assert [entry for entry in diary if entry.endswith("-exit")][: len(kinds)] == [
        f"{kind}{len(kinds) - 1 - place}-exit" for place, kind in enumerate(reversed(kinds))
    ]


@pytest.mark.parametrize("kind", ["lambda", "wrapper", "partial"])
@pytest.mark.parametrize("around", ["", "a", "b"])
def test_middleware_that_returns_an_awaitable_is_awaited(around, kind):
    diary: list[str] = []

    async def inner(context, next_handler, mark):
        result = await next_handler()
        result["data"]["mark"] = mark
        return result

    @functools.wraps(inner)
    def wrapper(context, next_handler):
        return inner(context, next_handler, 7)

    alike = {
        "lambda": lambda context, next_handler: inner(context, next_handler, 7),
        "wrapper": wrapper,
        "partial": functools.partial(inner, mark=7),
    }

    async def asynchronous_handler(params, model_path=None):
        return {"data": {"n": params["n"]}}

    def blocking_handler(params, model_path=None):
        return {"data": {"n": params["n"]}}

    with orchestrator() as dev:
        worker = Worker(config=config(dev.url), max_concurrent_tasks=1)
        for place, one in enumerate(around):
            worker.add_middleware((asynchronous if one == "a" else blocking)(f"{one}{place}", diary))
        worker.add_middleware(alike[kind])
        worker.task("async")(asynchronous_handler)
        worker.task("blocking")(blocking_handler)
        worker.task("passed_on")(lambda params: asynchronous_handler(params))
        with beside(worker):
            for n, name in enumerate(("async", "blocking", "passed_on")):
                data = dev.data(name, {"n": n})
                assert (data["n"], data["mark"]) == (n, 7)
    assert len(diary) == 3 * 2 * len(around)


@pytest.mark.parametrize("handler", ["async", "blocking"])
def test_a_handler_behind_it_that_would_end_the_process_ends_its_task_only(handler):
    def end(params):
        raise KeyboardInterrupt if params.get("key") else SystemExit(3)

    async def end_async(params):
        raise SystemExit(3)

    with orchestrator() as dev:
        worker = Worker(config=config(dev.url))
        worker.add_middleware(lambda context, next_handler: next_handler())
        worker.task("end")(end if handler == "blocking" else end_async)

        @worker.task("t")
        async def t(params):
            return {"data": {"a": 1}}

        with beside(worker):
            assert dev.error("end")["code"] == "TRANSIENT_ERROR"
            if handler == "blocking":
                assert "KeyboardInterrupt" in dev.error("end", {"key": True})["message"]
            assert dev.data("t") == {"a": 1}


def test_an_async_handler_behind_a_blocking_one_is_named_and_can_be_shielded(caplog):
    caplog.set_level(logging.WARNING, "avtomatika_worker")
    began, steps = threading.Event(), []

    with orchestrator() as dev:
        worker = Worker(config=config(dev.url))
        worker.add_middleware(lambda context, next_handler: next_handler())

        @worker.task("hog")
        async def hog(params):
            time.sleep(1.5)

        @worker.task("shield")
        async def shield(params):
            with shielded():
                began.set()
                await asyncio.sleep(0.5)
                steps.append("out")
            await asyncio.sleep(30)
            steps.append("never")

        with beside(worker):
            dev.run("hog")
            said = until(lambda: [r.getMessage() for r in caplog.records if "has blocked" in r.getMessage()])
            assert "the handler of `hog`" in said[0]
            job = dev.submit("shield")
            assert began.wait(LIMIT)
            dev.cancel(job)
            assert dev.result(job)["status"] == "cancelled"
    assert steps == ["out"]


def replaces(where: str) -> Any:
    def change(context: Any) -> None:
        arguments = context["handler_kwargs"]
        if where == "arguments":
            arguments["params"] = {"by": "arguments"}
        elif where == "context":
            context["params"] = {"by": "context"}
        elif where == "both":
            arguments["params"] = {"by": "arguments"}
            context["params"] = {"by": "context"}
        elif where == "in place":
            context["params"]["by"] = "place"
        elif where == "new":
            context["handler_kwargs"] = {"params": {"by": "new"}, "task_id": "mine"}
        elif where == "removed from the context":
            del context["params"]
        elif where == "removed":
            del arguments["params"]

    return change


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("nowhere", {"sent": 1}),
        ("arguments", {"by": "arguments"}),
        ("context", {"by": "context"}),
        ("both", {"by": "arguments"}),
        ("in place", {"sent": 1, "by": "place"}),
        ("new", {"by": "new"}),
        ("removed from the context", {"sent": 1}),
        ("removed", "the handler `{}` asks for `{}`, which no middleware has provided"),
    ],
)
@pytest.mark.parametrize("name", ["plain", "everything", "other_name", "blocking", "by_name"])
def test_params_may_be_changed_replaced_and_removed(name, where, expected):
    worker = Worker()
    change = replaces(where)

    @worker.add_middleware
    async def changes(context, next_handler):
        assert context["handler_kwargs"]["params"] is context["params"]
        change(context)
        return await next_handler()

    @worker.task("plain")
    async def plain(params):
        return {"data": {"params": params}}

    @worker.task("everything")
    async def everything(params, **kwargs):
        return {"data": {"params": params}}

    @worker.task("other_name")
    async def other_name(data, **kwargs):
        return {"data": {"params": data, "twice": "params" in kwargs}}

    @worker.task("blocking")
    def blocking(params, task_id):
        return {"data": {"params": params}}

    @worker.task("by_name")
    async def by_name(*, params, **kwargs):
        return {"data": {"params": params}}

    run = TestWorker(worker).run(name, {"sent": 1})
    if where == "removed":
        function = locals()[name].__qualname__
        argument = "data" if name == "other_name" else "params"
        assert (run.error_code, run.error_message) == ("PERMANENT_ERROR", expected.format(function, argument))
    else:
        assert run.data["params"] == expected and not run.data.get("twice")


def test_arguments_may_be_replaced_added_and_removed():
    worker = Worker()

    @worker.add_middleware
    async def changes(context, next_handler):
        arguments = context["handler_kwargs"]
        assert arguments["folder"].__class__.__name__ == "TaskFiles" and "task_files" not in arguments
        arguments["folder"] = "another folder"
        arguments["task_id"] = "another id"
        arguments["not asked for"] = 1
        del arguments["job_id"]
        return await next_handler()

    @worker.task("t")
    async def t(params, folder: TaskFiles, task_id, job_id="none"):
        return {"data": {"folder": folder, "ids": [task_id, job_id]}}

    assert TestWorker(worker).run("t").data == {"folder": "another folder", "ids": ["another id", "none"]}


def test_what_middleware_returns_counts_however_often_it_calls_the_handler():
    worker = Worker()

    class Twice:
        async def __call__(self, context, next_handler):
            return {"data": {"both": [await next_handler(), await next_handler()]}}

        async def nothing(self, context, next_handler):
            result = await next_handler()
            return None if context["params"].get("nothing") else result

    async def tagged(tag, context, next_handler):
        return {tag: await next_handler()}

    worker.add_middleware(Twice())
    worker.add_middleware(Twice().nothing)
    worker.add_middleware(functools.partial(tagged, "tag"))

    @worker.task("t")
    async def t(params):
        params["calls"] = params.get("calls", 0) + 1
        return params["calls"]

    tester = TestWorker(worker)
    assert tester.run("t").data == {"both": [{"tag": 1}, {"tag": 2}]}
    assert tester.run("t", {"nothing": True}).data == {"both": [None, None]}


@pytest.fixture
def tools(monkeypatch):
    """Stands in for the modules that the context takes objects from; lists what was made."""
    made = []
    for module, kind in (("s3", "S3Manager"), ("observability", "ObservabilityManager")):

        def make(*arguments, kind=kind, **named):
            made.append((kind, arguments, named))
            return kind

        stand_in = types.ModuleType(f"avtomatika_worker.{module}")
        setattr(stand_in, kind, make)
        monkeypatch.setitem(sys.modules, stand_in.__name__, stand_in)
    return made


KEYS = ["task_id", "job_id", "task_name", "skill_name", "params", "handler_kwargs", "s3_manager", "observability"]


def test_members_that_no_middleware_reads_are_not_made(tools):
    seen = []

    def looks(context):
        assert list(context) == list(context.keys()) == KEYS
        assert len(context) == 8 and "s3_manager" in context and "other" not in context
        assert context.get("other", 5) == 5
        context["s3_manager"] = "mine"
        assert context["s3_manager"] == "mine" and list(context)[-1] == "observability"
        with pytest.raises(KeyError):
            context["other"]
        seen.append(repr(context))

    run_with(looks)
    assert not tools and seen


@pytest.mark.parametrize(
    "read",
    [
        lambda context: (context["s3_manager"], context["observability"]),
        lambda context: (context.get("s3_manager"), context.get("observability")),
        lambda context: tuple(context.values())[-2:],
        lambda context: tuple(value for _, value in context.items())[-2:],
        lambda context: tuple(dict(context).values())[-2:],
        lambda context: tuple({**context}.values())[-2:],
        lambda context: (lambda **named: (named["s3_manager"], named["observability"]))(**context),
        lambda context: tuple(context.copy().values())[-2:],
        lambda context: tuple((context | {}).values())[-2:],
        lambda context: (context.pop("s3_manager"), context.pop("observability")),
        lambda context: (context.setdefault("s3_manager", 1), context.setdefault("observability", 1)),
    ],
)
def test_members_are_made_when_they_are_read(tools, read):
    run_with(lambda context: read(context), ["S3Manager", "ObservabilityManager"])
    assert [kind for kind, _, _ in tools] == ["S3Manager", "ObservabilityManager"]
    assert tools[0][1][0].WORKER_ID == "w"


def run_with(look: Any, expected: Any = None) -> None:
    """Runs a task of a worker whose middleware looks at its context."""
    settings = config("http://localhost", WORKER_ID="w")
    worker = Worker(config=settings)

    @worker.add_middleware
    async def looks(context, next_handler):
        assert isinstance(context, dict) and context["skill_name"] == context["task_name"] == "t"
        found = look(context)
        assert found == (None if expected is None else tuple(expected))
        return await next_handler()

    @worker.task("t")
    async def t(params): ...

    assert TestWorker(worker).run("t").status == "success"


def test_all_tasks_share_what_is_made(tools):
    worker = Worker(config=config("http://localhost", WORKER_ID="w"))
    worker.add_middleware(lambda context, next_handler: next_handler())
    worker.task("a")(lambda params: None)
    worker.task("b")(lambda params: None)
    for route in routes(worker._registered()):
        context = route.context({}, {"task_id": "1", "job_id": "2"})
        assert (context["s3_manager"], context["observability"]) == ("S3Manager", "ObservabilityManager")
    assert len(tools) == 2
