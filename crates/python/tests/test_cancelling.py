"""Cancelled tasks."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from avtomatika_worker import TaskCancelled, Worker, shielded
from avtomatika_worker._threads import Gate, Threads
from support import LIMIT, Orchestrator, Stopwatch, beside, config, orchestrator, until


@contextmanager
def cancelled_once_it_runs(handler: Any, began: threading.Event, **attributes: Any) -> Iterator[tuple[Worker, Any]]:
    """Runs a task, cancels it once it has begun, and returns its state at the orchestrator."""
    with orchestrator() as dev:
        worker = Worker(config=config(dev.url, **attributes))
        worker.task("t")(handler)
        with beside(worker):
            job = dev.submit("t")
            assert began.wait(LIMIT)
            dev.cancel(job)
            yield worker, (lambda: dev.result(job))


def test_an_async_handler_is_cancelled_at_its_await_and_may_clean_up():
    began, cleaned = threading.Event(), []

    async def handler(params):
        began.set()
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.05)
            cleaned.append(True)

    with cancelled_once_it_runs(handler, began) as (_, result):
        assert result()["status"] == "cancelled"
        # The task is reported when it has ended, not before.
        assert cleaned == [True]


def test_a_blocking_handler_gets_task_cancelled_in_its_thread():
    began, caught = threading.Event(), []

    def handler(params):
        began.set()
        try:
            while True:
                time.sleep(0.01)
        except TaskCancelled:
            caught.append(threading.current_thread().name)
            raise

    with cancelled_once_it_runs(handler, began) as (worker, result):
        assert result()["status"] == "cancelled"
        assert len(caught) == 1 and caught[0].startswith("avtomatika-handler-")
        until(lambda: not worker._run._running)


def test_a_blocking_handler_that_checks_its_token_needs_no_exception():
    began, saw = threading.Event(), []

    def handler(params, cancellation_token):
        with shielded():
            began.set()
            until(cancellation_token.is_cancelled)
            saw.append(True)

    with cancelled_once_it_runs(handler, began) as (_, result):
        assert result()["status"] == "cancelled"
        assert saw == [True]


def test_a_shielded_section_ends_before_the_handler_does():
    began, steps = threading.Event(), []

    def handler(params):
        with shielded():
            began.set()
            steps.append("in")
            time.sleep(0.7)
            steps.append("out")
        steps.append("never")

    with cancelled_once_it_runs(handler, began) as (_, result):
        assert result()["status"] == "cancelled"
    assert steps == ["in", "out"]


def test_an_async_shielded_section_ends_before_the_handler_does():
    began, steps = threading.Event(), []

    async def handler(params):
        with shielded():
            began.set()
            steps.append("in")
            await asyncio.sleep(0.7)
            steps.append("out")
        await asyncio.sleep(30)
        steps.append("never")

    with cancelled_once_it_runs(handler, began) as (_, result):
        assert result()["status"] == "cancelled"
    assert steps == ["in", "out"]


@pytest.mark.parametrize("handler", ["async", "passed on"])
def test_a_cancelled_handler_cleans_up_in_shielded_sections_undisturbed(handler):
    began, steps = threading.Event(), []

    async def waits(params):
        began.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            for step in ("first", "second"):
                with shielded():
                    await asyncio.sleep(0.01)
                steps.append(step)
            await asyncio.sleep(0.01)
            steps.append("third")
            raise

    def passes_on(params):
        return waits(params)

    with cancelled_once_it_runs(waits if handler == "async" else passes_on, began) as (_, result):
        assert result()["status"] == "cancelled"
    assert steps == ["first", "second", "third"]


@pytest.mark.parametrize("kind", ["async", "blocking"])
def test_a_handler_that_does_not_stop_is_reported_after_5_s_and_keeps_its_slot(kind):
    began, end = threading.Event(), threading.Event()

    async def asynchronous(params):
        began.set()
        while not end.is_set():
            try:
                await asyncio.sleep(0.05)
            except asyncio.CancelledError:
                continue

    def blocking(params):
        began.set()
        while not end.is_set():
            try:
                time.sleep(0.01)
            except TaskCancelled:
                continue

    handler = asynchronous if kind == "async" else blocking
    with cancelled_once_it_runs(handler, began, MAX_CONCURRENT_TASKS=1) as (worker, result):
        cancelled_at, stopwatch = time.monotonic(), Stopwatch()
        assert result()["status"] == "cancelled"
        assert 4 < time.monotonic() - cancelled_at and stopwatch.took() < 10
        assert worker._run._running, "the handler still runs"
        end.set()
        until(lambda: not worker._run._running)


def test_the_time_limit_of_a_task_ends_both_kinds_of_handlers():
    with orchestrator() as dev:
        worker = Worker(config=config(dev.url))

        @worker.task("async", timeout=0.2)
        async def asynchronous(params):
            await asyncio.sleep(60)

        @worker.task("blocking", timeout=0.2)
        def blocking(params):
            while True:
                time.sleep(0.01)

        with beside(worker):
            for name in ("async", "blocking"):
                assert dev.error(name)["code"] == "TIMEOUT_ERROR"


def test_a_handler_that_cancels_itself_ends_as_cancelled_and_harms_no_other():
    with orchestrator() as dev:
        worker = Worker(config=config(dev.url))

        @worker.task("itself")
        async def itself(params):
            asyncio.current_task().cancel()
            await asyncio.sleep(1)

        @worker.task("inner")
        async def inner(params):
            task = asyncio.create_task(asyncio.sleep(100))
            task.cancel()
            await task

        @worker.task("async")
        async def raises_async(params):
            raise asyncio.CancelledError

        @worker.task("raises")
        def raises(params):
            raise TaskCancelled

        @worker.task("future")
        def future(params):
            raise concurrent.futures.CancelledError

        @worker.task("asyncio")
        def raises_of_asyncio(params):
            raise asyncio.CancelledError

        @worker.task("returned")
        def returned(params):
            return raises_async(params)

        @worker.task("fine")
        def fine(params):
            return {}

        with beside(worker):
            for name in ("itself", "inner", "async", "raises", "future", "asyncio", "returned"):
                ended = dev.run(name)
                assert (ended["result_status"], ended.get("error")) == ("cancelled", None), name
            dev.data("fine")


def test_handlers_that_end_with_their_loop_are_not_cancelled_by_their_own_accord():
    with orchestrator() as dev:
        worker = Worker(config=config(dev.url))
        begun = threading.Event()

        @worker.task("long")
        async def long(params):
            begun.set()
            await asyncio.sleep(LIMIT)

        async def program():
            serving = asyncio.create_task(worker.main())
            await asyncio.to_thread(begun.wait, LIMIT)
            assert not serving.done()

        job = dev.submit("long")
        asyncio.run(program())
        # The orchestrator may give the task out again.
        assert dev.result(job)["error"]["code"] == "TRANSIENT_ERROR"


def test_a_thread_that_was_interrupted_runs_the_next_handler_undisturbed():
    """The exception reaches only the cancelled handler and never arrives later, wherever the handler was."""
    with orchestrator() as dev:
        worker = Worker(config=config(dev.url, MAX_CONCURRENT_TASKS=1))

        @worker.task("short", timeout=0.02)
        def short(params):
            # Ends at about the time of its cancellation.
            until_then = time.perf_counter() + params["seconds"]
            while time.perf_counter() < until_then:
                pass
            return {}

        @worker.task("long")
        def long(params):
            time.sleep(0.05)
            return {"done": True}

        with beside(worker):
            jobs = []
            for n in range(60):
                jobs.append((False, dev.submit("short", {"seconds": 0.015 + n * 0.0002})))
                jobs.append((True, dev.submit("long")))
            for must_succeed, job in jobs:
                view = dev.result(job)
                if must_succeed:
                    assert view.get("data") == {"done": True}, view


def test_the_gate_lets_the_exception_through_only_while_the_call_runs():
    """Tests the gate alone, with interruptions at every moment of a call."""
    threads = Threads(1)
    late = []

    def one(delay: float) -> str:
        gate, done, outcome = Gate(), threading.Event(), []

        def work():
            from avtomatika_worker._lanes import guarded

            def call():
                for _ in range(200):
                    pass
                return "ended"

            try:
                value, error = guarded(gate, call)
                outcome.append("cancelled" if isinstance(error, TaskCancelled) else value)
                for _ in range(2000):
                    pass
            except TaskCancelled:
                late.append(delay)
            finally:
                done.set()

        threads.submit(work)
        end = time.perf_counter() + delay
        while time.perf_counter() < end:
            pass
        gate.interrupt()
        assert done.wait(LIMIT)
        return outcome[0] if outcome else "late"

    seen = {one(n % 100 * 2e-6) for n in range(1500)}
    assert not late and seen == {"cancelled", "ended"}, (seen, late)
    threads.close()


def test_threads_are_started_on_demand_up_to_the_limit():
    threads = Threads(2)
    now, most, done = [], [], threading.Semaphore(0)
    lock = threading.Lock()

    def job():
        with lock:
            now.append(threading.current_thread().name)
            most.append(len(now))
        time.sleep(0.02)
        with lock:
            now.pop()
        done.release()

    for _ in range(10):
        threads.submit(job)
    for _ in range(10):
        assert done.acquire(timeout=LIMIT)
    assert max(most) == 2 and threads._made == 2
    threads.close()


def test_shielded_does_nothing_outside_of_handlers():
    with shielded():
        pass


def test_a_handler_in_a_shield_of_another_thread_is_not_confused():
    began, stopped = threading.Event(), []

    def handler(params):
        import contextvars

        context = contextvars.copy_context()

        def elsewhere():
            with shielded():
                began.set()
                time.sleep(0.5)

        thread = threading.Thread(target=lambda: context.run(elsewhere))
        thread.start()
        try:
            while True:
                time.sleep(0.01)
        finally:
            stopped.append(thread.is_alive())
            thread.join()

    with cancelled_once_it_runs(handler, began) as (_, result):
        assert result()["status"] == "cancelled"
    assert stopped


def test_a_task_that_waits_for_its_group_is_cancelled_without_being_run():
    ran = []
    with orchestrator() as dev:
        worker = Worker(config=config(dev.url, WORKER_CAPACITY_REPORTING="queue"), task_type_limits={"g": 1})
        go_on = threading.Event()

        @worker.task("t", task_type="g")
        async def t(params):
            ran.append(params["n"])
            await asyncio.to_thread(go_on.wait, 15)

        with beside(worker):
            first = dev.submit("t", {"n": 1})
            until(lambda: ran)
            second = dev.submit("t", {"n": 2})
            until(lambda: dev.task(second)["status"] == "running")
            dev.cancel(second)
            assert dev.result(second)["status"] == "cancelled"
            go_on.set()
            assert dev.result(first)["status"] == "finished"
    assert ran == [1]


def test_a_timeout_of_the_development_orchestrator_names_the_status():
    with orchestrator() as dev:
        assert isinstance(dev, Orchestrator)
        job = dev.submit("nobody")
        with pytest.raises(TimeoutError, match="it is `queued`"):
            dev.native.wait(job, 0.05)
