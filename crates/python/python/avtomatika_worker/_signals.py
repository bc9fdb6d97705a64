"""The handling of SIGTERM and SIGINT while a worker runs."""

from __future__ import annotations

import signal
import socket
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

__all__ = ["Signals", "may_be_ctrl_c"]

_NUMBERS = (signal.SIGTERM, signal.SIGINT)


class Signals:
    """Calls ``first`` at the first signal and ``second`` at the second; from then on signals have their default action.
    Restores the previous handlers at the end. Outside the main thread, which alone may handle signals, it does
    nothing."""

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
            # `None` stands for a handler that was not installed by Python: it could not be restored, so it stays.
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
        # Before anything else: whatever `second` does, the third signal ends the process.
        for each in self._before:
            signal.signal(each, signal.SIG_DFL)
        self._second()

    def _wake_the_loop(self) -> None:
        """Wakes the loop at a signal: Python calls a signal handler only when the main thread executes code, even if the
        system delivers the signal to another thread."""
        ours, wakeup = socket.socketpair()
        ours.setblocking(False)
        wakeup.setblocking(False)
        before = signal.set_wakeup_fd(wakeup.fileno(), warn_on_full_buffer=False)
        if before == -1:
            try:
                self._loop.add_reader(ours, ours.recv, 4096)
            except NotImplementedError:
                signal.set_wakeup_fd(-1)
            else:
                self._pair = (ours, wakeup)
                return
        else:
            # The loop is woken already, by uvloop or by a loop with signal handlers of its own.
            signal.set_wakeup_fd(before)
        ours.close()
        wakeup.close()


def may_be_ctrl_c(error: BaseException) -> bool:
    """Returns whether an exception may come from Ctrl-C, which is meant for the whole program and not for a handler."""
    if not isinstance(error, KeyboardInterrupt) or threading.current_thread() is not threading.main_thread():
        return False
    handler = signal.getsignal(signal.SIGINT)
    return callable(handler) and not isinstance(getattr(handler, "__self__", None), Signals)
