"""The decorator ``skill``, and the options that it makes of what it is given."""

from __future__ import annotations

from .validators import validate_identifier

# As in `typing`, whose import would take most of the time of importing this package.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, TypeVar, overload

    _Function = TypeVar("_Function", bound=Callable[..., Any])

__all__ = ["Skills", "options_of"]

_KNOWN = (
    "name",
    "type",
    "task_type",
    "timeout",
    "description",
    "version",
    "input_schema",
    "output_schema",
    "output_statuses",
    "events_schema",
    "events",
)
"""The fields of a skill that mean something here. All others are sent as they are."""


class Skills:
    """Something that skills are registered with: a worker or a blueprint."""

    _info_class: type[Any] | None = None

    def _register(self, name: str, func: Callable[..., Any], options: dict[str, Any]) -> None:
        raise NotImplementedError

    if TYPE_CHECKING:

        @overload
        def skill(self, info: _Function) -> _Function: ...

        @overload
        def skill(self, info: Any = None, **options: Any) -> Callable[[_Function], _Function]: ...

    def skill(self, info: Any = None, **options: Any) -> Any:
        """The newer form of ``task``, with or without parentheses. The default of the name is that of the function.

        ``info`` is a name, a ``SkillInfo``, a class of one, or another object with the fields of a skill. The options are
        further fields, which take precedence: those of ``task``, with ``type`` for ``task_type`` and ``events_schema`` for
        ``events``; all others are sent to orchestrators as they are. Schemas are dictionaries or classes. Those that
        are not given are made from the handler's annotations; orchestrators may check tasks against them before a
        worker gets them, but the worker does not. A class given as ``input_schema`` that is also the annotation of
        ``params`` is not checked twice: the conversion decides. Raises ``ValueError`` for an invalid field.
        """
        if callable(info) and not isinstance(info, type) and not hasattr(info, "name"):
            return self.skill()(info)

        def register(func: _Function) -> _Function:
            fallback = getattr(func, "__name__", type(func).__name__)
            name, found = options_of(info, options, fallback, self._info_class)
            self._register(name, func, found)
            return func

        return register


def options_of(
    info: Any, given: Mapping[str, Any], fallback: str, info_class: type[Any] | None
) -> tuple[str, dict[str, Any]]:
    """Returns the name and the options of a skill. ``fallback`` is the name if none is given."""
    values = dict(given)
    if isinstance(info, str):
        values.setdefault("name", info)
        info = None
    if info is None:
        info = info_class
    if isinstance(info, type):
        info = _instance(info, {**values, "name": values.get("name") or fallback})
    if info is not None:
        values = {**(info if _is_mapping(info) else _fields(info)), **values}
    name = values.pop("name", None) or fallback
    validate_identifier(name, "skill name")
    from ._task_options import check

    found = _options(name, values)
    check(name, found)
    return name, found


def _options(name: str, values: dict[str, Any]) -> dict[str, Any]:
    group = _either(name, values, "type", "task_type")
    if group:
        validate_identifier(group, f"type of the skill `{name}`")
    timeout = values.get("timeout")
    events = _either(name, values, "events_schema", "events") or {}
    if not _is_mapping(events):
        raise ValueError(f"the events of the skill `{name}` are `{events!r}`, expected a dictionary of schemas")
    given = values.get("input_schema")
    input_class = None if _is_mapping(given) else given
    schemas = {field: _schema(name, field, values.pop(field, None)) for field in ("input_schema", "output_schema")}
    return {
        "infers": True,
        "task_type": group or None,
        "timeout": timeout,
        "description": _text(values.pop("description", None)),
        "version": _text(values.pop("version", None)),
        **schemas,
        "input_class": input_class,
        "output_statuses": _statuses(name, values.pop("output_statuses", None)),
        "events": {kind: _schema(name, f"event `{kind}`", schema) or {} for kind, schema in events.items()},
        "extra": _extra(
            name, {field: value for field, value in values.items() if field not in _KNOWN and value is not None}
        ),
    }


def _either(name: str, values: dict[str, Any], field: str, other: str) -> Any:
    """Returns the value of a field that has two names."""
    value, further = values.pop(field, None), values.pop(other, None)
    if value and further and value != further:
        from ._logging import LOG

        LOG.warning("the skill `%s` has both `%s` and `%s`, which differ: `%s` counts", name, field, other, field)
    return value or further


def _names(kind: type[Any]) -> list[str] | None:
    """The names of a class's fields; None for a class without declared fields."""
    for attribute in ("__struct_fields__", "model_fields", "__dataclass_fields__"):
        names = getattr(kind, attribute, None)
        if names is not None:
            return list(names)
    return None


def _is_mapping(value: Any) -> bool:
    from collections.abc import Mapping

    return isinstance(value, Mapping)


def _instance(kind: type[Any], values: Mapping[str, Any]) -> Any:
    names = _names(kind)
    # The attributes of a class without declared fields are the fields of the skill.
    return kind if names is None else kind(**{name: values[name] for name in names if name in values})


def _fields(info: Any) -> dict[str, Any]:
    """The fields of an object. Those that have their default values are not sent, as with the existing SDK."""
    from .models import Model, to_dict

    names = _names(type(info))
    values = {name: getattr(info, name, None) for name in (_KNOWN if names is None else names)}
    kept = to_dict(info) if isinstance(info, Model) else values
    return {name: value for name, value in values.items() if value is not None and (name in _KNOWN or name in kept)}


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _statuses(name: str, value: Any) -> tuple[str, ...] | None:
    from ._task_options import texts

    value = texts(value)
    if value is None or (isinstance(value, tuple) and all(isinstance(one, str) for one in value)):
        return value
    raise ValueError(f"the `output_statuses` of the skill `{name}` are `{value!r}`, expected a list of texts")


def _schema(name: str, field: str, value: Any) -> dict[str, Any] | None:
    """Returns a schema, which may be given as a class that describes the values."""
    if value is None:
        return None
    schema = value if _is_mapping(value) else _of_type(value)
    if schema is None:
        raise ValueError(
            f"the schema of `{field}` of the skill `{name}` is `{value!r}`, expected a dictionary or a class"
        )
    return dict(schema)


def _of_type(value: Any) -> dict[str, Any] | None:
    import typing

    if not isinstance(value, type) and typing.get_origin(value) is None:
        return None
    from .extraction import worker_extract_json_schema

    return worker_extract_json_schema(value)


def _extra(name: str, values: dict[str, Any]) -> dict[str, Any]:
    if not values:
        return {}
    import json

    from .models import to_dict

    for field, value in values.items():
        try:
            values[field] = json.loads(json.dumps(to_dict(value), allow_nan=False))
        except (TypeError, ValueError) as error:
            raise ValueError(f"`{field}` of the skill `{name}` is not JSON: {error}") from None
    return values
