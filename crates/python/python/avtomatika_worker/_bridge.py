"""One run of a worker, and the pump between the core and the event loop."""

from __future__ import annotations

import asyncio
import atexit
import os
import sys
import threading
import weakref
from collections.abc import Callable, Sequence
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

from . import _forking, _logging, outcome  # noqa: F401
from ._execution import Ended, Execution, execution
from ._first_step import FirstSteps
from ._logging import LOG, ids
from ._threads import Threads
from .errors import ConfigError, TransientError

if TYPE_CHECKING:
    from ._context import Tools
    from ._first_step import Start
    from ._native import Command, Task
    from ._native import Worker as NativeWorker
    from ._route import Route, Step

__all__ = ["Run", "Stopped", "WorkerError"]

# The kinds of the core's records, given as their first members.
_TASK, _CANCEL, _COMMAND, _IGNORED, _ENDED, _LINES = range(6)

# The time limits at the end of the interpreter, in seconds: for handlers to end, for reporting the cancelled tasks, and
# for dropping the rest.
_LAST_STEPS = 1.0
_LAST_REPORTS = 3.0
_LAST_JOIN = 1.0


class WorkerError(RuntimeError):
    """The worker could not start, or could not continue."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class Stopped:
    """The way a worker ended."""

    __slots__ = ("cancelled", "cause", "kept", "unacknowledged")

    def __init__(self, cause: str, cancelled: list[str], unacknowledged: list[str], kept: list[str]) -> None:
        self.cause = cause
        """The cause: ``SIGTERM`` (also for SIGHUP), ``SIGINT`` or ``asked to stop``."""
        self.cancelled = cancelled
        """The ids of tasks that were cancelled, because they did not end in time or because of a second signal."""
        self.unacknowledged = unacknowledged
        """The ids of tasks whose results no orchestrator has acknowledged: these results are lost."""
        self.kept = kept
        """The ids of tasks whose results are on disk (``WORKER_OUTBOX_DIR``): they are sent after the next start."""

    @property
    def is_clean(self) -> bool:
        """Whether no task was cancelled and no result was lost."""
        return not self.cancelled and not self.unacknowledged

    def __repr__(self) -> str:
        return f"Stopped({self.cause!r}, cancelled={self.cancelled}, unacknowledged={self.unacknowledged}, kept={self.kept})"


class Run:
    """One run of a worker on one event loop, from ``start`` to ``close``."""

    def __init__(
        self,
        native: NativeWorker,
        routes: Sequence[Route],
        tools: Tools,
        slots: int,
        on_command: Callable[[Command], Any],
        on_ignored: Callable[[str, str, str], Any] | None,
    ) -> None:
        self.native = native
        self.process = os.getpid()
        self.loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[Stopped] = self.loop.create_future()
        self._loop_thread = threading.get_ident()
        self._routes = list(routes)
        self.tools = tools
        self._threads = Threads(slots)
        self._on_command = on_command
        self._on_ignored = on_ignored
        self._running: dict[int, Execution] = {}
        # The hooks for commands and ignored results that are running.
        self._hooks: set[asyncio.Task[None]] = set()
        self._first_steps = FirstSteps(self.loop)
        # The task whose first step is being made.
        self._starting: Execution | None = None
        self._back: list[tuple[Task, str, bytes | None, Any, Any]] = []
        # Records that the core has handed over, for the next turn of the loop.
        self._records: list[tuple[Any, ...]] = []
        # Whether `_turn` is running, or the loop will call it in its next turn.
        self._due = False
        # Tasks do not see what others have set: they are started here, whoever has caused the turn.
        self._context = copy_context()
        self._level = -1
        self.is_draining = False
        self._waker: _Waker | None = None
        self._closed = False

    def start(self, health_check: bool) -> None:
        """Starts the core's threads, and takes their records from now on."""
        self._set_log_level()
        self.native.start(health_check, _weak(self._name_blocker))
        _live.add(self)
        if not _registered:
            atexit.register(_end_all)
            _registered.append(True)
        try:
            self.loop.add_reader(self.native.fileno(), self._pump)
        except NotImplementedError:
            self._waker = _Waker(self.loop, self.native.fileno(), self._pump)

    def drain(self, cause: str) -> None:
        """Begins the shutdown. Can be called from any thread."""
        self.is_draining = True
        self.native.drain_because(cause)

    def close(self) -> None:
        """Ends everything that has not ended. Blocks for a moment only."""
        if self._closed or os.getpid() != self.process:
            return
        self._closed = True
        _live.discard(self)
        if self._waker is not None:
            self._waker.close()
        elif not self.loop.is_closed():
            self.loop.remove_reader(self.native.fileno())
        self._give_back_waiting()
        if not self.ended.done():
            self.native.abort()
        self.native.join(_LAST_JOIN)
        for execution in list(self._running.values()):
            # Tasks of a closed loop cannot be cancelled.
            if not self.loop.is_closed():
                execution.cancel()
        for hook in self._hooks:
            hook.cancel()
        self._first_steps.close()
        self._threads.close()
        self.log_lines()

    def add(self, route: Route, spec: dict[str, Any]) -> bool:
        """Adds a task, from one thread at a time. Returns whether it was not too late for it."""
        # Before the core has it, since a task of this name can arrive at once.
        self._routes.append(route)
        try:
            added = self.native.add_task(spec, len(self._routes) - 1)
        except BaseException:
            self._routes.pop()
            raise
        if not added:
            self._routes.pop()
        return added

    def replace(self, route: Route) -> bool:
        """Replaces the handler of a task, from one thread at a time. Returns whether there is a task of this name."""
        for place, old in enumerate(self._routes):
            if old.name == route.name:
                if route.is_on_loop and not old.is_on_loop:
                    # The core watches the loop for tasks that it knows to be there.
                    self.native.set_all_on_loop()
                self._routes[place] = route
                return True
        return False

    def set_middleware(self, middleware: Sequence[Step]) -> None:
        """Puts this middleware around every task that arrives from now on, from one thread at a time."""
        from ._route import Route

        self.native.set_all_on_loop()
        self._routes = [Route(route.name, route.plan, middleware, self.tools) for route in self._routes]

    def give_up(self) -> None:
        """Reports the tasks whose handlers have not ended. Called when the interpreter ends, which does not wait for
        them; a handler may be stuck in code written in C, which is not interrupted."""
        for one in list(self._running.values()):
            LOG.error(
                "the interpreter ends, but the handler `%s` has not ended: its task is reported as failed",
                one.route.plan.name,
                fields={"task": one.route.name},
                task=ids(one.task),
            )
            self.native.complete([(one.task, *_lost())])
        for task in self._give_back_waiting():
            LOG.error("the interpreter ends before the handler has begun: its task is reported as failed", task=ids(task))
        self.log_lines()

    def _give_back_waiting(self) -> list[Task]:
        """Reports the tasks that have arrived, and were to begin in the loop's next turn, as failed. Returns them."""
        records, self._records = self._records, []
        tasks = [record[3] for record in records if record[0] == _TASK]
        self.native.complete([(task, *_lost()) for task in tasks])
        return tasks

    def _pump(self) -> None:
        """Takes the core's records. Called each time the core rings, which makes its file descriptor readable."""
        if self._due and self._starting is None:
            # The next turn processes them, too. (There is none if a handler runs the loop within its first step.)
            self._records += self._exchange(True)
            return
        self._due = True
        try:
            self._records += self._exchange(True)
        finally:
            self._turn()

    def _turn(self) -> None:
        """Processes the records, returns the outcomes of the tasks that have ended, also of those that have just begun, and
        takes further records for the loop's next turn. When there are none, the core rings for the next one."""
        if self._closed:
            back, self._back = self._back, []
            self.native.complete(back)
            return
        self._due = True
        stopping: BaseException | None = None
        try:
            records, self._records = self._records, []
            begin = self._first_steps.starter()
            for record in records:
                try:
                    if record[0] == _TASK:
                        self._start(record, begin)
                    else:
                        self._follow(record)
                except Exception:
                    LOG.exception("a record of the core could not be processed and is skipped")
                except BaseException as error:
                    # Ctrl+C or `SystemExit` in a first step ends the loop, but not before the other tasks have begun.
                    stopping = error
        finally:
            self._due = False
            self._records += self._exchange(False)
        self._set_log_level()
        if stopping is not None:
            raise stopping

    def _exchange(self, rung: bool) -> list[tuple[Any, ...]]:
        """Returns outcomes to the core, and takes its records; if there are any, the loop processes them in its next
        turn. ``rung`` means that the core has rung."""
        back, self._back = self._back, []
        # After records were taken, the core does not ring until none were taken.
        try:
            records = self.native.exchange(back, rung)
        except BaseException:
            # A forked process has taken none.
            if os.getpid() == self.process:
                self._turn_soon()
            raise
        if records:
            self._turn_soon()
        return records

    def _follow(self, record: tuple[Any, ...]) -> None:
        kind = record[0]
        if kind == _CANCEL:
            cancelled = self._running.get(record[1])
            if cancelled is not None:
                cancelled.cancel()
        elif kind == _COMMAND:
            self._obey(record[1])
        elif kind == _IGNORED:
            self._ignored(*record[1:])
        elif kind == _LINES:
            self.log_lines()
        else:
            self._settle(record[1], record[2])

    def _start(self, record: tuple[Any, ...], begin: Start) -> None:
        """Starts a task. A failure concerns this task only, not the others of the same batch."""
        _, number, place, task, raw = record
        started = execution(self._routes[place], task, number, raw, self._finish)
        self._running[number] = self._starting = started
        try:
            started.start(self._threads, self.loop, begin)
        except Exception as error:
            LOG.exception("the task could not be started", task=ids(task))
            self._finish(started, outcome.from_exception(error))
        finally:
            self._starting = None

    def _finish(self, execution: Execution, ended: Ended) -> None:
        """Takes the outcome of a task. The outcomes of one turn of the loop are returned in one call."""
        self._running.pop(execution.number, None)
        back = (execution.task, *ended)
        if threading.get_ident() == self._loop_thread and (self._starting is execution or not self.loop.is_closed()):
            self._back.append(back)
            if not self._due:
                self._turn_soon()
        else:
            self.native.complete([back])

    def _turn_soon(self) -> None:
        if not self._due:
            self._due = True
            self.loop.call_soon(self._turn, context=self._context)

    def _settle(self, stopped: tuple[str, list[str], list[str], list[str]] | None, failure: Any) -> None:
        if self.ended.done():
            return
        if stopped is not None:
            self.ended.set_result(Stopped(*stopped))
            return
        message, problems, exit_code = failure
        error = ConfigError(problems) if problems else WorkerError(message, exit_code)
        self.ended.set_exception(error)

    def _obey(self, command: Command) -> None:
        """Calls the hook for a command. The core waits for ``done`` before it sends the next command."""
        task = self.loop.create_task(self._on_command(command))
        self._hooks.add(task)

        def done(task: asyncio.Task[None]) -> None:
            self._hooks.discard(task)
            command.done()

        task.add_done_callback(done)

    def _ignored(self, task_id: str, job_id: str, reason: str) -> None:
        if self._on_ignored is None:
            return
        task = self.loop.create_task(self._on_ignored(task_id, job_id, reason))
        self._hooks.add(task)
        task.add_done_callback(self._hooks.discard)

    def log_lines(self) -> None:
        """Passes the lines that the core has logged to ``logging``."""
        _logging.handle(*self.native.log_lines())

    def _set_log_level(self) -> None:
        level = _logging.level()
        if level != self._level:
            self._level = level
            self.native.set_log_level(level)

    def _name_blocker(self, seconds: float) -> None:
        """Logs which handler blocks the loop. Called on a thread of the core when the loop has not run for a while."""
        if self.loop.is_closed():
            LOG.error("the event loop was closed while the worker was running on it: the worker ends")
            self.native.cancel()
            return
        current = asyncio.current_task(self.loop)
        starting = self._starting
        one = starting or next((one for one in list(self._running.values()) if one.owns(current)), None)
        blocker = f"the handler of `{one.route.name}`" if one else "code outside of handlers"
        location = _location(sys._current_frames().get(self._loop_thread))
        LOG.warning(
            "%s has blocked the event loop for %.1f s%s: meanwhile no other handler runs, but heartbeats continue; write a "
            "handler that blocks with `def` instead of `async def`",
            blocker,
            seconds,
            location,
            task=ids(one.task) if one else None,
        )


class _Waker:
    """A thread that waits for the core's file descriptor, for event loops that cannot do so."""

    def __init__(self, loop: asyncio.AbstractEventLoop, fd: int, pump: Callable[[], None]) -> None:
        self._loop = loop
        self._fd = fd
        self._pump = pump
        self._pumped = threading.Event()
        self._closed = False
        threading.Thread(target=self._listen, name="avtomatika-wake", daemon=True).start()

    def close(self) -> None:
        self._closed = True
        self._pumped.set()

    def _listen(self) -> None:
        import select

        while not self._closed:
            # With a time limit, so that the thread notices when it is closed.
            if not select.select([self._fd], [], [], 0.5)[0]:
                continue
            self._pumped.clear()
            try:
                self._loop.call_soon_threadsafe(self._call)
            except RuntimeError:
                # The loop was closed.
                return
            self._pumped.wait()

    def _call(self) -> None:
        if not self._closed:
            self._pump()
        self._pumped.set()


def _lost() -> Ended:
    return outcome.from_exception(TransientError("the program ended"))


def _location(frame: Any) -> str:
    return f" at {frame.f_code.co_filename}:{frame.f_lineno}" if frame is not None else ""


def _weak(method: Callable[[float], None]) -> Callable[[float], None]:
    """Wraps a method, so that the core's thread does not keep a dropped run alive."""
    reference = weakref.WeakMethod(method)

    def call(seconds: float) -> None:
        alive = reference()
        if alive is not None:
            alive(seconds)

    return call


_live: weakref.WeakSet[Run] = weakref.WeakSet()
_registered: list[bool] = []


def _end_all() -> None:
    """Ends the workers that still run when the interpreter ends, which does not wait for their threads."""
    runs = [run for run in _live if run.process == os.getpid()]
    for run in runs:
        run.native.cancel()
    for run in runs:
        if not run.native.join(_LAST_STEPS):
            run.give_up()
            if not run.native.join(_LAST_REPORTS):
                run.native.abort()
                run.native.join(_LAST_JOIN)
