"""The check of a function of the user's, where it is given."""

from __future__ import annotations

from typing import Any

__all__ = ["check_function"]


def check_function(what: str, func: Any, *arguments: str) -> None:
    """Raises ``TypeError`` if something cannot be called with these arguments."""
    import inspect

    if not callable(func):
        raise TypeError(f"{what} must be a function, got `{type(func).__name__}`")
    try:
        # A decorator with `functools.wraps` may pass further arguments.
        signature = inspect.signature(func, follow_wrapped=False)
    except ValueError:
        # A function of an extension module without a signature.
        return
    try:
        signature.bind(*arguments)
    except TypeError as error:
        names = ", ".join(f"`{name}`" for name in arguments)
        called = f"with {names}" if names else "without arguments"
        name = getattr(func, "__qualname__", None) or type(func).__qualname__
        raise TypeError(f"{what} `{name}` is called {called}: {error}") from None
