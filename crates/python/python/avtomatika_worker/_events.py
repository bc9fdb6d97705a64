"""The events that handlers and workers send. An event that cannot be sent is logged and dropped: nothing is raised."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from time import monotonic
from typing import TYPE_CHECKING, Any

from ._logging import LOG
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
    """Sends an event of a task. Returns a coroutine that waits for room if too many events of the task wait already."""
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
        return None if task.send_event(*event) else _sent_when_there_is_room(task, event)
    except Exception as error:
        from ._native import one_line

        where = one_line(task.task_id)
        # The message of the core names the event.
        LOG.error("the event `%.80s` is not sent: %s task_id=%s", event_type, error, where, extra={"task_id": where})
        return None


def _send_progress(task: Task, payload: Any) -> None:
    """Sends an event of the type ``progress``, which ``send_progress`` sends otherwise."""
    content = members(payload, "payload")
    task.send_progress(float(content["progress"]), str(content.get("message", "")))


async def _sent_when_there_is_room(task: Task, event: _Event) -> None:
    until = monotonic() + _ROOM_LIMIT
    while not task.send_event(*event):
        if monotonic() > until:
            LOG.error("the event `%.80s` is not sent: too many events of the task wait to be sent", event[0])
            return
        await asyncio.sleep(_ROOM_TRY)


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
