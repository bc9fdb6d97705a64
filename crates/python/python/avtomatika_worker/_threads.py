"""Threads for handlers that block, and the interruption of such handlers."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextvars import ContextVar
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Protocol

from ._logging import LOG

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["Gate", "TaskCancelled", "Threads", "shielded"]

# A thread without work ends after this time, in seconds.
_IDLE_LIMIT = 10.0


class TaskCancelled(BaseException):
    """Raised in the thread of a ``def`` handler whose task is cancelled. Code written in C is not interrupted.

    Like ``asyncio.CancelledError``, which an ``async def`` handler gets, it is not an ``Exception``, so that it is not
    caught by accident. A result or an exception of the handler after it is ignored.
    """


class Threads:
    """Named threads, started on demand up to a limit. They are never joined, so a handler that does not end delays
    nothing."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._process = os.getpid()
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        # Of the members below.
        self._lock = threading.Lock()
        # The number of threads that wait, or will without a further job, less the number of jobs that wait.
        self._free = 0
        self._alive = 0
        self._made = 0
        self._closed = False

    def submit(self, job: Callable[[], None]) -> None:
        """Runs a job on a thread; the job must not raise. Raises ``RuntimeError`` when no thread can be started for
        it."""
        with self._lock:
            # After `close` a thread may end before it takes a further job.
            if not self._closed and (self._free > 0 or self._alive >= self._limit):
                self._free -= 1
                self._jobs.put(job)
                return
            self._alive += 1
            self._made += 1
            name = f"avtomatika-handler-{self._made}"
        try:
            threading.Thread(target=self._work, args=(job,), name=name, daemon=True).start()
        except BaseException:
            with self._lock:
                self._alive -= 1
                # An existing thread takes the job when it is free; without any thread, the job would never run.
                if self._alive == 0:
                    raise
                self._free -= 1
                self._jobs.put(job)

    def close(self) -> None:
        """Ends idle threads now, and busy ones after their jobs."""
        with self._lock:
            self._closed = True
            # Each thread that ends passes it on.
            self._jobs.put(None)

    def _work(self, first: Callable[[], None]) -> None:
        job: Callable[[], None] | None = first
        while job is not None:
            try:
                job()
            except BaseException:
                if os.getpid() != self._process:
                    # A handler has forked, and the child process returned to here: it ends with this thread.
                    return
                LOG.exception("a job on a handler thread raised; the thread continues")
            # What it holds is not kept while the thread waits.
            job = None
            job = self._next()

    def _next(self) -> Callable[[], None] | None:
        with self._lock:
            self._free += 1
        while True:
            try:
                job = self._jobs.get(timeout=_IDLE_LIMIT)
            except Empty:
                job = None
            if job is not None:
                return job
            with self._lock:
                # Otherwise a job has just been given, or one waits.
                if self._free > 0 or self._closed:
                    self._free -= 1
                    self._alive -= 1
                    if self._closed:
                        self._jobs.put(None)
                    return None


class Gate:
    """Raises ``TaskCancelled`` in one call on one thread: only while that call runs, and only once.

    ``interrupt`` is called from other threads; all other methods are called on the thread of the call.
    """

    __slots__ = ("_cancelled", "_elsewhere", "_lock", "_raised", "_sent", "_shields", "_thread")

    def __init__(self) -> None:
        # An asynchronous exception may arrive after a lock was acquired and before `with` has noted it. So the thread
        # itself must be able to acquire the lock again, and other threads never acquire it once the exception was sent.
        self._lock = threading.RLock()
        # The thread in which the call runs, while it may be interrupted.
        self._thread: int | None = None
        self._cancelled = False
        # The exception was sent to the thread by another one.
        self._sent = False
        # The exception was raised on the thread, or by the gate itself.
        self._raised = False
        self._shields = 0
        # Called by `interrupt` while the call waits for something else that can be cancelled.
        self._elsewhere: Callable[[], object] | None = None

    @property
    def is_interrupted(self) -> bool:
        """Whether the call was cancelled."""
        return self._cancelled

    def interrupt(self) -> None:
        """Cancels the call as soon as it may be interrupted."""
        if self._cancelled:
            return
        with self._lock:
            self._cancelled = True
            if self._thread is not None and not self._shields:
                self._sent = _raise_in(self._thread, self._exception())
            elsewhere = self._elsewhere
        if elsewhere is not None:
            elsewhere()

    def open(self) -> None:
        """Makes the call interruptible from now on. Raises ``TaskCancelled`` if the call was cancelled before."""
        with self._lock:
            if not self._cancelled:
                self._thread = threading.get_ident()
                return
        self._raise()

    def close(self) -> None:
        """Makes the call uninterruptible: once this has returned, nothing is raised any more. May itself be interrupted,
        once: the caller then calls it again."""
        self._thread = None
        with self._lock:
            if self._sent:
                self._take_back()

    def wait(self, begin: Callable[[], Any], serve: Callable[[Any], Any]) -> Any:
        """Starts something with ``begin``, and waits for it with ``serve``. The call is not interrupted meanwhile: a
        cancellation calls ``cancel`` of the object that ``begin`` returned."""
        self.close()
        begun = begin()
        with self._lock:
            self._elsewhere = begun.cancel
            cancelled = self._cancelled
        if cancelled:
            begun.cancel()
        try:
            return serve(begun)
        finally:
            with self._lock:
                self._elsewhere = None
            self.open()

    def shield(self) -> bool:
        """Prevents interruptions until ``unshield`` has been called as many times. Returns False, and does nothing, on
        another thread than the call's. Raises ``TaskCancelled`` if the call was cancelled before, but has not noticed
        yet."""
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
        """Ends a shielded section. Raises ``TaskCancelled`` if the call was cancelled meanwhile."""
        with self._lock:
            self._shields -= 1
            due = self._cancelled and not self._shields and not self._raised
        if due:
            self._raise()

    def _raise(self) -> None:
        self._raised = True
        raise TaskCancelled

    def _take_back(self) -> None:
        """Withdraws an exception that was sent but not raised yet."""
        if self._sent and not self._raised:
            _raise_in(threading.get_ident(), None)

    def _exception(self) -> type[TaskCancelled]:
        """A class whose instances record that they were raised: Python makes the instance when it raises it."""

        def noticed(error: TaskCancelled, *arguments: object) -> None:
            BaseException.__init__(error, *arguments)
            self._raised = True

        members = {"__init__": noticed, "__module__": TaskCancelled.__module__}
        return type(TaskCancelled.__name__, (TaskCancelled,), members)


def _raise_in(thread: int, error: type[BaseException] | None) -> bool:
    """Lets Python raise an exception on a thread at its next step, or withdraws it. Returns whether the thread
    exists."""
    import ctypes

    target = ctypes.py_object(error) if error is not None else None
    threads: int = ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), target)
    return threads == 1


class Shieldable(Protocol):
    """A running piece of a task whose cancellation can be held back."""

    def shield(self) -> bool: ...

    def unshield(self) -> None: ...


current: ContextVar[Shieldable | None] = ContextVar("avtomatika_worker_current", default=None)
"""The running piece of a task in the current context."""


class shielded:
    """Holds back the cancellation of a task within a ``with shielded():`` block.

    A cancellation that arrives meanwhile takes effect at the end of the outermost block: a ``def`` handler gets
    ``TaskCancelled`` there, an ``async def`` handler gets ``asyncio.CancelledError`` at its next ``await``. Outside of
    handlers it does nothing.
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
