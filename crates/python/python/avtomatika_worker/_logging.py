"""The log lines of the core, as records of ``logging``, and those of the package."""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

__all__ = ["LOG", "LOGGER", "handle", "level", "set_up"]

LOGGER = logging.getLogger("avtomatika_worker")

Line = tuple[int, float, str, str, str, list[tuple[str, str]]]
"""Level, seconds since 1970, target, thread, text, fields."""


class Log:
    """The logger for the package's own lines. Exceptions of the user's filters and log handlers do not reach the caller,
    so that a lost line never costs a task."""

    def __init__(self) -> None:
        self._said: set[str] = set()

    def once(self, message: str) -> None:
        """Logs a warning, unless this process has logged it before."""
        if message not in self._said:
            self._said.add(message)
            _log(logging.WARNING, "%s", (message,), {})

    def info(self, message: str, *arguments: object, **more: Any) -> None:
        _log(logging.INFO, message, arguments, more)

    def warning(self, message: str, *arguments: object, **more: Any) -> None:
        _log(logging.WARNING, message, arguments, more)

    def error(self, message: str, *arguments: object, **more: Any) -> None:
        _log(logging.ERROR, message, arguments, more)

    def exception(self, message: str, *arguments: object, **more: Any) -> None:
        """Logs an error with the traceback of the current exception."""
        _log(logging.ERROR, message, arguments, {"exc_info": True, **more})


LOG = Log()


def _log(level: int, message: str, arguments: tuple[object, ...], more: dict[str, Any]) -> None:
    _guarded(lambda: LOGGER.log(level, message, *arguments, stacklevel=5, **more))


def _guarded(log: Callable[[], None]) -> None:
    try:
        log()
    except Exception:
        # `logging` itself reports errors in its handlers this way.
        if logging.raiseExceptions and sys.stderr is not None:
            with suppress(Exception):
                print("--- a log line was lost, because a filter or a log handler raised:", file=sys.stderr)
                traceback.print_exc()


def level() -> int:
    """Returns the lowest level that the logger records, at most 255."""
    return min(LOGGER.getEffectiveLevel(), 255)


def handle(lines: Iterable[Line], dropped: int) -> None:
    """Passes the core's lines to the logger."""
    for line in lines:
        if LOGGER.isEnabledFor(line[0]):
            record = _record(line)
            _guarded(lambda record=record: LOGGER.handle(record))  # type: ignore[misc]
    if dropped:
        LOG.warning("%d log lines were dropped, because they were logged faster than Python took them", dropped)


def _record(line: Line) -> logging.LogRecord:
    levelno, created, target, thread, text, fields = line
    suffix = "".join(f" {name}={value}" for name, value in fields)
    record = logging.LogRecord(LOGGER.name, levelno, "", 0, text + suffix, (), None)
    if levelno == 5:
        record.levelname = "TRACE"
    record.created = created
    record.msecs = created % 1 * 1000
    record.threadName = thread
    record.pathname = record.filename = record.module = target
    for name, value in fields:
        # An attribute of its own, for formatters that list them; never one of those that `logging` itself uses.
        record.__dict__.setdefault(name, value)
    return record


def set_up(level_name: str, form: str) -> logging.Handler | None:
    """Writes the log to standard error, and returns the log handler for that; does nothing and returns None if the
    program has set up a log handler itself."""
    if LOGGER.hasHandlers():
        return None
    handler = logging.StreamHandler()
    handler.setFormatter(_Json() if form == "json" else logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    LOGGER.addHandler(handler)
    named = {"trace": 5, "debug": 10, "info": 20, "warn": 30, "warning": 30, "error": 40}
    LOGGER.setLevel(named.get(level_name.lower(), logging.INFO))
    return handler


class _Json(logging.Formatter):
    """One JSON object for each line."""

    def format(self, record: logging.LogRecord) -> str:
        import json

        usual = logging.makeLogRecord({}).__dict__
        members = {name: value for name, value in record.__dict__.items() if name not in usual and name != "message"}
        line = {
            "timestamp": self.formatTime(record),
            "level": record.levelname,
            "message": record.getMessage(),
            "target": record.name,
            **members,
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)
