"""The event by which programs stopped the existing SDK."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

__all__ = ["ShutdownEvent"]

# The time between two looks at the worker, in seconds.
_INTERVAL = 0.1


class ShutdownEvent:
    """Stands for the ``asyncio.Event`` of the existing SDK."""

    def __init__(self, is_set: Callable[[], bool], drain: Callable[[], None]) -> None:
        self._is_set = is_set
        self._drain = drain

    def set(self) -> None:
        """Begins the shutdown."""
        self._drain()

    def is_set(self) -> bool:
        """Returns whether the shutdown has begun."""
        return self._is_set()

    async def wait(self) -> bool:
        """Waits until the shutdown begins."""
        while not self._is_set():
            await asyncio.sleep(_INTERVAL)
        return True
