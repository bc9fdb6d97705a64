"""Restarts a worker when a Python file below the working directory changes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from time import sleep
from types import FrameType

__all__ = ["run_reloaded"]

# The time between two looks at the files, in seconds.
_INTERVAL = 0.5

# Folders whose files are not the program's own.
_OTHERS = {"__pycache__", "node_modules", "site-packages"}


def run_reloaded(arguments: list[str]) -> int:
    """Runs the command ``worker`` with these arguments in a process of its own, and starts it anew when a file changes.
    Returns its exit code after SIGTERM, SIGINT or SIGHUP."""
    received: list[int] = []

    def take(number: int, _: FrameType | None) -> None:
        received.append(number)
        if len(received) > 1:
            # The second signal cancels the worker's tasks.
            process.send_signal(signal.SIGTERM)

    print(f"watching the Python files in {os.getcwd()}", file=sys.stderr)
    process = _started(arguments)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, take)
    seen = _times()
    while not received:
        # A worker that has ended, perhaps because of an error in a file, is started anew by the next change.
        sleep(_INTERVAL)
        now = _times()
        if now == seen:
            continue
        changed = min(path for path in {*now, *seen} if now.get(path) != seen.get(path))
        print(f"{changed} has changed: the worker is started anew", file=sys.stderr)
        seen = now
        process.terminate()
        process.wait()
        if not received:
            process = _started(arguments)
    process.terminate()
    code = process.wait()
    return code if code >= 0 else 128 - code


def _started(arguments: list[str]) -> subprocess.Popen[bytes]:
    # In a session of its own, so that Ctrl-C reaches it once only, through this process.
    return subprocess.Popen([sys.executable, "-m", "avtomatika_worker", *arguments], start_new_session=True)


def _times() -> dict[str, int]:
    """The times of change of all files."""
    return dict(_files("."))


def _files(folder: str) -> Iterator[tuple[str, int]]:
    for root, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".") and name not in _OTHERS]
        for name in names:
            if name.endswith(".py"):
                path = os.path.join(root, name)
                try:
                    yield path, os.stat(path).st_mtime_ns
                except OSError:
                    continue
