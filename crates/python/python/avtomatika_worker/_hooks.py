"""The calls of a program's hooks, and the start of a worker, which a signal ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from ._logging import LOG
from ._signals import Listener
from ._threads import Threads

if TYPE_CHECKING:
    from ._bridge import Run

__all__ = ["Startup", "call", "shut_down"]


class Startup:
    """The start of a worker: its skills are loaded, and then its start-up hooks are called. A signal ends both, since no
    task has been taken yet."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        self._run: Run | None = None
        self._cause: str | None = None
        self._is_calling = False

    def listener(self) -> Listener:
        """What signals do, from the start of the worker to its end."""
        return Listener(self._drain, self._cancel, self._log_lines)

    def set_run(self, run: Run) -> None:
        """Sets the run, which is made when the skills are loaded."""
        self._run = run

    def stop(self, cause: str) -> None:
        """Keeps the hooks that have not been called from being called."""
        self._cause = cause

    async def call(self, hooks: Sequence[Callable[[], Any]]) -> str | None:
        """Calls all hooks in the current context, so that handlers see the context variables they set. Returns why the
        worker is to stop, if a signal was received meanwhile."""
        try:
            self._is_calling = True
            for hook in hooks:
                if self._cause is None:
                    await call(hook)
        except asyncio.CancelledError:
            # The program may have cancelled the task as well.
            if self._cause is None or self._task is None or self._task.uncancel() > 0:
                raise
        finally:
            self._is_calling = False
        if self._cause is not None:
            LOG.info("the worker was stopped before it had started", fields={"cause": self._cause})
        return self._cause

    def _drain(self, cause: str) -> None:
        """Ends the start, or drains the worker. The first signal calls this."""
        self._cause = cause
        if self._run is not None:
            self._run.drain(cause)
        elif self._is_calling and asyncio.current_task(self._loop) is self._task:
            # A file of skills blocks the loop: the signal has interrupted it.
            raise asyncio.CancelledError
        self._loop.call_soon_threadsafe(self._interrupt)

    def _interrupt(self) -> None:
        if self._is_calling and self._task is not None:
            self._task.cancel()

    def _cancel(self) -> None:
        """Cancels all tasks. The second signal calls this."""
        if self._run is not None:
            self._run.native.cancel()

    def _log_lines(self) -> None:
        if self._run is not None:
            self._run.log_lines()


async def shut_down(hooks: Sequence[Callable[[], Any]], limit: float) -> None:
    """Calls all shutdown hooks, last first. One that raises does not keep the others from being called."""

    async def call_all() -> None:
        for hook in reversed(hooks):
            try:
                await call(hook)
            except Exception:
                LOG.exception("a shutdown hook raised")

    if not hooks:
        return
    try:
        await asyncio.wait_for(call_all(), limit)
    except TimeoutError:
        LOG.error("the shutdown hooks did not end within %.1f s and were abandoned", limit)


async def call(func: Callable[[], Any]) -> Any:
    """Calls a function of the user: on the loop if it is ``async``, else on a thread."""
    import inspect

    inner = func.func if isinstance(func, partial) else func
    if inspect.iscoroutinefunction(inner) or inspect.iscoroutinefunction(getattr(inner, "__call__", None)):  # noqa: B004
        return await func()
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Any] = loop.create_future()
    threads = Threads(1)

    def job() -> None:
        try:
            value, error = func(), None
        except BaseException as raised:
            value, error = None, raised
        if not loop.is_closed():
            loop.call_soon_threadsafe(_settle, future, value, error)

    threads.submit(job)
    threads.close()
    result = await future
    return await result if inspect.isawaitable(result) else result


def _settle(future: asyncio.Future[Any], value: Any, error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(value)
    else:
        future.set_exception(RuntimeError(repr(error)) if isinstance(error, StopIteration) else error)
