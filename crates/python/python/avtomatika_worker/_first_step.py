"""The start of a coroutine on the event loop, whose first step is made at once.

Most of the cost of a short handler is that of asyncio: making a task, and calling it in the loop's next turn. So a handler
is run at once, and one that ends in its first step costs neither. Its code does not notice: ``asyncio.current_task()``
is a task that is its own, from its first step to its end, and cancelling, time limits and task groups work as always.

Since Python 3.12, asyncio has this (``eager_start``). In 3.11 a task that waits for its coroutine is made the current one
during the first step, as a loop with tasks of its own does it. If the coroutine is not done then, the task continues it.
If it is done, and nobody has seen the task meanwhile, the task waits for the next coroutine; that nobody has is proved by
the count of references to it.
"""

from __future__ import annotations

import asyncio
import sys
from asyncio.tasks import _enter_task, _leave_task
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context, copy_context
from sys import getrefcount
from typing import Any
from weakref import getweakrefcount

__all__ = ["FirstSteps", "Start", "is_idle", "plainly"]

Start = Callable[[Coroutine[Any, Any, None]], "asyncio.Task[None] | None"]
"""Starts a coroutine; returns the task that continues it, or None if it has ended."""

_HAS_EAGER_TASKS = sys.version_info >= (3, 12)


def plainly(loop: asyncio.AbstractEventLoop) -> Start:
    """Lets the loop make a task."""

    def start(coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None] | None:
        task = loop.create_task(coroutine)
        # With an eager task factory it may have ended already.
        return None if task.done() else task

    return start


class FirstSteps:
    """Starts coroutines on a loop, from callbacks of the loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._plainly = plainly(loop)
        # In 3.11: a task without a coroutine, and what it runs. Both are forgotten once it has, or is to end.
        self._task: Any = None
        self._run: _Run | None = None
        self._made = 0
        self._name = ""
        self._references = 0

    def starter(self) -> Start:
        """Returns what starts coroutines in this turn of the loop. They raise nothing but what ends the loop."""
        if self._loop.get_task_factory() is not None or self._loop.get_debug():
            # The program wants tasks of its own kind, or wants to see what the loop calls.
            return self._plainly
        return self._start

    def _start(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None] | None:
        loop = self._loop
        if sys.version_info >= (3, 12):
            task = asyncio.Task(coroutine, loop=loop, eager_start=True)
            return None if task.done() else task
        task, run = self._task, self._run
        if task is None or run is None or task.cancelling() or task._must_cancel or run.wake.done():
            # There is none, or somebody has cancelled it.
            task, run = self._make()
        try:
            _enter_task(loop, task)
        except RuntimeError:
            # A task is the current one, so this is not called from a callback of the loop.
            return self._plainly(coroutine)
        context = copy_context()
        try:
            awaited = context.run(coroutine.send, None)
        except StopIteration:
            if not self._is_unseen(task, run):
                self._forget()
                run.end()
            return None
        except BaseException:
            self._forget()
            run.end()
            raise
        finally:
            _leave_task(loop, task)
        self._forget()
        task._log_destroy_pending = True
        run.adopt(coroutine, context, awaited)
        adopted: asyncio.Task[None] = task
        return adopted

    def close(self) -> None:
        """Ends the task that waits for a coroutine."""
        if self._task is not None and not self._loop.is_closed():
            self._task.cancel()
        self._forget()

    def _forget(self) -> None:
        self._task = self._run = None

    def _make(self) -> tuple[Any, _Run]:
        self._run = run = _Run(self._loop)
        self._made += 1
        self._task = task = self._loop.create_task(run, name=f"avtomatika-handler-{self._made}")
        # It may never get a coroutine, which is no mistake.
        task._log_destroy_pending = False  # type: ignore[attr-defined]
        self._name = task.get_name()
        self._references = getrefcount(task)
        return task, run

    def _is_unseen(self, task: Any, run: _Run) -> bool:
        """Whether nobody can reach a task, or has changed it. All tasks are weakly referenced once."""
        return (
            # There are two references more than in `_make`: that of the caller, and that to the current task.
            getrefcount(task) == self._references + 2
            and getweakrefcount(task) == 1
            and task._callbacks is None
            and task.get_name() is self._name
            and not task.cancelling()
            and not task._must_cancel
            and not run.wake.done()
        )


class _Run(Coroutine[Any, Any, None]):
    """What a task runs that waits for a coroutine, and continues it. Each step is made in the coroutine's own context."""

    __slots__ = ("_awaited", "_context", "_coroutine", "_has_ended", "_is_blocking", "wake")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._coroutine: Coroutine[Any, Any, None] | None = None
        self._context: Context
        # What the coroutine has awaited in its first step, until the task awaits it; and whether it is a future.
        self._awaited: Any = None
        self._is_blocking: bool | None = None
        self._has_ended = False
        # The task waits for it, from its own first step on, in the next turn.
        self.wake: asyncio.Future[None] = loop.create_future()

    def adopt(self, coroutine: Coroutine[Any, Any, None], context: Context, awaited: Any) -> None:
        """Lets the task continue a coroutine that was run in this context, and has awaited this."""
        self._coroutine, self._context, self._awaited = coroutine, context, awaited
        self._is_blocking = getattr(awaited, "_asyncio_future_blocking", None)
        if self._is_blocking:
            # As a task does: others may await the same future meanwhile.
            awaited._asyncio_future_blocking = False
        self._continue()

    @property
    def is_idle(self) -> bool:
        return self._coroutine is None

    def end(self) -> None:
        """Lets the task end."""
        self._has_ended = True
        self._continue()

    def _continue(self) -> None:
        if not self.wake.done():
            self.wake.set_result(None)

    def send(self, value: None) -> Any:
        if self._has_ended:
            raise StopIteration
        if self._coroutine is None:
            return _blocking(self.wake)
        if self._awaited is not _NOTHING:
            awaited, self._awaited = self._awaited, _NOTHING
            return _blocking(awaited) if self._is_blocking else awaited
        return self._context.run(self._coroutine.send, value)

    def throw(self, *arguments: Any) -> Any:
        error = arguments[0]
        if self._coroutine is None or self._has_ended:
            raise error
        awaited, self._awaited = self._awaited, _NOTHING
        if self._is_blocking and awaited is not _NOTHING and awaited.cancel(*error.args[:1]):
            # The task was cancelled before it could await this, and cancels what it awaits.
            return _blocking(awaited)
        return self._context.run(self._coroutine.throw, error)

    def close(self) -> None:
        if self._coroutine is not None:
            self._coroutine.close()

    def __await__(self) -> Generator[Any, Any, None]:
        raise TypeError("only its task runs it")

    def __getattr__(self, name: str) -> Any:
        # For those who look at a task: its representation, its stack.
        if self._coroutine is None and name in ("__name__", "__qualname__"):
            return "waits_for_a_handler"
        return getattr(self._coroutine, name)


_NOTHING: Any = object()


def is_idle(task: asyncio.Task[Any]) -> bool:
    """Whether a task has no coroutine yet. It has none during the coroutine's first step either."""
    run = task.get_coro()
    return isinstance(run, _Run) and run.is_idle


def _blocking(future: Any) -> Any:
    """Marks a future as awaited by the task that gets it."""
    future._asyncio_future_blocking = True
    return future
