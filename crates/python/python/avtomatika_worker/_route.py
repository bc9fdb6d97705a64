"""What a worker knows of one task: its name, its handler, and what stands around it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._offers import MAKERS

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

    __slots__ = ("is_on_loop", "middleware", "name", "offers", "plan")

    def __init__(self, name: str, plan: Plan, middleware: Sequence[Step]) -> None:
        self.name = name
        self.plan = plan
        self.middleware = tuple(middleware)
        # Middleware that does not look `async` may still return what is to be awaited.
        self.is_on_loop: bool = plan.is_async or bool(self.middleware)
        # Middleware sees everything; a handler only what it names.
        everything = plan.takes_all or bool(self.middleware)
        self.offers = tuple(name for name in MAKERS if everything or name in plan.wanted)
