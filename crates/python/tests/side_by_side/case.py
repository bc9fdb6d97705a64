"""A program as users write it, and what it is given."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from peers import VERSIONS

Task = tuple[str, Any] | tuple[str, Any, Mapping[str, Any]]


@dataclass(frozen=True)
class Case:
    """A program that leaves a ``worker``, and its tasks. A case for both versions is written for 1.0b4; for 1.0b20 the
    decorator ``@worker.task`` is replaced by ``@worker.skill``."""

    id: str
    program: str
    tasks: Sequence[Task] = ()
    on: Sequence[str] = VERSIONS
    variables: Mapping[str, str] = field(default_factory=dict)
    commands: Sequence[Mapping[str, Any]] = ()
    """Sent over the websocket of the worker before its tasks are given."""
    unanswered: Sequence[str] = ()
    """The versions of the existing package that send no result, so that none is waited for."""
    cancelled: bool = False
    """Whether its tasks are cancelled by a command over the websocket, once a heartbeat has named them."""
    statuses: bool = False
    """Whether the statuses of all heartbeats are compared, and what they accept."""
    measured: bool = False
    """Whether the program says what the worker uses, so that the values are compared."""
    late: bool = False
    """Whether the last heartbeat and the last registration are compared, too."""

    def source(self, version: str) -> str:
        text = textwrap.dedent(self.program).strip() + "\n"
        if "Worker(" not in text:
            text = f"from avtomatika_worker import Worker\n\nworker = Worker()\n\n\n{text}"
        return text if version == "1.0b4" else text.replace("@worker.task(", "@worker.skill(")


def work(id: str, program: str, *params: Any, **others: Any) -> Case:
    """A case whose program has the handler ``work``, which gets each of these params, or none."""
    return Case(id, program, [("work", one) for one in params or ({},)], **others)
