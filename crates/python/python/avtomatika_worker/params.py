"""The conversion of a task's parameters from JSON text to the type that the handler's annotation names.

Only nested dataclasses and enumerations are converted; pydantic models convert as they are defined to, also within
dataclasses. For dataclasses and other types the first problem is reported, for pydantic models all problems. Of
duplicate keys the last one counts.
"""

from __future__ import annotations

import dataclasses
import enum
import inspect
import sys
import types
import typing
from collections.abc import Callable, Mapping
from json import JSONDecodeError, JSONDecoder
from typing import Any

from . import _pydantic
from ._logging import LOG
from ._problems import Problem, invalid
from .errors import ParamValidationError

__all__ = ["InvalidParams", "ParamsReader", "load", "reader"]

InvalidParams = ParamValidationError

ParamsReader = Callable[[bytes], Any]
_Converter = Callable[[Any], Any]


_scan: Callable[[str, int], tuple[Any, int]] = getattr(JSONDecoder(), "scan_once")  # noqa: B009 - not in typeshed


def load(raw: bytes) -> Any:
    """Decodes JSON text without loss: integers of any size, floats to the last bit, keys in their order. ``NaN`` and
    infinities, which orchestrators may send, are floats. There is no white space around it: the core has removed it."""
    try:
        # What `decode` does, except that it does not look for white space.
        return _scan(raw.decode(), 0)[0]
    except StopIteration as end:
        error = JSONDecodeError("Expecting value", raw.decode(), end.value)
        raise invalid([(".", f"not JSON: {error}")]) from None
    except RecursionError:
        raise invalid([(".", "nested too deeply")]) from None
    except JSONDecodeError as error:
        raise invalid([(".", f"not JSON: {error}")]) from None
    except ValueError as error:
        raise invalid([(".", str(error))]) from None


def reader(annotation: Any, scope: Mapping[str, Any]) -> ParamsReader:
    """Returns a function that converts JSON text to the annotated type. Names in the annotations of dataclasses are
    looked up in ``scope`` and in the modules of the dataclasses."""
    if _pydantic.is_part_of(annotation):
        return _pydantic.reader(annotation)
    convert = _converter(annotation, scope)
    if convert is None:
        return load

    def read(raw: bytes) -> Any:
        value = load(raw)
        try:
            return convert(value)
        except Problem as problem:
            raise invalid(problem.all()) from problem.__cause__
        except RecursionError:
            raise invalid([(".", "nested too deeply")]) from None

    return read


def _shown(value: Any) -> str:
    """Describes a received value for a message."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return f"boolean `{str(value).lower()}`"
    if isinstance(value, int):
        # `load` has refused numbers with more digits than Python converts to text.
        return f"integer `{value}`"
    if isinstance(value, float):
        return f"floating point `{value}`"
    if isinstance(value, str):
        text = value if len(value) <= 80 else value[:80] + "…"
        return f'string "{text}"'
    return "a list" if isinstance(value, list) else "an object"


def _wrong(value: Any, expected: str) -> Problem:
    return Problem(f"invalid type: {_shown(value)}, expected {expected}")


def _converter(annotation: Any, scope: Mapping[str, Any]) -> _Converter | None:
    """Returns the function that checks and converts a value, or None if every value passes unchanged."""
    annotation = _bare(annotation)
    if _pydantic.is_constraint(annotation):
        return _pydantic.converter(annotation, _converter(typing.get_args(annotation)[0], scope))
    if _pydantic.is_part_of(annotation):
        return _pydantic.converter(annotation)
    if annotation in _PLAIN:
        return _PLAIN[annotation]
    origin = typing.get_origin(annotation)
    if origin in (typing.Union, types.UnionType):
        return _union(typing.get_args(annotation), scope)
    if annotation is list or origin is list:
        return _list(typing.get_args(annotation), scope)
    if annotation is dict or origin is dict:
        return _dict(typing.get_args(annotation), scope)
    if typing.is_typeddict(annotation) or hasattr(annotation, "__struct_fields__"):
        return _TypedDict(annotation, scope)
    if isinstance(annotation, type) and dataclasses.is_dataclass(annotation):
        return _Dataclass(annotation, scope)
    if dataclasses.is_dataclass(origin):
        # A generic dataclass: values of its type variables are not checked.
        return _Dataclass(typing.cast(type, origin), scope)
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return _enum(annotation)
    return None


def _bare(annotation: Any) -> Any:
    """Removes the parts of an annotation that do not describe the type."""
    while not _pydantic.is_constraint(annotation):
        if isinstance(annotation, dataclasses.InitVar):
            annotation = annotation.type
        elif typing.get_origin(annotation) in (typing.Annotated, typing.Required, typing.NotRequired, typing.Final):
            annotation = typing.get_args(annotation)[0]
        elif hasattr(annotation, "__supertype__"):
            annotation = annotation.__supertype__
        elif type(annotation).__name__ == "TypeAliasType":
            annotation = annotation.__value__
        else:
            break
    else:
        return annotation
    try:
        hash(annotation)
    except TypeError:
        return Any
    return annotation


def _int(value: Any) -> Any:
    if type(value) is int:
        return value
    raise _wrong(value, "int")


def _float(value: Any) -> Any:
    if type(value) is float or type(value) is int:
        return value
    raise _wrong(value, "float")


def _str(value: Any) -> Any:
    if type(value) is str:
        return value
    raise _wrong(value, "str")


def _bool(value: Any) -> Any:
    if type(value) is bool:
        return value
    raise _wrong(value, "bool")


def _none(value: Any) -> Any:
    if value is None:
        return None
    raise _wrong(value, "None")


_PLAIN: dict[Any, _Converter] = {int: _int, float: _float, str: _str, bool: _bool, None: _none, type(None): _none}


def _list(arguments: tuple[Any, ...], scope: Mapping[str, Any]) -> _Converter:
    convert = _converter(arguments[0], scope) if arguments else None

    def check(value: Any) -> Any:
        if type(value) is not list:
            raise _wrong(value, "a list")
        if convert is None:
            return value
        return [_step(convert, item, index) for index, item in enumerate(value)]

    return check


def _dict(arguments: tuple[Any, ...], scope: Mapping[str, Any]) -> _Converter:
    # Keys are strings in JSON, whatever the annotation says.
    convert = _converter(arguments[1], scope) if len(arguments) == 2 else None

    def check(value: Any) -> Any:
        if type(value) is not dict:
            raise _wrong(value, "an object")
        if convert is None:
            return value
        return {key: _step(convert, item, key) for key, item in value.items()}

    return check


def _step(convert: _Converter, value: Any, step: str | int) -> Any:
    try:
        return convert(value)
    except Problem as problem:
        problem.steps.append(step)
        raise


def _union(members: tuple[Any, ...], scope: Mapping[str, Any]) -> _Converter | None:
    converters = [_converter(member, scope) for member in members]
    if None in converters:
        # One of the members accepts any value.
        return None
    expected = " or ".join(_name(member) for member in members)

    def check(value: Any) -> Any:
        problems = []
        for convert in converters:
            try:
                return typing.cast(_Converter, convert)(value)
            except Problem as problem:
                problems.append(problem)
        # The member that was probably meant is the one whose problem is deepest.
        deepest = max(problem.depth() for problem in problems)
        meant = [problem for problem in problems if problem.depth() == deepest]
        if not deepest:
            # A missing field or a failed validation is a closer match than a wrong type.
            meant = [problem for problem in meant if not problem.text.startswith("invalid type")]
        if len(meant) == 1:
            raise meant[0]
        raise _wrong(value, expected)

    return check


def _name(annotation: Any) -> str:
    if annotation is None or annotation is type(None):
        return "None"
    return getattr(annotation, "__name__", None) or str(annotation)


def _enum(kind: type[enum.Enum]) -> _Converter:
    values = ", ".join(f"`{member.value}`" for member in kind)

    def convert(value: Any) -> Any:
        try:
            member = kind(value)
        except (ValueError, TypeError):
            raise Problem(f"invalid value: {_shown(value)}, expected one of {values}") from None
        if isinstance(value, bool) != isinstance(member.value, bool):
            # `True` equals 1 in Python, but not in JSON.
            raise Problem(f"invalid value: {_shown(value)}, expected one of {values}")
        return member

    return convert


class _Dataclass:
    """Makes an instance of a dataclass. Its fields are examined on first use, since they may have its own type."""

    def __init__(self, kind: type, scope: Mapping[str, Any]) -> None:
        self.kind = kind
        self.scope = scope
        self.fields: list[tuple[str, _Converter | None, bool]] | None = None

    def __call__(self, value: Any) -> Any:
        if type(value) is not dict:
            raise _wrong(value, f"an object with the fields of `{self.kind.__name__}`")
        arguments = {}
        for name, convert, is_required in self._fields():
            if name in value:
                item = value[name]
                arguments[name] = item if convert is None else _step(convert, item, name)
            elif is_required:
                raise Problem(f"missing field `{name}`")
        try:
            return self.kind(**arguments)
        except (ValueError, TypeError, AssertionError) as error:
            raise Problem(str(error) or type(error).__name__) from error

    def _fields(self) -> list[tuple[str, _Converter | None, bool]]:
        if self.fields is None:
            hints = hints_of(self.kind, self.scope)
            self.fields = [
                (name, _converter(hints.get(name, Any), self.scope), parameter.default is parameter.empty)
                for name, parameter in inspect.signature(self.kind).parameters.items()
                if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
            ]
        return self.fields


class _TypedDict:
    """Checks a dictionary against a ``TypedDict``, or against a ``msgspec.Struct``, which the existing SDK does not make
    either. Its fields are examined on first use."""

    def __init__(self, kind: Any, scope: Mapping[str, Any]) -> None:
        self.kind = kind
        self.scope = scope
        self.fields: dict[str, _Converter | None] | None = None
        self.required: frozenset[str] = frozenset()

    def __call__(self, value: Any) -> Any:
        if type(value) is not dict:
            raise _wrong(value, f"an object with the fields of `{self.kind.__name__}`")
        if self.fields is None:
            hints = hints_of(self.kind, self.scope)
            self.required = _required(self.kind, hints)
            self.fields = {name: _converter(hint, self.scope) for name, hint in hints.items()}
        missing = [name for name in self.fields if name in self.required and name not in value]
        if missing:
            raise Problem(f"missing field `{missing[0]}`")
        checked = {}
        for name, item in value.items():
            convert = self.fields.get(name)
            checked[name] = item if convert is None else _step(convert, item, name)
        return checked


def _required(kind: Any, hints: Mapping[str, Any]) -> frozenset[str]:
    """Returns the required fields: with postponed annotations, Python itself does not evaluate `NotRequired`."""
    if hasattr(kind, "__struct_fields__"):
        fields = sys.modules["msgspec"].structs.fields(kind)
        return frozenset(field.name for field in fields if field.required)
    required = set(kind.__required_keys__)
    for name, hint in hints.items():
        origin = typing.get_origin(hint)
        if origin is typing.NotRequired:
            required.discard(name)
        elif origin is typing.Required:
            required.add(name)
    return frozenset(required)


def hints_of(kind: type, scope: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the annotations of a class's fields. An unresolvable one is logged, and its field is not checked."""
    try:
        return typing.get_type_hints(kind, localns=dict(scope), include_extras=True)
    except Exception:  # evaluating an annotation may raise anything
        hints: dict[str, Any] = {}
        for base in reversed(kind.__mro__):
            names = vars(sys.modules.get(base.__module__, types))
            for name, annotation in inspect.get_annotations(base).items():
                one = types.SimpleNamespace(__annotations__={name: annotation})
                try:
                    hints.update(typing.get_type_hints(one, names, dict(scope), include_extras=True))
                except Exception as error:
                    where = f"{kind.__qualname__}.{name}"
                    LOG.warning("the annotation of `%s` cannot be resolved, so it is not checked: %s", where, error)
                    hints[name] = Any
        return hints
