"""The event by which programs stopped the existing SDK."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ._logging import LOG

__all__ = ["ShutdownEvent"]

# The time between two looks at the worker, in seconds.
_INTERVAL = 0.1


class ShutdownEvent:
    """Stands for the ``asyncio.Event`` of the existing SDK."""

    def __init__(self, is_set: Callable[[], bool], stop: Callable[[], None], forget: Callable[[], None]) -> None:
        self._is_set = is_set
        self._stop = stop
        self._forget = forget

    def set(self) -> None:
        """Begins the shutdown. If the worker does not run, its next run ends at once."""
        self._stop()

    def clear(self) -> None:
        """Takes back what was set before the run. A shutdown that has begun goes on."""
        self._forget()
        if self._is_set():
            LOG.warning("`worker._shutdown_event.clear()` has no effect: the shutdown has begun, and goes on")

    def is_set(self) -> bool:
        """Returns whether the shutdown has begun."""
        return self._is_set()

    async def wait(self) -> bool:
        """Waits until the shutdown begins."""
        while not self._is_set():
            await asyncio.sleep(_INTERVAL)
        return True
