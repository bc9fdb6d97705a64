"""The log lines of the core, as records of ``logging``, and those of the package."""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC
from typing import Any, NamedTuple

__all__ = ["LOG", "LOGGER", "handle", "ids", "level", "set_up"]

LOGGER = logging.getLogger("avtomatika_worker")

_ROOT = logging.getLogger()

Fields = list[tuple[str, "str | int | float | bool"]]

Line = tuple[int, float, str, str, str, Fields, list[tuple[str, Fields]]]
"""Level, seconds since 1970, target, thread, text, fields, spans from the innermost on."""

_PARTS = "_avtomatika"
"""The attribute of a record that has its parts."""


class Parts(NamedTuple):
    """The parts of a line, for formatters that do not write them as one text."""

    text: str
    target: str
    fields: dict[str, Any]
    spans: list[dict[str, Any]]

    @property
    def suffix(self) -> str:
        """The fields as text, those of the spans at the end."""
        members = [*self.fields.items(), *(item for span in self.spans for item in span.items() if item[0] != "name")]
        return "".join(
            f" {name}={str(value).lower() if value is True or value is False else value}" for name, value in members
        )

    def attributes(self) -> dict[str, Any]:
        """The attributes of a record with these parts: each field is one, for formatters that list them."""
        members = {name: value for span in reversed(self.spans) for name, value in span.items() if name != "name"}
        return {**members, **self.fields, _PARTS: self}


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
        """Logs an error. ``fields`` are added to the message, and ``task``, the ids of a task, after them."""
        _log(logging.ERROR, message, arguments, more)

    def exception(self, message: str, *arguments: object, **more: Any) -> None:
        """Logs an error with the traceback of the current exception."""
        _log(logging.ERROR, message, arguments, {"exc_info": True, **more})


LOG = Log()


def ids(task: Any) -> dict[str, str]:
    """The ids of a task, as they may appear in a log."""
    from ._native import one_line

    return {"task_id": one_line(task.task_id), "job_id": one_line(task.job_id)}


def _log(
    level: int,
    message: str,
    arguments: tuple[object, ...],
    more: dict[str, Any],
) -> None:
    fields, task = more.pop("fields", None), more.pop("task", None)
    if fields or task:
        text = message % arguments if arguments else message
        parts = Parts(text, LOGGER.name, fields or {}, [{"name": "task", **task}] if task else [])
        message, arguments, more["extra"] = "%s", (text + parts.suffix,), parts.attributes()
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
    # What `getEffectiveLevel` returns; this is asked often.
    return min(LOGGER.level or _ROOT.level, 255)


def handle(lines: Iterable[Line], dropped: int) -> None:
    """Passes the core's lines to the logger."""
    for line in lines:
        if LOGGER.isEnabledFor(line[0]):
            record = _record(line)
            _guarded(lambda record=record: LOGGER.handle(record))  # type: ignore[misc]
    if dropped:
        LOG.warning("%d log lines were dropped, because they were logged faster than Python took them", dropped)


def _record(line: Line) -> logging.LogRecord:
    levelno, created, target, thread, text, fields, spans = line
    parts = Parts(text, target, dict(fields), [{"name": name, **dict(members)} for name, members in spans])
    record = logging.LogRecord(LOGGER.name, levelno, "", 0, text + parts.suffix, (), None)
    if levelno == 5:
        record.levelname = "TRACE"
    record.created = created
    record.msecs = created % 1 * 1000
    record.threadName = thread
    record.pathname = record.filename = record.module = target
    for name, value in parts.attributes().items():
        # Never one of those that `logging` itself uses.
        record.__dict__.setdefault(name, value)
    return record


def set_up(level_name: str, form: str, *, is_level_set: bool) -> Callable[[], None] | None:
    """Writes the log to standard error, and returns the function that ends this; does nothing and returns None if the
    program has set up a log handler itself.

    Only lines that no handler takes are written, so that a program may still set up its log. If the level is set, it is
    that of all loggers, else only that of the worker's.
    """
    if LOGGER.hasHandlers():
        return None
    handler = logging.StreamHandler()
    handler.setFormatter(_Json() if form == "json" else logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    named = {"trace": 5, "debug": 10, "info": 20, "warn": 30, "warning": 30, "error": 40}
    level = named.get(level_name.lower(), logging.INFO)
    before = logging.lastResort
    loggers = [logger for logger in (LOGGER, logging.getLogger()) if logger is LOGGER or is_level_set]
    levels = [logger.level for logger in loggers]
    logging.lastResort = handler
    for logger in loggers:
        logger.setLevel(level)

    def end() -> None:
        if logging.lastResort is handler:
            logging.lastResort = before
        for logger, old in zip(loggers, levels, strict=True):
            # The program may have set another one meanwhile.
            if logger.level == level:
                logger.setLevel(old)

    return end


_LEVELS = {"WARNING": "WARN"}

# The attributes of every record: those that the program adds are members of the line.
_USUAL = frozenset({*logging.LogRecord("", 0, "", 0, "", (), None).__dict__, "message", "asctime"})


class _Json(logging.Formatter):
    """One JSON object for each line, with the members that the log of the core has in Rust."""

    def format(self, record: logging.LogRecord) -> str:
        import json
        from datetime import datetime

        parts = record.__dict__.get(_PARTS) or Parts(record.getMessage(), record.name, {}, [])
        line = {
            "timestamp": datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "level": _LEVELS.get(record.levelname, record.levelname),
            "message": parts.text,
        }
        usual = parts.attributes()
        more = {name: value for name, value in record.__dict__.items() if name not in _USUAL and name not in usual}
        for name, value in {**parts.fields, **more}.items():
            line.setdefault(name, value)
        line["target"] = parts.target
        if parts.spans:
            line["spans"] = parts.spans
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)
