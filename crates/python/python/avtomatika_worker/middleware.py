"""Middleware: functions that wrap every task.

A middleware is called with a context, which is a dictionary, and with the next function, ``next_handler``. An ``async
def`` middleware awaits ``next_handler()``. A ``def`` middleware calls it without ``await``; it runs on a thread and may
block. A ``def`` middleware may also return an awaitable, which awaits ``next_handler()`` itself::

    async def timed(context, next_handler):
        began = time.monotonic()
        context["handler_kwargs"]["began"] = began
        try:
            return await next_handler()
        finally:
            print(context["task_name"], time.monotonic() - began)

The context has the keys ``task_id``, ``job_id``, ``task_name`` and ``skill_name`` (which are the same), ``params`` (as
the handler gets them), ``handler_kwargs``, ``s3_manager`` and ``observability``. The handler's arguments are taken from
``handler_kwargs``, which has ``params`` and all arguments that a handler can ask for, by their names: a middleware may
change, replace and remove them, and a handler can ask by name for a value that a middleware has put there. Values that
the handler does not ask for are ignored. Parameters that are replaced in ``handler_kwargs`` count more than those that
are replaced in the context.

``next_handler()`` returns the handler's result; the result of the middleware replaces it. The middleware added first is
the outermost.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from ._route import Step
from ._user_function import check_function

__all__ = ["AsyncMiddleware", "Middleware", "SyncMiddleware", "step"]

Context = dict[str, Any]
AsyncMiddleware = Callable[[Context, Callable[[], Awaitable[Any]]], Awaitable[Any]]
SyncMiddleware = Callable[[Context, Callable[[], Any]], Any]
Middleware = AsyncMiddleware | SyncMiddleware


def step(middleware: Middleware) -> Step:
    """Examines a middleware. Raises ``TypeError`` when it is not callable."""
    import inspect

    check_function("the middleware", middleware, "context", "next_handler")
    call = getattr(middleware, "__call__", None)  # noqa: B004
    return Step(middleware, inspect.iscoroutinefunction(middleware) or inspect.iscoroutinefunction(call))
