"""The JSON Schemas of a handler's parameters and result, which newer orchestrators are sent.

They are made from annotations. Constraints that cannot be expressed are left out, so a schema never refuses a value that
the handler accepts, with one exception: unknown fields of a dataclass.
"""

from __future__ import annotations

import dataclasses
import enum
import inspect
import sys
import types
import typing
from collections.abc import Callable, Mapping
from json import dumps
from typing import Any

from . import _pydantic
from .params import hints_of
from .signature import Scope

__all__ = ["of", "of_type"]

_Described = tuple[bytes | None, bytes | None, str | None, str | None]

_PLAIN: dict[Any, dict[str, Any]] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    None: {"type": "null"},
    type(None): {"type": "null"},
    list: {"type": "array"},
    dict: {"type": "object"},
}


# Types that are sent as text. Their modules are not imported here.
_TEXTS = {"uuid.UUID", "datetime.datetime", "datetime.date", "datetime.time"}


def of(func: Callable[..., Any]) -> _Described:
    """Returns the schema of the argument ``params`` and that of the result, both as JSON, the docstring, and the version
    of the handler's module."""
    inner = inspect.unwrap(func)
    documentation = getattr(inner, "__doc__", None)
    version = getattr(sys.modules.get(getattr(inner, "__module__", None) or ""), "__version__", None)
    return (
        _input(func),
        _output(func),
        inspect.cleandoc(documentation) if documentation else None,
        version if isinstance(version, str) else None,
    )


def of_type(annotation: Any, names: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Returns the schema of a type; ``names`` are those that its annotations may use beside their module's."""
    return _schema(annotation, names or {}, ())


def _input(func: Callable[..., Any]) -> bytes | None:
    try:
        scope = Scope(func)
        parameter = inspect.signature(func).parameters.get("params")
        if parameter is None or parameter.annotation is parameter.empty:
            return None
        return _encoded(_schema(scope.resolved(parameter.annotation), scope.names, ()))
    except Exception:  # a worker without this schema is better than no worker
        return None


def _output(func: Callable[..., Any]) -> bytes | None:
    try:
        scope = Scope(func)
        annotation = inspect.signature(func).return_annotation
        if annotation is inspect.Signature.empty:
            return None
        annotation = scope.resolved(annotation)
        if annotation is dict or typing.get_origin(annotation) is dict or _is_outcome(annotation):
            return None
        return _encoded(_schema(annotation, scope.names, ()))
    except Exception:  # a worker without this schema is better than no worker
        return None


def _is_outcome(annotation: Any) -> bool:
    """Returns whether an annotation does not describe the data: a mapping may be a whole result with a status."""
    return annotation is Any or typing.get_origin(annotation) is Mapping or typing.is_typeddict(annotation)


def _encoded(schema: dict[str, Any]) -> bytes:
    whole = {key: value if key == "$defs" else _self_contained(value) for key, value in schema.items()}
    return dumps(whole, allow_nan=False, separators=(",", ":")).encode()


def _self_contained(part: Any) -> Any:
    """Returns a part of a schema without the details of models that refer to definitions of their own: references count
    from the root of the whole schema."""
    if isinstance(part, list):
        return [_self_contained(one) for one in part]
    if not isinstance(part, dict):
        return part
    if "$defs" in part:
        return {"type": "object"}
    return {key: _self_contained(value) for key, value in part.items()}


def _schema(annotation: Any, names: Mapping[str, Any], within: tuple[Any, ...]) -> dict[str, Any]:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if isinstance(annotation, dict):
        # The annotation is a schema itself.
        return annotation
    if _pydantic.converts(annotation):
        return {}
    if origin in (typing.Annotated, typing.Required, typing.NotRequired):
        return _schema(arguments[0], names, within)
    if _is_hashable(annotation) and annotation in _PLAIN:
        return dict(_PLAIN[annotation])
    if origin in (typing.Union, types.UnionType):
        return {"anyOf": [_schema(argument, names, within) for argument in arguments]}
    if origin is list:
        return {"type": "array", "items": _schema(arguments[0], names, within)}
    if origin is dict:
        return {"type": "object"}
    if origin is typing.Literal:
        return {"enum": list(arguments)}
    if not isinstance(annotation, type):
        return {}
    return _of_class(annotation, names, within)


def _of_class(kind: Any, names: Mapping[str, Any], within: tuple[Any, ...]) -> dict[str, Any]:
    if hasattr(kind, "model_json_schema"):
        return typing.cast(dict[str, Any], kind.model_json_schema())
    if issubclass(kind, enum.Enum):
        return _enum([member.value for member in kind])
    if kind in within:
        # The class contains itself.
        return {"type": "object"}
    if typing.is_typeddict(kind):
        hints = hints_of(kind, names)
        fields = {name: _schema(hint, names, (*within, kind)) for name, hint in hints.items()}
        return {"type": "object", "properties": fields}
    if dataclasses.is_dataclass(kind) or hasattr(kind, "__struct_fields__"):
        return _fields(kind, names, (*within, kind))
    paths = sys.modules.get("pathlib")
    if f"{kind.__module__}.{kind.__qualname__}" in _TEXTS or (paths and issubclass(kind, paths.PurePath)):
        return {"type": "string"}
    return {}


def _enum(values: list[Any]) -> dict[str, Any]:
    return {"type": "string", "enum": values} if all(isinstance(value, str) for value in values) else {"enum": values}


def _fields(kind: Any, names: Mapping[str, Any], within: tuple[Any, ...]) -> dict[str, Any]:
    hints = hints_of(kind, names)
    properties: dict[str, Any] = {}
    required = []
    for name, has_default in _defaults(kind):
        if name.startswith("_"):
            continue
        hint = hints.get(name, Any)
        properties[name] = _schema(hint, names, within)
        if not has_default and type(None) not in typing.get_args(hint):
            required.append(name)
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _defaults(kind: Any) -> list[tuple[str, bool]]:
    """Returns the names of a dataclass's or a ``msgspec.Struct``'s fields, and whether each has a default."""
    if hasattr(kind, "__struct_fields__"):
        return [(field.name, not field.required) for field in sys.modules["msgspec"].structs.fields(kind)]
    missing = dataclasses.MISSING
    return [
        (field.name, field.default is not missing or field.default_factory is not missing)
        for field in dataclasses.fields(kind)
        if field.init
    ]


def _is_hashable(annotation: Any) -> bool:
    try:
        hash(annotation)
    except TypeError:
        return False
    return True
