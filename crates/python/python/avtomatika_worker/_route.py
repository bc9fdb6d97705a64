"""What a worker knows of one task: its name, its handler, and what stands around it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._offers import CALLS, VALUES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .signature import Plan

__all__ = ["Route", "Step"]


class Step:
    """One middleware."""

    __slots__ = ("call", "is_async")

    def __init__(self, call: Callable[..., Any], is_async: bool) -> None:
        self.call = call
        self.is_async = is_async


class Route:
    """From a name to what runs it."""

    __slots__ = ("calls", "is_direct", "is_on_loop", "middleware", "name", "plan", "values")

    def __init__(self, name: str, plan: Plan, middleware: Sequence[Step]) -> None:
        self.name = name
        self.plan = plan
        self.middleware = tuple(middleware)
        # Middleware that does not look `async` may still return what is to be awaited.
        self.is_on_loop: bool = plan.is_async or bool(self.middleware)
        # Middleware sees everything; a handler only what it names.
        everything = plan.takes_all or bool(self.middleware)
        self.values = VALUES if everything else tuple(name for name in VALUES if name in plan.wanted)
        self.calls = tuple(name for name in CALLS if everything or name in plan.wanted)
        # Nobody can add or take anything: what is offered is what the handler is called with.
        self.is_direct: bool = not self.middleware and plan.is_plain
