"""The parts of parameters that pydantic validates. It is never imported here: a program that uses it has imported it."""

from __future__ import annotations

import sys
import types
import typing
from collections.abc import Callable, Sequence
from json import dumps
from typing import Any

from ._logging import LOG
from ._problems import Problem, invalid, path_of

__all__ = ["converter", "converts", "is_constraint", "is_part_of", "reader"]

_Converter = Callable[[Any], Any]


def is_part_of(annotation: Any) -> bool:
    """Returns whether a type is one that pydantic validates, or contains one."""
    if "pydantic" not in sys.modules:
        return False
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        return hasattr(annotation, "__pydantic_validator__") or hasattr(annotation, "__get_pydantic_core_schema__")
    return any(is_part_of(argument) for argument in typing.get_args(annotation))


def is_constraint(annotation: Any) -> bool:
    """Returns whether an annotation has constraints that pydantic checks, such as ``Annotated[int, Field(gt=0)]``."""
    if "pydantic" not in sys.modules or typing.get_origin(annotation) is not typing.Annotated:
        return False
    return any(_is_known(one) for one in annotation.__metadata__)


def _is_known(one: Any) -> bool:
    return type(one).__module__.startswith(("annotated_types", "pydantic")) or _is_validator(one)


def _is_validator(one: Any) -> bool:
    return hasattr(one, "__get_pydantic_core_schema__")


def converts(annotation: Any) -> bool:
    """Returns whether an annotation has a validator of its own, which may convert values of other types."""
    return is_constraint(annotation) and any(_is_validator(one) for one in annotation.__metadata__)


def reader(annotation: Any) -> Callable[[bytes], Any]:
    pydantic = sys.modules["pydantic"]
    if isinstance(annotation, type) and hasattr(annotation, "model_validate_json"):
        validate = annotation.model_validate_json
    else:
        validate = pydantic.TypeAdapter(annotation).validate_json

    def read(raw: bytes) -> Any:
        try:
            return validate(raw)
        except pydantic.ValidationError as error:
            raise invalid((path_of(steps), text) for steps, text in _problems(error)) from error

    return read


def _problems(error: Any) -> list[tuple[Sequence[str | int], str]]:
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    return [(problem["loc"], problem["msg"]) for problem in problems]


def converter(annotation: Any, check: _Converter | None = None) -> _Converter | None:
    """Returns the function for a part of the parameters that pydantic validates, or ``check`` if pydantic cannot.
    ``check`` is called first, unless the annotation itself converts values: pydantic would take a text for a number."""
    pydantic = sys.modules["pydantic"]
    try:
        validate = pydantic.TypeAdapter(annotation).validate_json
    except Exception as error:  # pydantic calls code of the annotated types
        LOG.warning("pydantic cannot check `%s`: %s", annotation, error)
        return check
    if converts(annotation):
        check = None

    def convert(value: Any) -> Any:
        if check is not None:
            check(value)
        try:
            # As JSON, so that a model gets what it gets as the type of all parameters.
            return validate(dumps(value))
        except pydantic.ValidationError as error:
            raise Problem("invalid value", _problems(error)) from error

    return convert
