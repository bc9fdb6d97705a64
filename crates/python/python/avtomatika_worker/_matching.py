"""Whether something has what is required of it: properties of devices, and data by a schema."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["fits", "validator"]


def fits(properties: dict[str, Any] | None, wanted: dict[str, Any] | None) -> bool:
    """Returns whether all wanted properties are there: numbers at least as large, one of the values of a list, all others
    equal."""
    has = properties or {}
    return all(has.get(name) is not None and _fits(has[name], value) for name, value in (wanted or {}).items())


def _fits(value: Any, wanted: Any) -> bool:
    if isinstance(wanted, (int, float)) and isinstance(value, (int, float)):
        return value >= wanted
    lists = (list, set, frozenset)
    if isinstance(wanted, lists) or isinstance(value, lists):
        values = value if isinstance(value, lists) else [value]
        return any(one in values for one in (wanted if isinstance(wanted, lists) else [wanted]))
    return bool(value == wanted)


def validator(schema: dict[str, Any] | None) -> Callable[[Any], Any] | None:
    """Returns a function that checks data by a schema: it returns the data, or raises ``ValueError``."""
    if not schema:
        return None
    import json

    from ._native import EnforcedSchemas

    unset = ("limit_group", "time_limit", "description", "version", "output_schema", "output_statuses", "extra")
    schemas = EnforcedSchemas(
        {
            **dict.fromkeys(unset),
            "name": "data",
            "on_thread": False,
            "input_schema": json.dumps(schema),
            "enforces_input": True,
            "enforces_output": False,
            "events": [],
        }
    )

    def validate(data: Any) -> Any:
        refused = schemas.check_params(json.dumps(data).encode())
        if refused is not None:
            raise ValueError(refused[1])
        return data

    return validate
