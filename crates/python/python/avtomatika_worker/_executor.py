"""The executor of ``asyncio.to_thread`` on a loop that the worker has created."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

from ._logging import LOG
from ._threads import Threads

__all__ = ["Executor"]


class Executor(ThreadPoolExecutor):
    """Replaces the loop's default executor, with the same number of threads. The standard library waits for threads
    without a limit, when the loop is closed and again when the interpreter ends; this executor waits for ``patience``,
    and then abandons them."""

    patience: float = 5.0
    """The time to wait, in seconds from the closing of the loop."""

    def __init__(self) -> None:
        limit = min(32, (os.cpu_count() or 1) + 4)
        # The base class starts threads in its `submit`, which is never called.
        super().__init__(limit)
        self._own = Threads(limit)
        self._under_way: set[Future[Any]] = set()
        self._is_shut = False

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Calls a function on a thread."""
        if self._is_shut:
            raise RuntimeError("cannot schedule new futures after shutdown")
        future: Future[Any] = Future()
        self._under_way.add(future)
        future.add_done_callback(self._under_way.discard)

        def work() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = fn(*args, **kwargs)
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(result)

        try:
            self._own.submit(work)
        except RuntimeError:
            self._under_way.discard(future)
            raise
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Accepts no further calls, and waits for those that run."""
        self._is_shut = True
        self._own.close()
        if wait:
            self._wait()

    def _wait(self) -> None:
        left = wait(set(self._under_way), self.patience).not_done
        if left:
            LOG.warning(
                "%d calls by `asyncio.to_thread` or `run_in_executor` have not ended and are abandoned", len(left)
            )
