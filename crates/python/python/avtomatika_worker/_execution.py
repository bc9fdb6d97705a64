"""The execution of one task, on the event loop or on a thread.

A handler that is not ``async`` and has no middleware runs on a thread. All other tasks run on the loop, which calls
functions that are not ``async`` on a thread, one at a time for each task.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import CancelledError as FutureCancelled
from contextlib import suppress
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

from . import outcome
from ._first_step import is_idle
from ._lanes import Lane, LoopCall, LoopTasks, Shields, awaited, guarded
from ._logging import LOG, ids
from ._signals import may_be_ctrl_c
from ._threads import Gate, TaskCancelled, current
from .errors import TaskError

if TYPE_CHECKING:
    from ._first_step import Start
    from ._native import Task
    from ._route import Route
    from ._threads import Threads

__all__ = ["Ended", "Execution", "execution"]

Ended = outcome.Encoded
"""The outcome of a task: a status, data as JSON text, an error, further members."""

# The arguments of a handler that has not begun, or has ended.
_NOTHING: dict[str, Any] = {}

_CANCELLED: Ended = ("cancelled", None, None, None)
# The outcome of a handler that was interrupted. If the core told it to stop, the core's own outcome counts instead.
_INTERRUPTED: Ended = ("failure", None, ("TRANSIENT_ERROR", "the handler was cancelled", None), None)


class Execution:
    """A task that is being executed."""

    __slots__ = ("_calls", "_finish", "_main", "context", "number", "params", "raw", "route", "task", "values")

    def __init__(
        self, route: Route, task: Task, number: int, raw: bytes, finish: Callable[[Execution, Ended], None]
    ) -> None:
        self.route = route
        self.task = task
        self.number = number
        self.raw = raw
        # Called once, where the task ends: on the loop, or on a thread.
        self._finish = finish
        # The arguments of the handler and of its middleware; `_prepare` sets them.
        self.params: Any = None
        self.values = self.context = _NOTHING
        # The asyncio task that runs the handler on the loop, and those that its threads started there.
        self._main: asyncio.Task[Any] | None = None
        self._calls: LoopTasks | None = None

    def start(self, threads: Threads, loop: asyncio.AbstractEventLoop, begin: Start) -> None:
        """Starts the task: on a thread, or as a coroutine with ``begin``."""
        raise NotImplementedError

    def cancel(self) -> None:
        """Cancels the task."""
        raise NotImplementedError

    def owns(self, task: asyncio.Task[Any] | None) -> bool:
        """Returns whether an asyncio task belongs to this execution. Can be called from any thread."""
        calls = self._calls
        return task is not None and (task is self._main or (calls is not None and task in calls))

    def _loop_calls(self) -> LoopTasks:
        if self._calls is None:
            self._calls = set()
        return self._calls

    def _prepare(self) -> None:
        """Reads the parameters, and collects the arguments that the handler asks for."""
        route = self.route
        self.params = route.plan.read(self.raw)
        self.values = values = route.offer(self.task)
        if "opentelemetry" in sys.modules:
            _attach_trace(self.task.tracing_context)
        if "avtomatika_worker.logging" in sys.modules:
            from .logging import set_context

            set_context(task_id=self.task.task_id, job_id=self.task.job_id)
        if route.middleware:
            self.context = route.context(self.params, values)

    def _call_handler(self) -> Any:
        if self.route.is_direct:
            return self.route.plan.func(self.params, **self.values)
        if self.route.middleware:
            return self.route.invoke(self.params, self.context)
        return self.route.plan.invoke(self.params, self.values)

    def _failed(self, error: BaseException) -> Ended:
        """Returns the outcome for an exception, and logs its traceback, which is not sent. Never raises, not even for
        exceptions that raise when they are inspected: an unfinished task would occupy its slot for ever."""
        if issubclass(type(error), (asyncio.CancelledError, FutureCancelled, TaskCancelled)):
            return _INTERRUPTED if self._is_interrupted() else _CANCELLED
        with suppress(BaseException):
            self._log(error)
        return outcome.from_exception(error)

    def _is_interrupted(self) -> bool:
        """Returns whether the handler was interrupted because everything ends. Called where the handler has just ended."""
        raise NotImplementedError

    def _log(self, error: BaseException) -> None:
        if issubclass(type(error), TaskError):
            return
        LOG.error(
            "the handler raised",
            fields={"task": self.route.name},
            task=ids(self.task),
            # As a tuple: `logging` ignores an exception that counts as false.
            exc_info=(type(error), error, error.__traceback__),
        )


class _OnThread(Execution):
    """A handler without middleware, on a thread."""

    __slots__ = ("_gate", "_loop")

    def start(self, threads: Threads, loop: asyncio.AbstractEventLoop, begin: Start) -> None:
        self._gate = Gate()
        self._loop = loop
        context = copy_context()
        try:
            threads.submit(lambda: context.run(self._work))
        except RuntimeError as error:
            message = f"no thread can be started for the handler: {error}"
            self._finish(self, ("failure", None, ("RESOURCE_EXHAUSTED_ERROR", message, None), None))

    def cancel(self) -> None:
        self._gate.interrupt()

    def _is_interrupted(self) -> bool:
        return self._gate.is_interrupted

    def _work(self) -> None:
        current.set(self._gate)
        ended, error = guarded(self._gate, self._outcome)
        self._finish(self, ended if error is None else self._failed(error))

    def _outcome(self) -> Ended:
        self._prepare()
        result = self._call_handler()
        if hasattr(result, "__await__"):
            # The function is not `async`, but returned an awaitable.
            result = self._await_on_loop(result)
        return outcome.encode(result)

    def _await_on_loop(self, awaitable: Awaitable[Any]) -> Any:
        """Lets the loop await something, and waits for the result. Called on the thread."""
        ended = threading.Event()

        def serve(call: LoopCall) -> Any:
            ended.wait()
            return call.result()

        return self._gate.wait(lambda: LoopCall(self._loop_calls(), self._loop, awaited(awaitable), ended.set), serve)


class _OnLoop(Execution):
    """A task on the loop; its functions that are not ``async`` run on a thread. It is interrupted by asyncio."""

    __slots__ = ("_lane", "_loop", "_shields", "_threads")

    def start(self, threads: Threads, loop: asyncio.AbstractEventLoop, begin: Start) -> None:
        self._threads = threads
        self._loop = loop
        self._shields: Shields | None = None
        self._lane: Lane | None = None
        self._main = begin(self._run())

    def cancel(self) -> None:
        if self._main is not None and not (self._shields and self._shields.hold()):
            self._main.cancel()

    def shield(self) -> bool:
        if self._shields is None:
            self._shields = Shields()
        return self._shields.enter()

    def unshield(self) -> None:
        if self._shields and self._shields.leave():
            self.cancel()

    async def _run(self) -> None:
        current.set(self)
        ended = _INTERRUPTED
        try:
            self._prepare()
            result = await (self._through(0) if self.route.middleware else self._call_handler())
            ended = outcome.encode(result)
        except BaseException as error:
            ended = self._failed(error)
            if isinstance(error, GeneratorExit) or may_be_ctrl_c(error):
                raise
        finally:
            # Breaks reference cycles, which would keep the memory until the next garbage collection.
            self._main = None
            self.context = self.values = _NOTHING
            self._finish(self, ended)

    def _is_interrupted(self) -> bool:
        # When the loop ends, it cancels all its tasks at once, the worker's own among them. If the core told the handler to
        # stop, what is returned here does not count.
        current = asyncio.current_task()
        return all(task.cancelling() or (is_idle(task) and task is not current) for task in asyncio.all_tasks())

    async def _through(self, place: int) -> Any:
        route = self.route
        if place < len(route.middleware):
            step = route.middleware[place]
            if step.is_async:
                return await step.call(self.context, lambda: self._through(place + 1))
            return await self._on_thread(lambda gate: step.call(self.context, lambda: self._back(gate, place + 1)))
        if route.plan.is_async:
            return await self._call_handler()
        return await self._on_thread(lambda gate: self._call_handler())

    def _back(self, gate: Gate, place: int) -> Any:
        """Calls the next function for a middleware that is not ``async``, on the middleware's thread. This is its
        ``next_handler``."""
        if asyncio._get_running_loop() is self._loop:
            # The middleware returned an awaitable, which runs on the loop and awaits this.
            return self._through(place)
        route = self.route
        if place < len(route.middleware):
            if route.middleware[place].is_async:
                return self._wait(gate, self._through(place))
            result = route.middleware[place].call(self.context, lambda: self._back(gate, place + 1))
        elif route.plan.is_async:
            return self._wait(gate, self._through(place))
        else:
            result = self._call_handler()
        return self._wait(gate, awaited(result)) if hasattr(result, "__await__") else result

    def _wait(self, gate: Gate, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return self._own_lane().wait(gate, lambda ended: LoopCall(self._loop_calls(), self._loop, coroutine, ended))

    def _own_lane(self) -> Lane:
        if self._lane is None:
            self._lane = Lane(self._threads, self._loop)
        return self._lane

    async def _on_thread(self, call: Callable[[Gate], Any]) -> Any:
        result = await self._own_lane().run(call)
        # The function is not `async`, but may have returned an awaitable.
        return await result if hasattr(result, "__await__") else result


def _attach_trace(carrier: dict[str, str]) -> None:
    """Lets the handler run in the trace of the task, if OpenTelemetry is installed."""
    if not carrier:
        return
    try:
        from opentelemetry import context, propagate
    except ImportError:
        return
    context.attach(propagate.extract(carrier))


def execution(
    route: Route, task: Task, number: int, raw: bytes, finish: Callable[[Execution, Ended], None]
) -> Execution:
    """Returns a task that is ready to be started. ``finish`` is called once, on the loop or on a thread."""
    return (_OnLoop if route.is_on_loop else _OnThread)(route, task, number, raw, finish)
