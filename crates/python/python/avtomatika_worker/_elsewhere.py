"""Blocking calls on files run on threads of their own. A forked process gets threads of its own."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Any, TypeVar

from ._threads import Threads

__all__ = ["elsewhere"]

_Result = TypeVar("_Result")

# More threads do not make a disk faster.
_MAX_THREADS = 8

_threads: tuple[int, Threads] | None = None


def _own_threads() -> Threads:
    global _threads
    process = os.getpid()
    if _threads is None or _threads[0] != process:
        _threads = (process, Threads(_MAX_THREADS))
    return _threads[1]


async def elsewhere(call: Callable[..., _Result], *arguments: Any) -> _Result:
    """Makes a call on a thread, since it may block."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[_Result] = loop.create_future()

    def settle(result: Any, error: BaseException | None) -> None:
        if future.done():
            return
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)

    def job() -> None:
        result, error = None, None
        try:
            result = call(*arguments)
        except BaseException as raised:
            error = raised
        try:
            loop.call_soon_threadsafe(settle, result, error)
        except RuntimeError:
            # The loop was closed: nothing waits for the result.
            return

    _own_threads().submit(job)
    return await future
