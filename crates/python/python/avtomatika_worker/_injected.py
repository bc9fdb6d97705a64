"""The objects that handlers get by the annotations of their arguments, whatever the arguments are named.

The task's files are not among them, since they are offered under a name as well.
"""

from __future__ import annotations

import sys
import typing
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._context import Tools
    from ._native import Task

__all__ = ["kind_of", "make"]


def _client(task: Task, _: Tools) -> Any:
    from ._client import OrchestratorClient

    return OrchestratorClient(task)


def _observability(_: Task, tools: Tools) -> Any:
    return tools.observability


_KINDS: dict[str, tuple[str, Callable[[Task, Tools], Any]]] = {
    "OrchestratorClient": ("_client", _client),
    "ObservabilityManager": ("observability", _observability),
}
"""By the name of the class: the module that defines it, and what makes the object for a task."""


def kind_of(annotation: Any, resolve: Callable[[Any], Any]) -> str | None:
    """Returns the name of the class in ``_KINDS`` that an annotation names, if any."""
    if isinstance(annotation, str) and annotation.rpartition(".")[2] in _KINDS:
        # The class may be imported for type checkers only.
        return annotation.rpartition(".")[2]
    for name, (home, _) in _KINDS.items():
        # No annotation can mean a class whose module nobody has imported.
        module = sys.modules.get(f"{__package__}.{home}")
        if module is not None and _names(resolve(annotation), getattr(module, name)):
            return name
    return None


def _names(annotation: Any, kind: type[Any]) -> bool:
    members = typing.get_args(annotation) or (annotation,)
    return any(isinstance(member, type) and issubclass(member, kind) for member in members)


def make(kind: str, task: Task, tools: Tools) -> Any:
    """Makes the object for an argument, or takes it from those that all tasks share."""
    return _KINDS[kind][1](task, tools)
