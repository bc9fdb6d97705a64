"""What ``asyncio.to_thread`` runs on, on a loop that is the worker's own."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

from ._logging import LOG
from ._threads import Threads

__all__ = ["Executor"]


class Executor(ThreadPoolExecutor):
    """As the loop's default one, of as many threads, but for its end: the standard library waits for them for ever,
    when the loop is closed and once more when the interpreter ends. These are waited for so long, and then left."""

    patience: float = 5.0
    """In seconds, from when the loop is closed."""

    def __init__(self) -> None:
        limit = min(32, (os.cpu_count() or 1) + 4)
        # It makes its threads when something is submitted, which does not come to it.
        super().__init__(limit)
        self._own = Threads(limit)
        self._under_way: set[Future[Any]] = set()
        self._is_shut = False

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Has a thread call it."""
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
        """Takes nothing more, and waits for what runs."""
        self._is_shut = True
        self._own.close()
        if wait:
            self._wait()

    def _wait(self) -> None:
        left = wait(set(self._under_way), self.patience).not_done
        if left:
            LOG.warning(
                "%d calls by `asyncio.to_thread` or `run_in_executor` have not ended, and are given up", len(left)
            )
