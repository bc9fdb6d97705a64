"""A command, as a function registered with ``on_command`` gets it."""

from __future__ import annotations

from typing import Any

from . import models

__all__ = ["WorkerCommand"]


class WorkerCommand(models.WorkerCommand, dict[str, Any]):
    """A command of an orchestrator: ``command["params"]`` and ``command.params`` are the same."""

    def __post_init__(self) -> None:
        self.update(vars(self))

    def __eq__(self, other: object) -> bool:
        return dict.__eq__(self, other)
