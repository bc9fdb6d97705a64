"""The route of one task name: its handler and its middleware."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._offers import CALLS, VALUES, Calls, read_received

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ._context import Tools
    from ._native import Task
    from .signature import Plan

__all__ = ["Route", "Step"]


class Step:
    """One middleware."""

    __slots__ = ("call", "is_async")

    def __init__(self, call: Callable[..., Any], is_async: bool) -> None:
        self.call = call
        self.is_async = is_async


class Route:
    """The handler and the middleware of a task name, and the names of the arguments that they are offered."""

    __slots__ = ("calls", "is_direct", "is_on_loop", "middleware", "name", "plan", "tools", "values")

    def __init__(self, name: str, plan: Plan, middleware: Sequence[Step], tools: Tools) -> None:
        self.name = name
        self.plan = plan
        self.middleware = tuple(middleware)
        self.tools = tools
        # Middleware that is not `async` may still return an awaitable.
        self.is_on_loop: bool = plan.is_async or bool(self.middleware)
        # Middleware sees all arguments; a handler gets only those it names, or all if it reads its `**kwargs`.
        everything = plan.reads_all or bool(self.middleware)
        self.values = VALUES if everything else tuple(name for name in VALUES if name in plan.wanted)
        self.calls = tuple(name for name in CALLS if everything or name in plan.wanted)
        # Nothing can change the arguments between the offer and the call.
        self.is_direct: bool = not self.middleware and plan.is_plain

    def offer(self, task: Task) -> dict[str, Any]:
        """Returns the arguments that the handler and the middleware of a task ask for, and no others."""
        if self.values or self.calls:
            values = task.offer(self.values, Calls(task) if self.calls else None, self.calls)
            if type(values.get("metadata")) is bytes or values.get("security") is not None:
                read_received(values)
        else:
            values = {}
        if self.plan.files:
            from .task_files import TaskFiles

            values.update(dict.fromkeys(self.plan.files, TaskFiles(task.files())))
        if self.plan.injected:
            from ._injected import make

            for name, kind in self.plan.injected.items():
                values[name] = make(kind, task, self.tools)
        return values

    def context(self, params: Any, offered: dict[str, Any]) -> dict[str, Any]:
        """Returns what the middleware of a task gets."""
        from ._context import Context

        members = {
            "task_id": offered["task_id"],
            "job_id": offered["job_id"],
            "task_name": self.name,
            "skill_name": self.name,
            "params": params,
            "handler_kwargs": {"params": params, **offered},
        }
        return Context(self.tools, members)

    def invoke(self, params: Any, context: dict[str, Any]) -> Any:
        """Calls the handler with what its middleware has left in the context. ``params`` are those that were sent: if
        they were replaced in ``handler_kwargs`` and in the context, the former counts."""
        from .signature import MISSING

        offered = dict(context["handler_kwargs"])
        given = offered.pop("params", MISSING)
        if given is params:
            given = context.get("params", params)
        return self.plan.invoke(given, offered)
