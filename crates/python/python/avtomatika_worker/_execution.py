"""How one task is run: on the event loop, or on a thread.

A handler that is not ``async`` and has no middleware around it runs on one thread of the task's own. Everything else
runs on the loop, and what is not ``async`` of it is called on a thread, one at a time for each task.
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
from ._lanes import Lane, LoopCall, Shields, awaited, guarded
from ._logging import LOG
from ._offers import offered
from ._signals import may_be_typed
from ._threads import Gate, TaskCancelled, current
from .errors import TaskError

if TYPE_CHECKING:
    from ._native import Task
    from ._route import Route
    from ._threads import Threads

__all__ = ["Ended", "Execution", "execution"]

Ended = tuple[str, bytes | None, tuple[str, str, bytes | None] | None]
"""What a task ended in: a status, data as JSON text, an error."""

_CANCELLED: Ended = ("failure", None, ("TRANSIENT_ERROR", "the handler was cancelled", None))


class Execution:
    """One task under way."""

    __slots__ = ("_finish", "context", "loop_tasks", "number", "params", "raw", "route", "task", "values")

    def __init__(
        self, route: Route, task: Task, number: int, raw: bytes, finish: Callable[[Execution, Ended], None]
    ) -> None:
        self.route = route
        self.task = task
        self.number = number
        self.raw = raw
        # Called once, where it ends: on the loop, or on a thread.
        self._finish = finish
        # What the handler and its middleware get, once it is made.
        self.params: Any = None
        self.values: dict[str, Any] = {}
        self.context: dict[str, Any] = {}
        # What the loop runs of it now.
        self.loop_tasks: tuple[asyncio.Task[Any], ...] = ()

    def start(self, threads: Threads, loop: asyncio.AbstractEventLoop) -> None:
        """Begins."""
        raise NotImplementedError

    def cancel(self) -> None:
        """Tells it to stop."""
        raise NotImplementedError

    def _prepare(self) -> None:
        """Params and what the handler may ask for."""
        route = self.route
        self.params = route.plan.params_reader(self.raw)
        self.values = values = offered(self.task, route)
        if "opentelemetry" in sys.modules:
            _attach_trace(self.task.tracing_context)
        if route.middleware:
            self.context = {
                "task_id": values["task_id"],
                "job_id": values["job_id"],
                "task_name": route.name,
                "params": self.params,
                "handler_kwargs": values,
            }

    def _call_handler(self) -> Any:
        if self.route.is_direct:
            return self.route.plan.func(self.params, **self.values)
        context = self.context
        if context:
            # Middleware may have put others there.
            return self.route.plan.invoke(context["params"], context["handler_kwargs"])
        return self.route.plan.invoke(self.params, self.values)

    def _failed(self, error: BaseException) -> Ended:
        """What is reported of an exception; its traceback stays in our log. It raises nothing, whatever the exception
        does when it is looked at: a task that is not finished keeps its slot for ever."""
        if issubclass(type(error), (asyncio.CancelledError, FutureCancelled, TaskCancelled)):
            return _CANCELLED
        with suppress(BaseException):
            self._log(error)
        return outcome.from_exception(error)

    def _log(self, error: BaseException) -> None:
        if issubclass(type(error), TaskError):
            return
        from ._native import one_line

        where = {"task_id": one_line(self.task.task_id), "job_id": one_line(self.task.job_id)}
        LOG.error(
            "the handler raised task=%s task_id=%s",
            self.route.name,
            where["task_id"],
            # One that counts as false would be left out.
            exc_info=(type(error), error, error.__traceback__),
            extra=where,
        )


class _OnThread(Execution):
    """A handler without middleware, on a thread."""

    __slots__ = ("_gate", "_loop")

    def start(self, threads: Threads, loop: asyncio.AbstractEventLoop) -> None:
        self._gate = Gate()
        self._loop = loop
        context = copy_context()
        try:
            threads.submit(lambda: context.run(self._work))
        except RuntimeError as error:
            message = f"no thread for the handler: {error}"
            self._finish(self, ("failure", None, ("RESOURCE_EXHAUSTED_ERROR", message, None)))

    def cancel(self) -> None:
        self._gate.interrupt()

    def _work(self) -> None:
        current.set(self._gate)
        ended, error = guarded(self._gate, self._outcome)
        self._finish(self, ended if error is None else self._failed(error))

    def _outcome(self) -> Ended:
        self._prepare()
        result = self._call_handler()
        if hasattr(result, "__await__"):
            # A function that is not `async` by its looks.
            result = self._await_elsewhere(result)
        return outcome.encode(result)

    def _await_elsewhere(self, awaitable: Awaitable[Any]) -> Any:
        """Called on the thread: has the loop await something."""
        ended = threading.Event()

        def serve(call: LoopCall) -> Any:
            ended.wait()
            return call.result()

        return self._gate.wait(lambda: LoopCall(self, self._loop, awaited(awaitable), ended.set), serve)


class _OnLoop(Execution):
    """On the loop, but for what is not ``async``. asyncio does the interrupting."""

    __slots__ = ("_lane", "_loop", "_shields", "_threads")

    def start(self, threads: Threads, loop: asyncio.AbstractEventLoop) -> None:
        self._threads = threads
        self._loop = loop
        self._shields: Shields | None = None
        self._lane: Lane | None = None
        task = loop.create_task(self._run())
        # With an eager factory of tasks it may have ended already.
        self.loop_tasks = () if task.done() else (task,)

    def cancel(self) -> None:
        # The first is the one that `start` made.
        if self.loop_tasks and not (self._shields and self._shields.hold()):
            self.loop_tasks[0].cancel()

    def shield(self) -> bool:
        if self._shields is None:
            self._shields = Shields()
        return self._shields.enter()

    def unshield(self) -> None:
        if self._shields and self._shields.leave():
            self.cancel()

    async def _run(self) -> None:
        current.set(self)
        ended = _CANCELLED
        try:
            self._prepare()
            result = await (self._through(0) if self.route.middleware else self._call_handler())
            ended = outcome.encode(result)
        except BaseException as error:
            ended = self._failed(error)
            if isinstance(error, GeneratorExit) or may_be_typed(error):
                raise
        finally:
            # What refers to this in a circle would stay until it is looked for.
            self.loop_tasks = ()
            self.context = self.values = {}
            self._finish(self, ended)

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
        """``next_handler`` of a middleware that is not ``async``: what comes next, from its thread."""
        if asyncio._get_running_loop() is self._loop:
            # It is not `async` by its looks only: what it returned is awaited on the loop, and awaits this.
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
        return self._own_lane().wait(gate, lambda ended: LoopCall(self, self._loop, coroutine, ended))

    def _own_lane(self) -> Lane:
        if self._lane is None:
            self._lane = Lane(self._threads, self._loop)
        return self._lane

    async def _on_thread(self, call: Callable[[Gate], Any]) -> Any:
        result = await self._own_lane().run(call)
        # A function that is not `async` by its looks.
        return await result if hasattr(result, "__await__") else result


def _attach_trace(carrier: dict[str, str]) -> None:
    """The trace of the task is the one that the handler runs in, where OpenTelemetry is in use."""
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
    """A task, ready to be started. ``finish`` is called once, on the loop or on a thread."""
    return (_OnLoop if route.is_on_loop else _OnThread)(route, task, number, raw, finish)
