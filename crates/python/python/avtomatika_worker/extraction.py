"""JSON Schemas of types and of functions."""

from __future__ import annotations

import inspect
from typing import Any

from . import schemas
from .signature import Scope

__all__ = ["worker_extract_json_schema", "worker_extract_output_schema_from_func", "worker_extract_schema_from_func"]


def worker_extract_json_schema(schema_type: Any) -> dict[str, Any] | None:
    """Returns the JSON Schema of a type: a dataclass, a pydantic model, a dictionary that is a schema, and so on."""
    return None if schema_type is None else schemas.of_type(schema_type)


def worker_extract_schema_from_func(func: Any, arg_name: str) -> dict[str, Any] | None:
    """Returns the JSON Schema of an argument; None if the function has no such argument or no annotation for it."""
    parameter = inspect.signature(func).parameters.get(arg_name)
    if parameter is None or parameter.annotation is parameter.empty:
        return None
    return _resolved(func, parameter.annotation)


def worker_extract_output_schema_from_func(func: Any) -> dict[str, Any] | None:
    """Returns the JSON Schema of a function's result; None without an annotation, and for ``dict``."""
    annotation = inspect.signature(func).return_annotation
    if annotation is inspect.Signature.empty:
        return None
    schema = _resolved(func, annotation)
    return None if schema == {"type": "object"} else schema


def _resolved(func: Any, annotation: Any) -> dict[str, Any] | None:
    scope = Scope(func)
    return schemas.of_type(scope.resolved(annotation, quietly=True), scope.names)
