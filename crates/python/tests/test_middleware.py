"""Middleware: its context, its effects, and its order."""

from __future__ import annotations

import asyncio
import functools
import logging
import threading
import time
from typing import Any

import pytest
from avtomatika_worker import Worker, shielded
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
    seen = ["job_id", "params", "task_id", "task_name"]
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
