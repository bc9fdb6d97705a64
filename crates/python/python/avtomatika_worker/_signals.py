"""SIGTERM and SIGINT, for as long as a worker runs."""

from __future__ import annotations

import signal
import socket
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

__all__ = ["Signals", "may_be_typed"]

_NUMBERS = (signal.SIGTERM, signal.SIGINT)


class Signals:
    """The first signal is told, then the second; from then on they have their default action. Restores what was there
    before. Signals belong to the main thread: in any other this does nothing."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, first: Callable[[str], None], second: Callable[[], None]
    ) -> None:
        self._loop = loop
        self._first = first
        self._second = second
        self._before: dict[int, Any] = {}
        self._pair: tuple[socket.socket, socket.socket] | None = None
        self._seen = 0

    def __enter__(self) -> Signals:
        if threading.current_thread() is not threading.main_thread():
            return self
        for number in _NUMBERS:
            # None where something else than Python has installed one: that cannot be restored, and stays.
            before = signal.getsignal(number)
            if before is not None:
                self._before[number] = before
                signal.signal(number, self._on_signal)
        self._wake_the_loop()
        return self

    def __exit__(self, *_: object) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)
        self._before.clear()
        if self._pair is not None:
            signal.set_wakeup_fd(-1)
            self._loop.remove_reader(self._pair[0])
            for end in self._pair:
                end.close()
            self._pair = None

    def _on_signal(self, number: int, _frame: object) -> None:
        self._seen += 1
        if self._seen == 1:
            self._first(signal.Signals(number).name)
            return
        # Before anything else: whatever comes of the second, the third ends the process.
        for each in self._before:
            signal.signal(each, signal.SIG_DFL)
        self._second()

    def _wake_the_loop(self) -> None:
        """A signal that another thread was given is noticed only when this one does something."""
        ours, told = socket.socketpair()
        ours.setblocking(False)
        told.setblocking(False)
        before = signal.set_wakeup_fd(told.fileno(), warn_on_full_buffer=False)
        if before == -1:
            try:
                self._loop.add_reader(ours, ours.recv, 4096)
            except NotImplementedError:
                signal.set_wakeup_fd(-1)
            else:
                self._pair = (ours, told)
                return
        else:
            # Somebody else sees to it: uvloop, or a loop with handlers of its own.
            signal.set_wakeup_fd(before)
        ours.close()
        told.close()


def may_be_typed(error: BaseException) -> bool:
    """Whether it may be Ctrl-C that raised this in here: then it is meant for more than a handler."""
    if not isinstance(error, KeyboardInterrupt) or threading.current_thread() is not threading.main_thread():
        return False
    handler = signal.getsignal(signal.SIGINT)
    return callable(handler) and not isinstance(getattr(handler, "__self__", None), Signals)
