"""The check of a task's options, where they are given."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["check", "texts"]


def texts(value: Any) -> Any:
    """Returns several values as a tuple, so that an iterator can be read more than once. A single text, which is a
    mistake, and anything else stay as they are."""
    return tuple(value) if isinstance(value, Iterable) and not isinstance(value, (str, bytes, tuple)) else value


def check(name: str, options: Mapping[str, Any]) -> None:
    """Raises ``ValueError`` if an option of a task has a value that it cannot have."""

    def expect(field: str, is_right: bool, expected: str, verb: str = "is") -> None:
        value = options.get(field)
        if value is not None and not is_right:
            raise ValueError(f"the task `{name}`: its `{field}` {verb} `{value!r}`, expected {expected}")

    def given(field: str, *kinds: type) -> bool:
        value = options.get(field)
        return isinstance(value, kinds) and not isinstance(value, bool)

    for field in ("task_type", "description", "version"):
        expect(field, given(field, str), "text")
    timeout = options.get("timeout")
    # More than a float can count in nanoseconds would be a mistake, too.
    expect("timeout", given("timeout", int, float) and 0 < timeout <= 1e9, "a number of seconds above 0")  # type: ignore[operator]
    statuses = options.get("output_statuses")
    if statuses is not None:
        is_list = isinstance(statuses, tuple) and all(isinstance(one, str) for one in statuses)
        expect("output_statuses", is_list, "a list of texts", "are")
    for field in ("input_schema", "output_schema", "events"):
        expect(field, given(field, Mapping), "a dictionary")
        if options.get(field):
            import json

            try:
                json.dumps(options[field])
            except (TypeError, ValueError, RecursionError) as error:
                raise ValueError(f"the task `{name}`: its `{field}` is not JSON: {error}") from None
