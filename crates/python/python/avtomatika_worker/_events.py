"""The events that handlers and workers send. An event that cannot be sent is logged and dropped: nothing is raised."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Generator, Iterator
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any

from ._logging import LOG, ids
from .outcome import members, to_json

if TYPE_CHECKING:
    from ._native import Task
    from ._native import Worker as NativeWorker

__all__ = ["emit", "send"]

# The time for which an event waits for room, in seconds, and the time between two tries.
_ROOM_LIMIT = 30.0
_ROOM_TRY = 0.02

_PROGRESS = "progress"

_Event = tuple[str, bytes, float, bytes | None, bytes | None, str | None]


def send(
    task: Task, event_type: Any, payload: Any, priority: Any, security: Any, metadata: Any, origin_worker_id: Any
) -> Coroutine[Any, Any, None] | None:
    """Sends an event of a task. If too many events of the task wait already, it waits for room on a thread without a
    loop, and returns a coroutine that does so elsewhere."""
    try:
        if event_type == _PROGRESS:
            _send_progress(task, payload)
            return None
        event: _Event = (
            event_type,
            to_json({} if payload is None else payload),
            float(priority),
            None if security is None else to_json(members(security, "`security`")),
            None if metadata is None else to_json(members(metadata, "`metadata`")),
            origin_worker_id,
        )
        if task.send_event(*event):
            return None
        if asyncio._get_running_loop() is not None:
            return _Waiting(task, event)
        _wait_for_room(task, event)
        return None
    except Exception as error:
        # The message of the core names the event.
        LOG.error("the event `%.80s` is not sent: %s", event_type, error, task=ids(task))
        return None


def _send_progress(task: Task, payload: Any) -> None:
    """Sends an event of the type ``progress``, which ``send_progress`` sends otherwise."""
    content = members(payload, "payload")
    task.send_progress(float(content["progress"]), str(content.get("message", "")))


def _wait_for_room(task: Task, event: _Event) -> None:
    # `sleep` releases the interpreter's lock.
    for pause in _tries(task, event):
        sleep(pause)


async def _sent_when_there_is_room(task: Task, event: _Event) -> None:
    for pause in _tries(task, event):
        await asyncio.sleep(pause)


def _tries(task: Task, event: _Event) -> Iterator[float]:
    """Tries to send an event. Yields the time to the next try while there is no room."""
    until = monotonic() + _ROOM_LIMIT
    while not task.send_event(*event):
        if monotonic() > until:
            _log_no_room(task, event, "")
            return
        yield _ROOM_TRY


def _log_no_room(task: Task, event: _Event, advice: str) -> None:
    LOG.error(
        "the event `%.80s` is not sent: too many events of the task wait to be sent%s", event[0], advice, task=ids(task)
    )


class _Waiting(Coroutine[Any, Any, None]):
    """Sends an event when there is room, if it is awaited. Otherwise the log says that the event is lost."""

    __slots__ = ("_event", "_inner", "_is_started", "_task")

    def __init__(self, task: Task, event: _Event) -> None:
        self._task = task
        self._event = event
        self._inner = _sent_when_there_is_room(task, event)
        self._is_started = False

    def __await__(self) -> Generator[Any, Any, None]:
        self._is_started = True
        return self._inner.__await__()

    def send(self, value: Any) -> Any:
        self._is_started = True
        return self._inner.send(value)

    def throw(self, *arguments: Any) -> Any:
        self._is_started = True
        return self._inner.throw(*arguments)

    def close(self) -> None:
        if not self._is_started:
            self._is_started = True
            _log_no_room(self._task, self._event, ", and it was not awaited")
        self._inner.close()

    def __del__(self) -> None:
        # `await` keeps only what it waits for.
        if not self._is_started:
            self.close()


def emit(native: NativeWorker | None, event: Any) -> None:
    """Sends a ready-made event to all orchestrators."""
    try:
        content = to_json(_without_none(members(event, "event")))
        if native is None:
            raise RuntimeError("the worker does not run")
        native.emit_event(content)
    except Exception as error:
        LOG.error("the event is not sent: %s", error)


def _without_none(content: dict[str, Any]) -> dict[str, Any]:
    security = content.get("security")
    return content if security is None else {**content, "security": members(security, "`security`")}
