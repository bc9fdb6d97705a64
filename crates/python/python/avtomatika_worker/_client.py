"""Calls of other skills from a handler."""

from __future__ import annotations

import json
from typing import Any

from ._skill_calls import call_skill
from .outcome import to_json

__all__ = ["OrchestratorClient"]


class OrchestratorClient:
    """Calls skills of other workers through the orchestrator that the task came from.

    A handler gets one by the annotation of an argument::

        @worker.skill("research")
        async def research(params: dict, client: OrchestratorClient):
            found = await client.call_skill("web_search", {"query": params["query"]})
    """

    __slots__ = ("client", "worker")

    def __init__(self, client: Any, worker: Any = None) -> None:
        self.client = client
        """What makes the calls: the running task."""
        self.worker = worker

    async def call_skill(self, skill_name: str, params: dict[str, Any]) -> dict[str, Any]:
        """Calls a skill, waits for its result, and returns the orchestrator's answer, as a rule a dictionary with
        ``status`` and ``data``. Raises ``RuntimeError`` when the orchestrator refuses the call or does not answer."""
        answer: dict[str, Any] = await call_skill(self.client, skill_name, params)
        return answer

    def call_skill_sync(self, skill_name: str, params: dict[str, Any]) -> dict[str, Any]:
        """The variant of ``call_skill`` for ``def`` handlers."""
        answer: dict[str, Any] = json.loads(self.client.call_skill(skill_name, to_json(params)).wait())
        return answer
