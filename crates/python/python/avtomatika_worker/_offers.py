"""The arguments that a handler may ask for."""

from __future__ import annotations

import asyncio
import inspect
import sys
from collections.abc import Coroutine, Generator
from typing import TYPE_CHECKING, Any, cast

from ._logging import LOG
from ._threads import TaskCancelled

if TYPE_CHECKING:
    from ._native import Task

__all__ = ["CALLS", "VALUES", "Calls", "CancellationToken", "read_received"]


class _Done(Coroutine[Any, Any, None]):
    """A coroutine that has ended, so that awaiting it is optional: asyncio takes it wherever it takes a coroutine."""

    __slots__ = ()

    def __await__(self) -> Generator[Any, Any, None]:
        return _NOTHING

    def send(self, value: Any) -> Any:
        raise StopIteration

    def throw(self, *arguments: Any) -> Any:
        return super().throw(*arguments)  # pyright: ignore[reportAbstractUsage] - it is implemented there

    def close(self) -> None:
        pass


# An exhausted iterator has no state, and costs less than a generator.
_NOTHING = cast("Generator[Any, Any, None]", iter(()))

_DONE = _Done()


def _mark(function: Any) -> None:
    """Makes ``iscoroutinefunction`` true for a function."""
    if sys.version_info >= (3, 12):
        inspect.markcoroutinefunction(function)
    else:
        # The mark of older versions, which have no function for it.
        function._is_coroutine = getattr(asyncio.coroutines, "_is_coroutine")  # noqa: B009 - not in typeshed


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
    """The functions that the handler of one task may ask for, by the names of its arguments. Each of them has done its
    work when it returns, and returns a coroutine that has ended: awaiting it is optional."""

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
        if named:
            # The existing SDK calls the ids `task_id_arg` and `job_id_arg`.
            named = {name.removesuffix("_arg"): value for name, value in named.items()}
        try:
            self._task.send_progress(*_progress(*arguments, **named))
        except ValueError as error:
            LOG.warning("progress is not sent: %s", error)
        return _DONE

    def send_event(
        self,
        event_type: str,
        payload: Any = None,
        priority: float = 0.0,
        security: Any = None,
        metadata: Any = None,
        origin_worker_id: str | None = None,
    ) -> Coroutine[Any, Any, None]:
        """Sends an event of the task. The payload is converted like the data of a result. An event that cannot be sent is
        logged and dropped. If too many events wait already, it waits for room in a `def` handler; elsewhere the returned
        coroutine does, which must be awaited then."""
        from ._events import send

        return send(self._task, event_type, payload, priority, security, metadata, origin_worker_id) or _DONE

    def add_to_hot_cache(self, model_name: str) -> _Done:
        """Reports that a model is loaded."""
        self._task.add_to_hot_cache(model_name)
        return _DONE

    def remove_from_hot_cache(self, model_name: str) -> _Done:
        """Reports that a model is no longer loaded."""
        self._task.remove_from_hot_cache(model_name)
        return _DONE

    def add_to_hot_skills(self, item: str) -> _Done:
        """Reports that a skill or a model is ready."""
        self._task.add_to_hot_cache(item)
        return _DONE

    def remove_from_hot_skills(self, item: str) -> _Done:
        """Reports that a skill or a model is no longer ready."""
        self._task.remove_from_hot_cache(item)
        return _DONE

    # Programs of the existing SDK find coroutine functions here.
    for _function in (send_progress, send_event):
        _mark(_function)
    del _function

    emit_event = send_event


def _progress(
    task_id: object = None,
    job_id: object = None,
    progress: float = 0.0,
    message: object = "",
) -> tuple[float, str]:
    try:
        number = float(progress)
    except (TypeError, ValueError):
        raise ValueError(f"it is {progress!r:.80}, expected a number") from None
    text = str(message)
    # Half of a surrogate pair cannot be sent; it is replaced, so that the task does not fail for it.
    return number, text if text.isascii() else text.encode(errors="replace").decode()


def read_received(values: dict[str, Any]) -> None:
    """Reads those values that are given as JSON text."""
    import json

    from .models import SecurityContext, from_dict

    if isinstance(values.get("metadata"), bytes):
        values["metadata"] = json.loads(values["metadata"])
    if values.get("security") is not None:
        values["security"] = from_dict(SecurityContext, json.loads(values["security"]))


VALUES = ("task_id", "job_id", "task_name", "priority", "tracing_context", "deadline", "metadata", "security")
"""The arguments that are properties of the task."""

CALLS = tuple(name for name in vars(Calls) if not name.startswith("_"))
"""The arguments that are functions, or objects with functions."""
