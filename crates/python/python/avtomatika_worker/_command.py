"""A command, as a function registered with ``on_command`` gets it."""

from __future__ import annotations

from typing import Any

__all__ = ["Command"]


class Command(dict[str, Any]):
    """A command of an orchestrator: ``command["params"]`` and ``command.params`` are the same."""

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"a command has no `{name}`, only {', '.join(self)}") from None
