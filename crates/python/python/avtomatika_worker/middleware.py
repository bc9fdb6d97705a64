"""Middleware: what stands around every task.

A middleware is called with a dictionary and with what comes next. It may be ``async`` or not; ``next_handler()`` is
awaited by the former, and simply called by the latter, which runs on a thread and may block. One that is not ``async``
by its looks only, and returns what is to be awaited, awaits it, too::

    async def timed(context, next_handler):
        began = time.monotonic()
        context["handler_kwargs"]["began"] = began
        try:
            return await next_handler()
        finally:
            print(context["task_name"], time.monotonic() - began)

The dictionary has ``task_id``, ``job_id``, ``task_name``, ``params`` as the handler gets them, and ``handler_kwargs``,
which the handler's arguments are taken from: what is put there can be asked for by its name. What the handler returned
is what ``next_handler`` gives; what the middleware returns is taken instead. The first that was added is outermost.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from ._route import Step

__all__ = ["AsyncMiddleware", "Middleware", "SyncMiddleware", "step"]

Context = dict[str, Any]
AsyncMiddleware = Callable[[Context, Callable[[], Awaitable[Any]]], Awaitable[Any]]
SyncMiddleware = Callable[[Context, Callable[[], Any]], Any]
Middleware = AsyncMiddleware | SyncMiddleware


def step(middleware: Middleware) -> Step:
    """Looks at a middleware. Raises ``TypeError`` when it is none."""
    import inspect

    if not callable(middleware):
        raise TypeError(f"a middleware has to be a function, got `{type(middleware).__name__}`")
    call = getattr(middleware, "__call__", None)  # noqa: B004
    return Step(middleware, inspect.iscoroutinefunction(middleware) or inspect.iscoroutinefunction(call))
