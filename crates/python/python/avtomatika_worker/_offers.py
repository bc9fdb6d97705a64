"""The arguments that a handler may ask for."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from ._threads import TaskCancelled
from .outcome import to_json

if TYPE_CHECKING:
    from ._native import Task

__all__ = ["CALLS", "VALUES", "Calls", "CancellationToken"]


class _Done:
    """An awaitable that is complete from the start, so that awaiting it is optional."""

    __slots__ = ()

    def __await__(self) -> Generator[Any, None, None]:
        return
        yield


_DONE = _Done()


class CancellationToken:
    """Shows whether the task was cancelled, for handlers that check it from time to time."""

    __slots__ = ("_task",)

    def __init__(self, task: Task) -> None:
        self._task = task

    def is_cancelled(self) -> bool:
        """Returns whether the task was cancelled."""
        return self._task.is_cancelled

    def raise_if_cancelled(self) -> None:
        """Raises ``TaskCancelled`` if the task was cancelled."""
        if self._task.is_cancelled:
            raise TaskCancelled


class Calls:
    """The functions that the handler of one task may ask for, by the names of its arguments. Awaiting their results is
    optional."""

    __slots__ = ("_task",)

    def __init__(self, task: Task) -> None:
        self._task = task

    @property
    def cancellation_token(self) -> CancellationToken:
        return CancellationToken(self._task)

    def send_progress(self, *arguments: Any, **named: Any) -> _Done:
        """Sends the progress of the task: ``send_progress(task_id, job_id, progress, message="")``, or without the
        ids."""
        if arguments and isinstance(arguments[0], (int, float)):
            arguments = (None, None, *arguments)
        self._task.send_progress(*_progress(*arguments, **named))
        return _DONE

    def send_event(self, event_type: str, payload: Any = None, priority: float = 0.0) -> _Done:
        """Sends an event of the task. The payload is converted like the data of a result. Raises ``ValueError`` when it
        cannot be sent."""
        self._task.send_event(event_type, to_json({} if payload is None else payload), float(priority))
        return _DONE

    def add_to_hot_cache(self, model: str) -> _Done:
        """Reports that a model is loaded."""
        self._task.add_to_hot_cache(model)
        return _DONE

    def remove_from_hot_cache(self, model: str) -> _Done:
        """Reports that a model is no longer loaded."""
        self._task.remove_from_hot_cache(model)
        return _DONE

    emit_event = send_event
    add_to_hot_skills = add_to_hot_cache
    remove_from_hot_skills = remove_from_hot_cache


def _progress(
    task_id: object = None, job_id: object = None, progress: float = 0.0, message: object = ""
) -> tuple[float, str]:
    text = str(message)
    # Half of a surrogate pair cannot be sent; it is replaced, so that the task does not fail for it.
    return float(progress), text if text.isascii() else text.encode(errors="replace").decode()


VALUES = ("task_id", "job_id", "task_name", "priority", "tracing_context", "deadline")
"""The arguments that are properties of the task."""

CALLS = tuple(name for name in vars(Calls) if not name.startswith("_"))
"""The arguments that are functions, or objects with functions."""
