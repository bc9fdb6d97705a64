"""Between the event loop and a thread: what one has the other run for a task, and how that is interrupted."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from contextvars import copy_context
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from ._signals import may_be_typed
from ._threads import Gate, TaskCancelled, current

if TYPE_CHECKING:
    from ._execution import Execution
    from ._threads import Threads

__all__ = ["Lane", "LoopCall", "Shields", "awaited", "guarded"]


def guarded(gate: Gate, call: Callable[[], Any]) -> tuple[Any, BaseException | None]:
    """Makes a call that may be interrupted: what it returns, or raises. What it ended in counts, even when it is
    interrupted just after."""
    value: Any = None
    ended = False
    try:
        try:
            gate.open()
            value = call()
            ended = True
        finally:
            gate.close()
    except BaseException as error:
        # Interrupted while it was closed, if at all: that happens once.
        gate.close()
        if not ended:
            return None, error
    return value, None


async def awaited(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


class Shields:
    """The sections of something on the loop that are not to be interrupted."""

    __slots__ = ("_count", "_held")

    def __init__(self) -> None:
        self._count = 0
        self._held = False

    def enter(self) -> bool:
        self._count += 1
        return True

    def leave(self) -> bool:
        """Whether it is to be told now what was held back."""
        self._count -= 1
        if self._count or not self._held:
            return False
        self._held = False
        return True

    def hold(self) -> bool:
        """Whether what it is to be told is held back."""
        self._held = self._held or self._count > 0
        return self._count > 0


class LoopCall:
    """A coroutine that a thread has the loop run. Cancelled, it has ended when it has, not before."""

    def __init__(
        self,
        execution: Execution,
        loop: asyncio.AbstractEventLoop,
        coroutine: Coroutine[Any, Any, Any],
        ended: Callable[[], object],
    ) -> None:
        self._execution = execution
        self._loop = loop
        self._coroutine = coroutine
        self._ended = ended
        self._task: asyncio.Task[tuple[Any, BaseException | None]] | None = None
        self._cancelled = False
        self._shields = Shields()
        try:
            loop.call_soon_threadsafe(self._start, context=copy_context())
        except RuntimeError:
            coroutine.close()
            raise

    def cancel(self) -> None:
        """Tells it to stop."""
        self._cancelled = True
        # A loop that was closed runs nothing that could be told.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._cancel)

    def result(self) -> Any:
        """What it ended in."""
        assert self._task is not None, "it has ended"
        if self._task.cancelled():
            raise TaskCancelled
        value, error = self._task.result()
        if error is not None:
            raise error
        return value

    def shield(self) -> bool:
        return self._shields.enter()

    def unshield(self) -> None:
        if self._shields.leave():
            self._cancel()

    def _start(self) -> None:
        # In a context of its own.
        current.set(self)
        self._task = self._loop.create_task(self._caught())
        self._execution.loop_tasks += (self._task,)
        self._task.add_done_callback(self._done)
        if self._cancelled:
            self._task.cancel()

    async def _caught(self) -> tuple[Any, BaseException | None]:
        """What it returns, or raises: a loop ends by a task that ends in ``SystemExit``."""
        try:
            return await self._coroutine, None
        except (asyncio.CancelledError, GeneratorExit):
            raise
        except BaseException as error:
            if may_be_typed(error):
                raise
            return None, error

    def _done(self, done: asyncio.Task[Any]) -> None:
        self._execution.loop_tasks = tuple(task for task in self._execution.loop_tasks if task is not done)
        self._ended()

    def _cancel(self) -> None:
        if self._task is not None and not self._shields.hold():
            self._task.cancel()


class Lane:
    """Where a task on the loop calls what is not ``async``: one thread, which while it waits for the loop takes what the
    loop has for it. So a task never needs two."""

    def __init__(self, threads: Threads, loop: asyncio.AbstractEventLoop) -> None:
        self._threads = threads
        self._loop = loop
        self._lock = threading.Lock()
        self._waiting = 0
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()

    async def run(self, call: Callable[[Gate], Any]) -> Any:
        """Called on the loop: makes the call on the thread."""
        future: asyncio.Future[Any] = self._loop.create_future()
        gate = Gate()
        context = copy_context()

        def job() -> None:
            context.run(current.set, gate)
            value, error = guarded(gate, lambda: context.run(call, gate))
            with self._lock:
                # Before the loop goes on, which may at once have the next for it.
                self._waiting += takes
            # A loop that was closed waits no more.
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(_settle, future, value, error)

        with self._lock:
            takes = self._waiting > 0
            self._waiting -= takes
        if takes:
            self._jobs.put(job)
        else:
            self._threads.submit(job)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            gate.interrupt()
            while not future.done():
                # Told once is told: until the thread has come back the task has not ended.
                try:
                    await asyncio.wait([future])
                except asyncio.CancelledError:
                    continue
            if not future.cancelled():
                future.exception()
            raise

    def wait(self, gate: Gate, call: Callable[[Callable[[], object]], LoopCall]) -> Any:
        """Called on the thread: has the loop run something, and takes jobs until it has."""

        def begin() -> LoopCall:
            with self._lock:
                self._waiting += 1
            return call(lambda: self._jobs.put(None))

        def serve(call: LoopCall) -> Any:
            while (job := self._jobs.get()) is not None:
                job()
            with self._lock:
                self._waiting -= 1
            return call.result()

        return gate.wait(begin, serve)


def _settle(future: asyncio.Future[Any], value: Any, error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(value)
    elif isinstance(error, TaskCancelled):
        future.cancel()
    elif isinstance(error, (StopIteration, KeyboardInterrupt, GeneratorExit)):
        # A future does not take the first; the others would end the loop, and mean nothing of the kind on a thread.
        future.set_exception(RuntimeError(f"the handler raised {type(error).__name__}"))
    else:
        future.set_exception(error)
