"""A log for programs that have none: lines on standard output, as text or as JSON.

``LOG_LEVEL`` is its level, and ``LOG_FORMAT=json`` makes each line a JSON object, which contains the context of the line:
the ids of the task and its job, and what ``set_context`` has added.
"""

from __future__ import annotations

from contextvars import ContextVar
from logging import Filter, Formatter, LogRecord, StreamHandler, getLevelName, getLogger, makeLogRecord
from os import getenv
from sys import stdout
from typing import Any

__all__ = ["ContextFilter", "clear_context", "set_context", "setup_logging"]

_CONTEXT: ContextVar[dict[str, Any]] = ContextVar("avtomatika_worker_log_context", default={})  # noqa: B039

_ALWAYS = ("worker_id", "task_id", "job_id")
"""What every JSON line has, with or without a value."""


def setup_logging(worker_id: str | None = None) -> None:
    """Writes the log of the program to standard output, instead of what was set up before. ``worker_id`` becomes part of
    the context."""
    root = getLogger()
    for handler in root.handlers[:]:
        root.removeHandler(handler)
    handler = StreamHandler(stdout)
    handler.addFilter(ContextFilter())
    is_json = getenv("LOG_FORMAT", "").strip().lower() == "json"
    handler.setFormatter(_Json() if is_json else Formatter("[%(asctime)s] %(levelname)s in %(name)s: %(message)s"))
    root.addHandler(handler)
    level = getLevelName(getenv("LOG_LEVEL", "").strip().upper() or "INFO")
    # An unknown level is reported by the worker.
    root.setLevel(level if isinstance(level, int) else "INFO")
    if worker_id is not None:
        set_context(worker_id=worker_id)


def set_context(**kwargs: Any) -> None:
    """Adds to the context of the log lines that follow in this task or thread."""
    _CONTEXT.set({**_CONTEXT.get(), **kwargs})


def clear_context(*keys: str) -> None:
    """Removes these keys from the context, or all without an argument."""
    _CONTEXT.set({key: value for key, value in _CONTEXT.get().items() if keys and key not in keys})


class ContextFilter(Filter):
    """Gives every record the context, as attributes for formatters. It refuses no record."""

    def __init__(self) -> None:
        super().__init__()

    def filter(self, record: LogRecord) -> bool:
        """Adds the context to a record."""
        context = _CONTEXT.get()
        for key in (*_ALWAYS, *context):
            # What the line itself says counts more.
            record.__dict__.setdefault(key, context.get(key))
        return True


class _Json(Formatter):
    """One JSON object for each line."""

    def format(self, record: LogRecord) -> str:
        import json

        usual = makeLogRecord({}).__dict__
        members = {name: value for name, value in record.__dict__.items() if name not in usual and name not in _ALWAYS}
        members.pop("message", None)
        line = {
            "asctime": self.formatTime(record),
            "levelname": record.levelname,
            "name": record.name,
            "message": record.getMessage(),
            **{name: getattr(record, name, None) for name in _ALWAYS},
            **members,
        }
        if record.exc_info:
            line["exc_info"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)
