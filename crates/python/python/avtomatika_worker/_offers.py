"""What a handler may ask for."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from ._threads import TaskCancelled
from .outcome import to_json

if TYPE_CHECKING:
    from ._native import Task
    from ._route import Route

__all__ = ["CALLS", "VALUES", "CancellationToken", "offered"]


class _Done:
    """Done already: can be awaited, and need not be."""

    __slots__ = ()

    def __await__(self) -> Generator[Any, None, None]:
        return
        yield


_DONE = _Done()


class CancellationToken:
    """Says whether the task was told to stop: for handlers that look now and then."""

    __slots__ = ("_task",)

    def __init__(self, task: Task) -> None:
        self._task = task

    def is_cancelled(self) -> bool:
        """Whether it was."""
        return self._task.is_cancelled

    def raise_if_cancelled(self) -> None:
        """Raises ``TaskCancelled`` if it was."""
        if self._task.is_cancelled:
            raise TaskCancelled


class _Calls:
    """What the handler of one task may call, by the names of its arguments. What it need not await, it may."""

    __slots__ = ("_task",)

    def __init__(self, task: Task) -> None:
        self._task = task

    @property
    def cancellation_token(self) -> CancellationToken:
        return CancellationToken(self._task)

    def send_progress(self, *arguments: Any, **named: Any) -> _Done:
        """Tells how far the task is: ``send_progress(task_id, job_id, progress, message="")``, or without the ids."""
        if arguments and isinstance(arguments[0], (int, float)):
            arguments = (None, None, *arguments)
        self._task.send_progress(*_progress(*arguments, **named))
        return _DONE

    def send_event(self, event_type: str, payload: Any = None, priority: float = 0.0) -> _Done:
        """Tells of something that happened in the task; the payload is converted as the data of a result are. Raises
        ``ValueError`` when it cannot be sent."""
        self._task.send_event(event_type, to_json({} if payload is None else payload), float(priority))
        return _DONE

    def add_to_hot_cache(self, model: str) -> _Done:
        """Says that a model is loaded now."""
        self._task.add_to_hot_cache(model)
        return _DONE

    def remove_from_hot_cache(self, model: str) -> _Done:
        """Says that a model is no longer loaded."""
        self._task.remove_from_hot_cache(model)
        return _DONE

    emit_event = send_event
    add_to_hot_skills = add_to_hot_cache
    remove_from_hot_skills = remove_from_hot_cache


def _progress(
    task_id: object = None, job_id: object = None, progress: float = 0.0, message: object = ""
) -> tuple[float, str]:
    text = str(message)
    # Half a surrogate pair cannot be sent, and is no reason for a task to fail.
    return float(progress), text if text.isascii() else text.encode(errors="replace").decode()


VALUES = ("task_id", "job_id", "task_name", "priority", "tracing_context", "deadline")
"""What the core knows of a task."""

CALLS = tuple(name for name in vars(_Calls) if not name.startswith("_"))
"""What a handler can be given to call."""


def offered(task: Task, route: Route) -> dict[str, Any]:
    """What the handler of this task is offered, and its middleware: all that they ask for, and no more."""
    if route.values is VALUES:
        values = task.values()
    elif route.values:
        known = task.values()
        values = {name: known[name] for name in route.values}
    else:
        values = {}
    if route.calls:
        calls = _Calls(task)
        for name in route.calls:
            values[name] = getattr(calls, name)
    if route.plan.wants_files:
        from .task_files import TaskFiles

        values["task_files"] = TaskFiles(task.files())
    return values
