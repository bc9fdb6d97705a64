"""What ends a task before its handler has: its time limit, its deadline, a cancellation. For tests without the core."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from ._execution import Ended

__all__ = ["GRACE", "Limit", "first"]

GRACE = 5.0
"""The seconds that a handler gets to end after it was told to stop; then it is reported without it."""


class Limit(NamedTuple):
    """A time after which a task is told to stop, in seconds from its start, and its outcome."""

    seconds: float
    outcome: Ended


def first(timeout: float | None, deadline: float | None, cancelled_after: float | None) -> Limit | None:
    """Returns the limit that is reached first, if any. The texts are those of the core."""
    limits = []
    if cancelled_after is not None:
        limits.append(Limit(cancelled_after, ("cancelled", None, None, None)))
    if deadline is not None:
        limits.append(Limit(deadline - time.time(), _timed_out("the task's deadline has passed")))
    if timeout is not None:
        message = f"the task took longer than its limit of {_duration(timeout)}"
        limits.append(Limit(timeout, _timed_out(message)))
    return min(limits, key=lambda limit: limit.seconds, default=None)


def _timed_out(message: str) -> Ended:
    return ("failure", None, ("TIMEOUT_ERROR", message, None), None)


def _duration(seconds: float) -> str:
    """A duration as the core writes it: in the largest unit of which it has at least one, to the nanosecond."""
    nanoseconds = round(seconds * 1e9)
    for unit, digits in (("s", 9), ("ms", 6), ("µs", 3)):
        whole, rest = divmod(nanoseconds, 10**digits)
        if whole:
            decimals = f"{rest:0{digits}}".rstrip("0")
            return f"{whole}.{decimals}{unit}" if decimals else f"{whole}{unit}"
    return f"{nanoseconds}ns"
