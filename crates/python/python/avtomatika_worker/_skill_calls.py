"""Calls of skills on other workers, through the orchestrator that a task came from."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .outcome import to_json

if TYPE_CHECKING:
    from ._native import Task

__all__ = ["call_skill"]


async def call_skill(task: Task, name: str, params: Mapping[str, Any] | None) -> Any:
    """Runs a skill on another worker, and returns the orchestrator's answer, as a rule a dictionary with ``status`` and
    ``data``. Raises ``RuntimeError`` when the orchestrator refuses the call or does not answer within 60 s, and
    ``ValueError`` for parameters that are not JSON."""
    call = task.call_skill(name, to_json({} if params is None else params))
    try:
        return json.loads(await asyncio.to_thread(call.wait))
    except asyncio.CancelledError:
        call.cancel()
        raise
