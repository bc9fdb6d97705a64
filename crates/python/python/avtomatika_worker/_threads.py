"""Threads for handlers that block, and how they are told to stop."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable
from contextvars import ContextVar
from time import monotonic
from typing import TYPE_CHECKING, Any, Protocol

from ._logging import LOG

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["Gate", "TaskCancelled", "Threads", "shielded"]

# A thread without work ends after this time, in seconds.
_IDLE_LIMIT = 10.0


class TaskCancelled(BaseException):
    """Raised in the thread of a ``def`` handler whose task is told to stop. Code in C is not interrupted.

    Like ``asyncio.CancelledError``, which an ``async def`` handler gets, it is no ``Exception``, so that nothing catches
    it by accident. What a handler returns or raises after it does not count.
    """


class Threads:
    """Named threads, made on demand, up to a limit. Never joined: a handler that does not end holds nothing up."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._process = os.getpid()
        self._jobs: deque[Callable[[], None]] = deque()
        self._changed = threading.Condition(threading.Lock())
        self._idle = 0
        self._alive = 0
        self._made = 0
        self._closed = False

    def submit(self, job: Callable[[], None]) -> None:
        """Runs a job, which raises nothing, on one of them. Raises ``RuntimeError`` when there is no thread for it."""
        with self._changed:
            self._jobs.append(job)
            if self._idle >= len(self._jobs) or self._alive >= self._limit:
                self._changed.notify()
                return
            self._alive += 1
            self._made += 1
            name = f"avtomatika-handler-{self._made}"
        try:
            threading.Thread(target=self._work, name=name, daemon=True).start()
        except BaseException:
            with self._changed:
                self._alive -= 1
                # Another thread may take it when it is free; without any, nobody would.
                if self._alive == 0:
                    self._jobs.remove(job)
                    raise

    def close(self) -> None:
        """Ends those that wait for work, and the others after theirs."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _work(self) -> None:
        while True:
            job = self._next()
            if job is None:
                return
            try:
                job()
            except BaseException:
                if os.getpid() != self._process:
                    # A handler has forked, and its child came back: it ends with this thread.
                    return
                LOG.exception("a thread for handlers goes on after this")
            del job

    def _next(self) -> Callable[[], None] | None:
        until = monotonic() + _IDLE_LIMIT
        with self._changed:
            while True:
                if self._jobs:
                    return self._jobs.popleft()
                left = until - monotonic()
                if self._closed or left <= 0:
                    self._alive -= 1
                    return None
                self._idle += 1
                self._changed.wait(left)
                self._idle -= 1


class Gate:
    """Lets ``TaskCancelled`` through to one call in one thread: only while that call runs, and once.

    ``interrupt`` is called from other threads; all else in the thread itself.
    """

    def __init__(self) -> None:
        # An exception that comes from outside can come between taking a lock and knowing of it. So the thread itself has
        # to be able to take it again, and others never take it once the exception was sent.
        self._lock = threading.RLock()
        # The thread in which the call runs, while it may be interrupted.
        self._thread: int | None = None
        self._told = False
        # The exception was sent to the thread from outside.
        self._sent = False
        # It was raised there, or by the gate itself.
        self._raised = False
        self._shields = 0
        # Told instead while the call waits for something that can be told.
        self._elsewhere: Callable[[], object] | None = None

    def interrupt(self) -> None:
        """Tells the call to stop, as soon as it may be interrupted."""
        if self._told:
            return
        with self._lock:
            self._told = True
            if self._thread is not None and not self._shields:
                self._sent = _raise_in(self._thread, self._exception())
            elsewhere = self._elsewhere
        if elsewhere is not None:
            elsewhere()

    def open(self) -> None:
        """From now on the call may be interrupted. Raises ``TaskCancelled`` if it was told to stop before."""
        with self._lock:
            if not self._told:
                self._thread = threading.get_ident()
                return
        self._raise()

    def close(self) -> None:
        """From when this returns the call is not interrupted any more. May itself be interrupted, once: whoever calls it
        is ready to call it again."""
        self._thread = None
        with self._lock:
            self._take_back()

    def wait(self, begin: Callable[[], Any], serve: Callable[[Any], Any]) -> Any:
        """Waits for something that ``begin`` begins, and whose ``cancel`` tells it to stop, by ``serve``. The call is not
        interrupted meanwhile: what it waits for is told."""
        self.close()
        begun = begin()
        with self._lock:
            self._elsewhere = begun.cancel
            told = self._told
        if told:
            begun.cancel()
        try:
            return serve(begun)
        finally:
            with self._lock:
                self._elsewhere = None
            self.open()

    def shield(self) -> bool:
        """From now on it is not interrupted, until ``unshield`` was called as often. False in a thread that is not its
        own. Raises ``TaskCancelled`` if the call was told to stop before, and has not noticed."""
        if self._thread != threading.get_ident():
            return False
        with self._lock:
            self._shields += 1
            unnoticed = self._sent and not self._raised
            if unnoticed:
                self._take_back()
                self._shields -= 1
        if unnoticed:
            self._raise()
        return True

    def unshield(self) -> None:
        """Raises ``TaskCancelled`` if the call was told to stop meanwhile."""
        with self._lock:
            self._shields -= 1
            due = self._told and not self._shields and not self._raised
        if due:
            self._raise()

    def _raise(self) -> None:
        self._raised = True
        raise TaskCancelled

    def _take_back(self) -> None:
        """What was sent and has not been raised yet will not be."""
        if self._sent and not self._raised:
            _raise_in(threading.get_ident(), None)

    def _exception(self) -> type[TaskCancelled]:
        """A class whose instance, which Python makes when it raises it, says so."""

        def noticed(error: TaskCancelled, *arguments: object) -> None:
            BaseException.__init__(error, *arguments)
            self._raised = True

        members = {"__init__": noticed, "__module__": TaskCancelled.__module__}
        return type(TaskCancelled.__name__, (TaskCancelled,), members)


def _raise_in(thread: int, error: type[BaseException] | None) -> bool:
    """Has Python raise something in a thread at its next step, or takes that back."""
    import ctypes

    target = ctypes.py_object(error) if error is not None else None
    threads: int = ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), target)
    return threads == 1


class Shieldable(Protocol):
    """What can be kept from being told to stop."""

    def shield(self) -> bool: ...

    def unshield(self) -> None: ...


current: ContextVar[Shieldable | None] = ContextVar("avtomatika_worker_current", default=None)
"""What runs in this context."""


class shielded:
    """Keeps a handler from being told to stop within: ``with shielded(): ...``.

    A task that was told meanwhile is when the last of its sections ends: ``TaskCancelled`` in a ``def`` handler,
    ``asyncio.CancelledError`` at the next ``await`` of an ``async def`` one. Outside of handlers it does nothing.
    """

    __slots__ = ("_shielded",)

    def __init__(self) -> None:
        self._shielded: Shieldable | None = None

    def __enter__(self) -> None:
        running = current.get()
        if running is not None and running.shield():
            self._shielded = running

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        running, self._shielded = self._shielded, None
        if running is not None:
            running.unshield()
