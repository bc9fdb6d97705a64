"""Handlers whose first step is made at once: they do not notice."""

from __future__ import annotations

import asyncio
import gc
import sys
import weakref
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from typing import Any

import pytest
from avtomatika_worker import Worker
from avtomatika_worker._first_step import FirstSteps, is_idle
from support import beside, config, orchestrator

ONLY_3_11 = pytest.mark.skipif(sys.version_info >= (3, 12), reason="asyncio has eager tasks")

variable: ContextVar[str] = ContextVar("variable", default="unset")


def within(check: Callable[[FirstSteps], Coroutine[Any, Any, Any]]) -> None:
    async def main() -> None:
        steps = FirstSteps(asyncio.get_running_loop())
        try:
            await check(steps)
        finally:
            steps.close()

    asyncio.run(main())


async def started(steps: FirstSteps, *coroutines: Coroutine[Any, Any, None]) -> list[asyncio.Task[None] | None]:
    """Starts coroutines in one callback of the loop, as the worker does."""
    loop = asyncio.get_running_loop()
    done = loop.create_future()
    loop.call_soon(lambda: done.set_result([steps.starter()(coroutine) for coroutine in coroutines]))
    return await done  # type: ignore[no-any-return]


async def turns(number: int = 3) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


def test_a_coroutine_that_ends_at_once_has_a_task_of_its_own():
    seen: list[Any] = []

    async def quick() -> None:
        seen.append(asyncio.current_task())

    async def check(steps: FirstSteps) -> None:
        assert await started(steps, quick(), quick(), quick()) == [None, None, None]
        assert all(isinstance(task, asyncio.Task) for task in seen) and len(set(seen)) == 3
        await turns()
        assert all(task.done() and not task.cancelled() for task in seen)

    within(check)


def test_time_limits_groups_and_shared_futures_work_from_the_first_step_on():
    log: list[str] = []

    async def check(steps: FirstSteps) -> None:
        shared = asyncio.get_running_loop().create_future()

        async def limited() -> None:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.001):
                    await asyncio.Event().wait()
            log.append("limited")

        async def grouped() -> None:
            async with asyncio.TaskGroup() as group:
                inner = group.create_task(asyncio.sleep(0, "inner"))
                assert await shared == 1
            log.append(inner.result())

        async def stepping() -> None:
            for _ in range(5):
                await asyncio.sleep(0)
            log.append("stepping")

        tasks = await started(steps, grouped(), limited(), grouped(), stepping())
        assert None not in tasks and len(set(tasks)) == 4
        await turns()
        shared.set_result(1)
        await asyncio.gather(*tasks)  # type: ignore[arg-type]
        assert sorted(log) == ["inner", "inner", "limited", "stepping"]

    within(check)


def test_a_task_is_cancelled_before_its_second_step():
    log: list[Any] = []

    async def check(steps: FirstSteps) -> None:
        loop = asyncio.get_running_loop()
        child = loop.create_task(asyncio.Event().wait())

        async def waits() -> None:
            try:
                await child
            except asyncio.CancelledError:
                log.append(asyncio.current_task())
                raise

        done = loop.create_future()

        def start_and_cancel() -> None:
            task = steps.starter()(waits())
            assert task is not None
            task.cancel("enough")
            done.set_result(task)

        loop.call_soon(start_and_cancel)
        task = await done
        with pytest.raises(asyncio.CancelledError):
            await task
        # What it awaited is cancelled with it, as always.
        assert child.cancelled() and log == [task]

    within(check)


def test_each_coroutine_has_a_context_of_its_own():
    seen: list[str] = []

    async def sets(value: str, *, waits: bool) -> None:
        seen.append(variable.get())
        variable.set(value)
        if waits:
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        seen.append(variable.get())

    async def check(steps: FirstSteps) -> None:
        tasks = await started(steps, sets("a", waits=False), sets("b", waits=True), sets("c", waits=True))
        assert tasks[0] is None
        await asyncio.gather(*tasks[1:])  # type: ignore[arg-type]
        assert seen == ["unset", "a", "unset", "unset", "b", "c"]

    within(check)


@ONLY_3_11
@pytest.mark.parametrize(
    "see",
    [
        lambda task, kept: kept.append(task),
        lambda task, kept: kept.append(weakref.ref(task)),
        lambda task, kept: task.add_done_callback(lambda _: kept.append("done")),
        lambda task, kept: task.set_name("mine"),
        lambda task, kept: task.cancel(),
        lambda task, kept: (task.cancel(), task.uncancel()),
    ],
)
def test_a_task_that_somebody_has_seen_is_not_used_again(see):
    tasks: list[int] = []
    kept: list[Any] = []

    async def quick() -> None:
        tasks.append(id(asyncio.current_task()))

    async def seen() -> None:
        tasks.append(id(asyncio.current_task()))
        see(asyncio.current_task(), kept)

    async def check(steps: FirstSteps) -> None:
        # First the task has not made its own first step, then it waits.
        for turns_before in (0, 3):
            await started(steps, quick(), quick())
            await turns(turns_before)
            assert steps._task is not None
            await started(steps, quick(), seen())
            assert len(set(tasks[-4:])) == 1 and steps._task is None
            await turns()
        if kept and kept[0] == "done":
            assert kept == ["done", "done"]

    within(check)


@ONLY_3_11
def test_a_waiting_task_that_is_cancelled_from_outside_is_not_used():
    states: list[int] = []

    async def quick() -> None:
        task = asyncio.current_task()
        assert task is not None
        states.append(task.cancelling())

    async def check(steps: FirstSteps) -> None:
        for cancel in (lambda task: task.cancel(), lambda task: (task.cancel(), task.uncancel())):
            await started(steps, quick())
            for after in (0, 3):
                await turns(after)
                cancel(steps._task)
                assert await started(steps, quick()) == [None]
        assert not any(states)

    within(check)


class Big:
    pass


def test_nothing_of_a_coroutine_that_has_ended_is_kept():
    kept: list[weakref.ref[Big]] = []
    big: ContextVar[Big] = ContextVar("big")

    async def runs(*, waits: bool, raises: type[BaseException] | None = None, is_seen: bool = False) -> None:
        value = Big()
        kept.append(weakref.ref(value))
        big.set(value)
        if is_seen:
            asyncio.current_task().set_name("seen")  # type: ignore[union-attr]
        if waits:
            await asyncio.sleep(0)
        if raises is not None:
            raise raises

    async def check(steps: FirstSteps) -> None:
        await started(steps, runs(waits=False), runs(waits=True), runs(waits=False, is_seen=True), runs(waits=True))
        await turns()
        loop = asyncio.get_running_loop()
        done = loop.create_future()

        def fails() -> None:
            with pytest.raises(SystemExit):
                steps.starter()(runs(waits=False, raises=SystemExit))
            done.set_result(None)

        loop.call_soon(fails)
        await done
        await turns()
        gc.collect()
        assert len(kept) == 5 and not any(reference() for reference in kept)

    within(check)


@ONLY_3_11
def test_a_task_tells_what_it_is():
    states: list[tuple[bool, str]] = []

    async def waits() -> None:
        states.append((is_idle(asyncio.current_task()), repr(asyncio.current_task())))  # type: ignore[arg-type]
        await asyncio.sleep(0)

    async def check(steps: FirstSteps) -> None:
        (task,) = await started(steps, waits())
        assert task is not None and not is_idle(task)
        # It is missed now, if it is destroyed.
        assert task._log_destroy_pending  # type: ignore[attr-defined]
        assert "waits() running" in repr(task) and task.get_name().startswith("avtomatika-handler-")
        await task
        assert states[0][0] and "waits_for_a_handler" in states[0][1]
        assert not is_idle(asyncio.current_task())  # type: ignore[arg-type]

    within(check)


@pytest.mark.parametrize("wants", ["factory", "debug"])
def test_a_program_that_looks_at_tasks_gets_those_of_its_loop(wants):
    made: list[Any] = []

    async def quick() -> None: ...

    def factory(loop: asyncio.AbstractEventLoop, coroutine: Any, **named: Any) -> asyncio.Task[Any]:
        made.append(coroutine)
        return asyncio.Task(coroutine, loop=loop, **named)

    async def check(steps: FirstSteps) -> None:
        loop = asyncio.get_running_loop()
        if wants == "factory":
            loop.set_task_factory(factory)
        else:
            loop.set_debug(True)
        (task,) = await started(steps, quick())
        assert task is not None
        await task
        assert len(made) == (wants == "factory")

    within(check)


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_what_ends_the_loop_is_raised_by_the_start(kind):
    async def ends() -> None:
        raise kind

    async def check(steps: FirstSteps) -> None:
        done = asyncio.get_running_loop().create_future()

        def start() -> None:
            with pytest.raises(kind):
                steps.starter()(ends())
            done.set_result(None)

        asyncio.get_running_loop().call_soon(start)
        await done

    within(check)


def test_handlers_do_not_see_the_context_variables_of_others():
    with orchestrator() as dev:
        worker = Worker(config=config(dev.url), max_concurrent_tasks=4)

        @worker.task("t")
        async def t(params):
            before = variable.get()
            variable.set(params["value"])
            if params["waits"]:
                await asyncio.sleep(0)
            return {"data": {"before": before, "after": variable.get()}}

        with beside(worker):
            jobs = [(n, dev.submit("t", {"value": str(n), "waits": n % 2 == 0})) for n in range(40)]
            for n, job in jobs:
                assert dev.result(job)["data"] == {"before": "unset", "after": str(n)}
