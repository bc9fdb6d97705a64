"""The handling of SIGTERM, SIGINT and SIGHUP while a worker runs."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import asyncio
    import socket
    from collections.abc import Callable, Iterator

__all__ = ["Listener", "Signals", "may_be_ctrl_c"]

_NUMBERS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

# The time that the log gets before the third signal ends process 1, in seconds.
_LAST_LINES = 1.0


class Listener(NamedTuple):
    """What signals do."""

    first: Callable[[str], None]
    """Called with the name of the first signal."""
    second: Callable[[], None]
    """Called at the second signal."""
    last: Callable[[], None]
    """Called before the third signal ends the process; makes lines of the log that wait known to ``logging``."""


class Signals:
    """Calls the innermost listener at the first signal and at the second; from then on signals have their default
    action. A first signal without a listener waits for one. Restores the previous handlers at the end, and in a forked
    process. Outside the main thread, which alone may handle signals, it does nothing."""

    def __init__(self) -> None:
        self._process = os.getpid()
        self._before: dict[int, Any] = {}
        self._listeners: list[Listener] = []
        self._seen = 0
        # The first signal, as long as no listener knows of it.
        self._unheard: str | None = None

    def __enter__(self) -> Signals:
        if threading.current_thread() is not threading.main_thread():
            return self
        _active.append(self)
        for number in _NUMBERS:
            # `None` stands for a handler that was not installed by Python: it could not be restored, so it stays.
            before = signal.getsignal(number)
            # SIGHUP that is ignored (`nohup`) or that the program handles is not meant to end it.
            if before is not None and (number != signal.SIGHUP or before == signal.SIG_DFL or _is_ours(before)):
                self._before[number] = before
                signal.signal(number, self._on_signal)
        return self

    def __exit__(self, *_: object) -> None:
        if self not in _active:
            # Not the main thread, or a forked process.
            return
        _active.remove(self)
        for number, before in self._before.items():
            signal.signal(number, before)
        self._before.clear()

    @contextmanager
    def heard_by(self, loop: asyncio.AbstractEventLoop, listener: Listener) -> Iterator[None]:
        """Calls a listener, instead of those before it, while its loop runs."""
        self._listeners.append(listener)
        pair = _wake(loop) if self._before else None
        try:
            if self._unheard is not None:
                unheard, self._unheard = self._unheard, None
                listener.first(unheard)
            yield
        finally:
            self._listeners.remove(listener)
            # A forked process shares with its parent what the loop waits for.
            if pair is not None and os.getpid() == self._process:
                signal.set_wakeup_fd(-1)
                loop.remove_reader(pair[0])
                for end in pair:
                    end.close()

    def replaced(self) -> list[str]:
        """The names of the signals for which the program has a handler of its own, which is not called meanwhile."""
        return [signal.Signals(number).name for number, before in self._before.items() if _is_programs_own(before)]

    def _on_signal(self, number: int, _frame: object) -> None:
        self._seen += 1
        listener = self._listeners[-1] if self._listeners else None
        if self._seen == 1:
            # SIGHUP counts as SIGTERM.
            name = "SIGINT" if number == signal.SIGINT else "SIGTERM"
            if listener is None:
                self._unheard = name
            else:
                listener.first(name)
            return
        if self._process == 1:
            # For process 1, signals have no default action.
            if self._seen > 2:
                _end(number, listener)
        else:
            # Before anything else: whatever `second` does, the third signal ends the process.
            for each in self._before:
                signal.signal(each, signal.SIG_DFL)
        if self._seen == 2 and listener is not None:
            listener.second()

    def _leave_to_parent(self) -> None:
        """Restores the previous handlers in a forked process."""
        for number, before in self._before.items():
            # The program may have set another one meanwhile.
            if signal.getsignal(number) == self._on_signal:
                signal.signal(number, before)


_active: list[Signals] = []
"""Those that handle signals now, the innermost last."""


_masks = threading.local()


def _before_fork() -> None:
    # Python drops signals that it gets between the fork and the calls below: they wait instead.
    if _active:
        _masks.before = signal.pthread_sigmask(signal.SIG_BLOCK, _NUMBERS)


def _after_fork() -> None:
    before = _masks.__dict__.pop("before", None)
    if before is not None:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _after_fork_in_child() -> None:
    """Gives a forked process the handlers of before the worker, so that signals end it: the worker is its parent's."""
    if _active:
        # A signal to this process would wake the parent.
        signal.set_wakeup_fd(-1)
    while _active:
        _active.pop()._leave_to_parent()
    if signal.SIGINT in signal.sigpending() and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        # `KeyboardInterrupt` would be raised below, where Python only reports exceptions.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    _after_fork()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork_in_child)


def _wake(loop: asyncio.AbstractEventLoop) -> tuple[socket.socket, socket.socket] | None:
    """Wakes a loop at a signal: Python calls a signal handler only when the main thread executes code, even if the system
    delivers the signal to another thread. Returns the sockets for that, if the loop is not woken anyway."""
    import socket  # Later than the handlers: it takes longer than all before it.

    ours, wakeup = socket.socketpair()
    ours.setblocking(False)
    wakeup.setblocking(False)
    before = signal.set_wakeup_fd(wakeup.fileno(), warn_on_full_buffer=False)
    if before == -1:
        try:
            loop.add_reader(ours, ours.recv, 4096)
        except NotImplementedError:
            signal.set_wakeup_fd(-1)
        else:
            return ours, wakeup
    else:
        # The loop is woken already, by uvloop or by a loop with signal handlers of its own.
        signal.set_wakeup_fd(before)
    ours.close()
    wakeup.close()
    return None


def _end(number: int, listener: Listener | None) -> None:
    """Ends the process with the exit code of a process that a signal has ended."""

    def write() -> None:
        import logging

        with suppress(Exception):
            if listener is not None:
                listener.last()
            logging.shutdown()

    # On a thread: the log may be stuck.
    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    thread.join(_LAST_LINES)
    os._exit(128 + number)


def _is_programs_own(handler: Any) -> bool:
    inner = handler.func if isinstance(handler, partial) else handler
    # `asyncio.run` handles Ctrl-C itself.
    owner = type(getattr(inner, "__self__", None))
    return callable(handler) and inner is not signal.default_int_handler and owner.__module__ != "asyncio.runners"


def may_be_ctrl_c(error: BaseException) -> bool:
    """Returns whether an exception may come from Ctrl-C, which is meant for the whole program and not for a handler."""
    if not isinstance(error, KeyboardInterrupt) or threading.current_thread() is not threading.main_thread():
        return False
    handler = signal.getsignal(signal.SIGINT)
    return callable(handler) and not _is_ours(handler)


def _is_ours(handler: Any) -> bool:
    return isinstance(getattr(handler, "__self__", None), Signals)
