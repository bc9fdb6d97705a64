"""The core's log lines, as records of ``logging``, and the package's own."""

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
    """The package's own lines. What a filter or a handler of the user's raises does not reach what it is said by: no
    task is lost because a line is."""

    def info(self, message: str, *arguments: object, **more: Any) -> None:
        _say(logging.INFO, message, arguments, more)

    def warning(self, message: str, *arguments: object, **more: Any) -> None:
        _say(logging.WARNING, message, arguments, more)

    def error(self, message: str, *arguments: object, **more: Any) -> None:
        _say(logging.ERROR, message, arguments, more)

    def exception(self, message: str, *arguments: object, **more: Any) -> None:
        """With the traceback of what is being handled."""
        _say(logging.ERROR, message, arguments, {"exc_info": True, **more})


LOG = Log()


def _say(level: int, message: str, arguments: tuple[object, ...], more: dict[str, Any]) -> None:
    _guarded(lambda: LOGGER.log(level, message, *arguments, stacklevel=5, **more))


def _guarded(log: Callable[[], None]) -> None:
    try:
        log()
    except Exception:
        # As `logging` itself does of handlers that say what went wrong in them.
        if logging.raiseExceptions and sys.stderr is not None:
            with suppress(Exception):
                print("--- a line of the log was lost, since a filter or a handler raised:", file=sys.stderr)
                traceback.print_exc()


def level() -> int:
    """What the logger wants to hear, at most."""
    return min(LOGGER.getEffectiveLevel(), 255)


def handle(lines: Iterable[Line], dropped: int) -> None:
    """Gives lines to the logger."""
    for line in lines:
        if LOGGER.isEnabledFor(line[0]):
            record = _record(line)
            _guarded(lambda record=record: LOGGER.handle(record))  # type: ignore[misc]
    if dropped:
        LOG.warning("%d log lines were dropped, since they came faster than they were taken", dropped)


def _record(line: Line) -> logging.LogRecord:
    levelno, created, target, thread, text, fields = line
    said = "".join(f" {name}={value}" for name, value in fields)
    record = logging.LogRecord(LOGGER.name, levelno, "", 0, text + said, (), None)
    if levelno == 5:
        record.levelname = "TRACE"
    record.created = created
    record.msecs = created % 1 * 1000
    record.threadName = thread
    record.pathname = record.filename = record.module = target
    for name, value in fields:
        # As a member of its own, for formatters that list them; what `logging` needs stays what it is.
        record.__dict__.setdefault(name, value)
    return record


def set_up(level_name: str, form: str) -> logging.Handler | None:
    """Has the log written to standard error, where the program has not said where to; None where it has."""
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
        said = {
            "timestamp": self.formatTime(record),
            "level": record.levelname,
            "message": record.getMessage(),
            "target": record.name,
            **members,
        }
        if record.exc_info:
            said["traceback"] = self.formatException(record.exc_info)
        return json.dumps(said, default=str)
