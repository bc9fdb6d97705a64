"""The core's log lines, as records of ``logging``."""

from __future__ import annotations

import logging
from collections.abc import Iterable

__all__ = ["LOGGER", "handle", "level", "set_up"]

LOGGER = logging.getLogger("avtomatika_worker")

Line = tuple[int, float, str, str, str, list[tuple[str, str]]]
"""Level, seconds since 1970, target, thread, text, fields."""


def level() -> int:
    """What the logger wants to hear, at most."""
    return min(LOGGER.getEffectiveLevel(), 255)


def handle(lines: Iterable[Line], dropped: int) -> None:
    """Gives lines to the logger. What a handler of the user's raises is its own affair, as in all of ``logging``."""
    for line in lines:
        if LOGGER.isEnabledFor(line[0]):
            LOGGER.handle(_record(line))
    if dropped:
        LOGGER.warning("%d log lines were dropped, since they came faster than they were taken", dropped)


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
