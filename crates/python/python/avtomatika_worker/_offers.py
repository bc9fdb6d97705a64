"""What a handler may ask for."""

from __future__ import annotations

import functools
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

from ._threads import TaskCancelled
from .outcome import to_json

if TYPE_CHECKING:
    from ._native import Task
    from ._route import Route

__all__ = ["MAKERS", "CancellationToken", "offered"]


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


def _send_progress(task: Task, *arguments: Any, **named: Any) -> _Done:
    """Tells how far the task is: ``send_progress(task_id, job_id, progress, message="")``, or without the ids."""
    if arguments and isinstance(arguments[0], (int, float)):
        arguments = (None, None, *arguments)
    task.send_progress(*_progress(*arguments, **named))
    return _DONE


def _progress(
    task_id: object = None, job_id: object = None, progress: float = 0.0, message: object = ""
) -> tuple[float, str]:
    text = str(message)
    # Half a surrogate pair cannot be sent, and is no reason for a task to fail.
    return float(progress), text if text.isascii() else text.encode(errors="replace").decode()


def _send_event(task: Task, event_type: str, payload: Any = None, priority: float = 0.0) -> _Done:
    """Tells of something that happened in the task; the payload is converted as the data of a result are. Raises
    ``ValueError`` when it cannot be sent."""
    task.send_event(event_type, to_json({} if payload is None else payload), float(priority))
    return _DONE


def _hot(method: Callable[[str], None], model: str) -> _Done:
    method(model)
    return _DONE


MAKERS: dict[str, Callable[[Task], Any]] = {
    "send_progress": lambda task: functools.partial(_send_progress, task),
    "send_event": lambda task: functools.partial(_send_event, task),
    "emit_event": lambda task: functools.partial(_send_event, task),
    "add_to_hot_cache": lambda task: functools.partial(_hot, task.add_to_hot_cache),
    "remove_from_hot_cache": lambda task: functools.partial(_hot, task.remove_from_hot_cache),
    "add_to_hot_skills": lambda task: functools.partial(_hot, task.add_to_hot_cache),
    "remove_from_hot_skills": lambda task: functools.partial(_hot, task.remove_from_hot_cache),
    "cancellation_token": CancellationToken,
}


def offered(task: Task, route: Route) -> dict[str, Any]:
    """What the handler of this task is offered, and its middleware."""
    values: dict[str, Any] = task.values()
    for name in route.offers:
        values[name] = MAKERS[name](task)
    if route.plan.wants_files:
        from .task_files import TaskFiles

        values["task_files"] = TaskFiles(task.files())
    return values
