"""Everything that was registered with a worker, as one run of it uses it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ._route import Step
    from .config import WorkerConfig
    from .signature import Plan

__all__ = ["Hooks", "Registered", "RegisteredTask"]


@dataclass(frozen=True, slots=True)
class RegisteredTask:
    """A task with its handler and its options."""

    name: str
    plan: Plan
    options: Mapping[str, Any]

    @property
    def group(self) -> str | None:
        """The type, whose limit the task shares. The type of a skill is its name, if it has no other."""
        group: str | None = self.options.get("task_type") or (self.name if self.options.get("infers") else None)
        return group


@dataclass(frozen=True, slots=True)
class Hooks:
    """The user's functions other than handlers, in the order they were registered in. Commands that are added while a
    run uses them count at once."""

    middleware: tuple[Step, ...]
    startup: tuple[Callable[[], Any], ...]
    shutdown: tuple[Callable[[], Any], ...]
    commands: Mapping[str, Callable[..., Any]]
    ignored: tuple[Callable[[str, str, str], Any], ...]
    capacity_checker: Callable[[str], bool] | None
    usage_checker: Callable[[], Any] | None


@dataclass(frozen=True, slots=True)
class Registered:
    """The tasks, hooks and options of a worker at the start of a run."""

    tasks: Mapping[str, RegisteredTask]
    hooks: Hooks
    config: WorkerConfig
    worker_type: str | None
    max_concurrent_tasks: int | None
    limits: Mapping[str, int]
    skill_dependencies: Mapping[str, list[str]]
