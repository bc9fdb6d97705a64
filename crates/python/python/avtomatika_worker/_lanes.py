"""Calls between the event loop and a thread for one task, and the interruption of such calls."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from contextvars import copy_context
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from ._signals import may_be_ctrl_c
from ._threads import Gate, TaskCancelled, current

if TYPE_CHECKING:
    from ._threads import Threads

__all__ = ["Lane", "LoopCall", "LoopTasks", "Shields", "awaited", "guarded"]

LoopTasks = set["asyncio.Task[Any]"]
"""The asyncio tasks that the threads of one task have started on the loop. Only the loop's thread changes it; any thread
may look for a task in it."""


def guarded(gate: Gate, call: Callable[[], Any]) -> tuple[Any, BaseException | None]:
    """Makes an interruptible call; returns its result, or the exception it raised. The result of a complete call counts,
    even if the interruption comes right after it."""
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
        # The first `close` may have been interrupted; that happens only once.
        gate.close()
        if not ended:
            return None, error
    return value, None


async def awaited(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


class Shields:
    """The sections in which code on the loop must not be interrupted."""

    __slots__ = ("_count", "_held")

    def __init__(self) -> None:
        self._count = 0
        self._held = False

    def enter(self) -> bool:
        self._count += 1
        return True

    def leave(self) -> bool:
        """Leaves a section; returns whether a cancellation was held back and is due now."""
        self._count -= 1
        if self._count or not self._held:
            return False
        self._held = False
        return True

    def hold(self) -> bool:
        """Returns whether a cancellation has to be held back, and remembers it if so."""
        self._held = self._held or self._count > 0
        return self._count > 0


class LoopCall:
    """A coroutine that the loop runs for a thread. A cancelled one is waited for until it has really ended."""

    def __init__(
        self,
        tasks: LoopTasks,
        loop: asyncio.AbstractEventLoop,
        coroutine: Coroutine[Any, Any, Any],
        ended: Callable[[], object],
    ) -> None:
        self._tasks = tasks
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
        """Cancels the coroutine. Can be called from any thread."""
        self._cancelled = True
        # A closed loop runs nothing that could be cancelled.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._cancel)

    def result(self) -> Any:
        """Returns the result of the coroutine, or raises its exception."""
        assert self._task is not None, "the coroutine has ended"
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
        # The context is a copy, so this concerns the coroutine only.
        current.set(self)
        self._task = self._loop.create_task(self._caught())
        self._tasks.add(self._task)
        self._task.add_done_callback(self._done)
        if self._cancelled:
            self._task.cancel()

    async def _caught(self) -> tuple[Any, BaseException | None]:
        """Returns the result or the exception: an asyncio task that raised ``SystemExit`` would end the loop."""
        try:
            return await self._coroutine, None
        except (asyncio.CancelledError, GeneratorExit):
            raise
        except BaseException as error:
            if may_be_ctrl_c(error):
                raise
            return None, error

    def _done(self, done: asyncio.Task[Any]) -> None:
        self._tasks.discard(done)
        self._ended()

    def _cancel(self) -> None:
        if self._task is not None and not self._shields.hold():
            self._task.cancel()


class Lane:
    """The thread on which a task on the loop calls functions that are not ``async``. While that thread waits for the
    loop, it makes further calls for it, so a task never needs two threads."""

    def __init__(self, threads: Threads, loop: asyncio.AbstractEventLoop) -> None:
        self._threads = threads
        self._loop = loop
        self._lock = threading.Lock()
        self._waiting = 0
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()

    async def run(self, call: Callable[[Gate], Any]) -> Any:
        """Makes a call on the thread. Called on the loop."""
        future: asyncio.Future[Any] = self._loop.create_future()
        gate = Gate()
        context = copy_context()

        def job() -> None:
            context.run(current.set, gate)
            value, error = guarded(gate, lambda: context.run(call, gate))
            with self._lock:
                # Set before the loop continues, since the loop may make the next call at once.
                self._waiting += takes
            # A closed loop no longer waits for the result.
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
                # Further cancellations change nothing: the task has not ended until the thread returns.
                try:
                    await asyncio.wait([future])
                except asyncio.CancelledError:
                    continue
            if not future.cancelled():
                future.exception()
            raise

    def wait(self, gate: Gate, call: Callable[[Callable[[], object]], LoopCall]) -> Any:
        """Lets the loop run a coroutine, and makes calls for the loop until the coroutine has ended. Called on the
        thread."""

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
        # A future does not accept `StopIteration`; the others would end the loop, although a thread has raised them.
        future.set_exception(RuntimeError(f"the handler raised {type(error).__name__}"))
    else:
        future.set_exception(error)
