"""From what a handler returned or raised to what the orchestrator is told.

Nothing here raises: what cannot be told is a failure that says why.
"""

from __future__ import annotations

import dataclasses
import enum
import errno
import math
import sys
from collections.abc import Iterator, Mapping
from json import JSONEncoder
from typing import Any

from ._logging import LOG
from .errors import TaskError

__all__ = ["Encoded", "Error", "encode", "from_exception", "to_json"]

Error = tuple[str, str, bytes | None]
"""Code, message, and details as JSON."""

Encoded = tuple[str, bytes | None, Error | None]
"""Status, data as JSON, and the error of a failure."""

_SUCCESS = "success"
_FAILURE = "failure"
_PERMANENT = "PERMANENT_ERROR"
_TRANSIENT = "TRANSIENT_ERROR"
_EXHAUSTED = "RESOURCE_EXHAUSTED_ERROR"

# No space, no quota, no writing.
_DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})

# What a path in a message is cut to.
_LONGEST = 200
# What is nested deeper is taken for a mistake; Python itself gives up at about a thousand.
_DEEPEST = 500


def encode(result: Any) -> Encoded:
    """What becomes of a handler's result: a dictionary with ``status``, ``data`` or ``error``, any other dictionary,
    dataclass or model as data, or nothing."""
    try:
        return _encode(result)
    except _Refused as refused:
        return _failed(_PERMANENT, str(refused))
    except Exception as error:  # a conversion of the user's own
        return _failed(_PERMANENT, f"the handler's result cannot be read: {_described(error)}")


def from_exception(error: BaseException) -> Encoded:
    """What becomes of an exception: our typed ones carry their code, a disk that is full or read-only is exhausted, any
    other is transient."""
    try:
        return _from_exception(error)
    except BaseException:  # it does not even say what it has
        return _failed(_TRANSIENT, type(error).__name__)


def _from_exception(error: BaseException) -> Encoded:
    kind = type(error)
    # Not `isinstance`, which asks the exception itself.
    if issubclass(kind, TaskError):
        assert isinstance(error, TaskError)
        details = error.details if isinstance(error.details, Mapping) else None
        message = _text(error.message) or type(error).__name__
        return _failed(_text(error.code) or _TRANSIENT, message, _details(details))
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    code = _EXHAUSTED if issubclass(kind, OSError) and getattr(error, "errno", None) in _DISK else _TRANSIENT
    return _failed(code, _described(error), _details({"type": name}))


class _Refused(Exception):
    """The result is nothing that can be told."""


def _encode(result: Any) -> Encoded:
    if result is None:
        return _SUCCESS, None, None
    if type(result) is not dict and not isinstance(result, Mapping):
        if _as_mapping(result) is None:
            expected = "a dictionary, a dataclass, a model or nothing"
            raise _Refused(f"the handler returned {_came(result)}, expected {expected}")
        return _SUCCESS, _data(result), None
    known = ("status" in result) + ("data" in result) + ("error" in result)
    if not known:
        return _SUCCESS, _data(result), None
    status, data, error = result.get("status"), result.get("data"), result.get("error")
    if status is None:
        status = _SUCCESS if error is None else _FAILURE
    elif isinstance(status, enum.Enum):
        status = status.value
    if not isinstance(status, str):
        raise _Refused(f"the handler's status is {_came(status)}, expected text")
    if not status:
        raise _Refused("the handler's status is empty")
    if len(result) > known or (status == _FAILURE and data):
        _warn_of_the_rest(result, status)
    if status == _FAILURE:
        return _FAILURE, None, _error(error)
    if error is not None:
        # The status decides what becomes of the job, and there is no place for both.
        LOG.warning("the handler gave the status `%s` and an `error`, which is left out", _text(status))
    return (status if status.isascii() else _text(status)), None if data is None else _data(data), None


def _warn_of_the_rest(result: Mapping[Any, Any], status: str) -> None:
    """What has no place in a result is not lost without a word."""
    rest = [_text(key) for key in result if key not in ("status", "data", "error")]
    if status == _FAILURE and result.get("data"):
        rest.append("data")
    if rest:
        names = ", ".join(f"`{name}`" for name in rest)
        LOG.warning("of the handler's result with the status `%s` this is left out: %s", _text(status), names)


def _data(data: Any) -> bytes:
    if type(data) is not dict and not isinstance(data, Mapping) and _as_mapping(data) is None:
        raise _Refused(f"the handler's data is {_came(data)}, expected a dictionary or nothing")
    encoded, problem = _json(data)
    if encoded is None:
        raise _Refused(f"the handler's data is not JSON: {problem}")
    return encoded


def _error(error: Any) -> Error:
    """What the handler said about its failure. Whatever can be understood of it is kept."""
    if error is None:
        return _TRANSIENT, "the handler gave the status `failure` without an `error`", None
    if isinstance(error, BaseException):
        made = from_exception(error)[2]
        assert made is not None
        return made
    if isinstance(error, str):
        return _TRANSIENT, _text(error), None
    fields = error if isinstance(error, Mapping) else _as_mapping(error)
    if fields is None:
        raise _Refused(f"the handler's error is {_came(error)}, expected a dictionary with `code` and `message`")
    code, message, details = fields.get("code"), fields.get("message"), fields.get("details")
    if isinstance(code, enum.Enum):
        code = code.value
    if details is not None and not isinstance(details, Mapping):
        details = {"value": details}
    shown = "" if message is None else _text(message)
    return _TRANSIENT if code is None else _text(code), shown, _details(details)


def _failed(code: str, message: str, details: bytes | None = None) -> Encoded:
    return _FAILURE, None, (code, message, details)


def _details(details: Mapping[Any, Any] | None) -> bytes | None:
    """A failure is not lost because its details cannot be told."""
    if details is None:
        return None
    try:
        encoded, problem = _json(details)
    except Exception as error:  # a conversion of the user's own
        encoded, problem = None, _described(error)
    return encoded if encoded is not None else _json({"problem": f"the details are not JSON: {problem}"})[0]


def _described(error: BaseException) -> str:
    """An exception's own text; one without any has its name."""
    try:
        text = str(error)
    except BaseException:  # it cannot even say what it is
        text = ""
    return _text(text) or type(error).__name__


def _text(value: Any) -> str:
    """As text that can be sent: half a surrogate pair becomes a question mark."""
    text = value if isinstance(value, str) else str(value)
    return text.encode(errors="replace").decode()


def _came(value: Any) -> str:
    """What came instead of what was expected."""
    kinds: dict[type, str] = {
        list: "a list",
        tuple: "a tuple",
        str: "a string",
        bool: "a boolean",
        int: "a number",
        float: "a number",
    }
    kind = kinds.get(type(value)) or (
        "a number" if isinstance(value, float) else f"a value of the type `{_name(value)}`"
    )
    try:
        shown = repr(value)
    except Exception:  # a `__repr__` of the user's own
        return kind
    return f"{kind}, `{_cut(_text(shown), 80)}`"


def _name(value: Any) -> str:
    return type(value).__qualname__


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[:longest] + "…"


# --- JSON


def _json(data: Any) -> tuple[bytes | None, str]:
    """The JSON text, or what in the data is not JSON, and where."""
    try:
        return _encoder.encode(data).encode(), ""
    except (ValueError, TypeError, RecursionError) as error:
        # Only now it is looked for: nearly all data is fine.
        return None, _first_problem(data) or _text(error)


def to_json(data: Any) -> bytes:
    """The JSON text of data, converted as a result's are. Raises ``ValueError`` naming the path of what is none."""
    encoded, problem = _json(data)
    if encoded is None:
        raise ValueError(f"the data is not JSON: {problem}")
    return encoded


def _converted(value: Any) -> Any:
    """What the encoder does not know, as what it does."""
    mapping = _as_mapping(value)
    if mapping is not None:
        return mapping
    if isinstance(value, enum.Enum):
        return value.value
    if _is_one(value, "datetime", "date", "time"):
        return value.isoformat()
    if _is_one(value, "uuid", "UUID") or _is_one(value, "pathlib", "PurePath"):
        return str(value)
    raise TypeError(f"a value of the type `{_name(value)}`")


def _is_one(value: Any, module: str, *classes: str) -> bool:
    """Whether it is of a class of a module, which is not imported for it: whoever has such a value has imported it."""
    loaded = sys.modules.get(module)
    return loaded is not None and isinstance(value, tuple(getattr(loaded, name) for name in classes))


_encoder = JSONEncoder(allow_nan=False, ensure_ascii=False, separators=(",", ":"), default=_converted)


def _as_mapping(value: Any) -> Mapping[Any, Any] | None:
    """The fields of a dataclass or of a pydantic model; None for anything else."""
    if isinstance(value, type):
        return None
    if hasattr(value, "__pydantic_serializer__") and hasattr(value, "model_dump"):
        dumped = value.model_dump(mode="json")
        return dumped if isinstance(dumped, dict) else None
    if dataclasses.is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return dict(value) if isinstance(value, Mapping) else None


def _first_problem(data: Any) -> str | None:
    """What is not JSON, and where."""
    # What is being looked into: each with its children, and the step that led to the current one.
    within: list[tuple[Any, Iterator[tuple[str | int, Any]]]] = []
    steps: list[str | int] = []
    item = data
    while True:
        problem, children = _look_at(item)
        if problem is None and children is not None:
            if any(item is outer for outer, _ in within):
                problem = "it contains itself"
            elif len(within) == _DEEPEST:
                problem = f"more than {_DEEPEST} levels"
        if problem is not None:
            return _placed(steps, problem)
        if children is not None:
            within.append((item, children))
            # Taken below, if there are any.
            steps.append("")
        while within:
            try:
                steps[-1], item = next(within[-1][1])
                break
            except StopIteration:
                within.pop()
                steps.pop()
        else:
            return None


def _placed(steps: list[str | int], problem: str) -> str:
    path = ""
    for step in steps:
        path += f"[{step}]" if isinstance(step, int) else f".{step}" if path else step
    return f"at `{_cut(_text(path), _LONGEST)}`: {problem}" if path else problem


def _look_at(value: Any) -> tuple[str | None, Iterator[tuple[str | int, Any]] | None]:
    """A problem of the value itself, and what is in it."""
    try:
        while not isinstance(value, (type(None), bool, int, float, str, dict, list, tuple)):
            value = _converted(value)
    except TypeError as error:
        return str(error), None
    if isinstance(value, dict):
        return _key_problem(value), ((str(key), item) for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return None, iter(enumerate(value))
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else str(float(value)), None
    try:
        _encoder.encode(value).encode()
    except UnicodeEncodeError:
        return "text with half of a surrogate pair", None
    except ValueError as error:
        return str(error), None
    return None, None


def _key_problem(value: dict[Any, Any]) -> str | None:
    for key in value:
        if not isinstance(key, (str, int, float, type(None))):
            return f"the key `{_cut(_text(repr(key)), 80)}` is of the type `{_name(key)}`, expected text"
        if _look_at(key)[0] is not None:
            return f"the key `{_cut(_text(key), 80)}` is no text that can be sent"
    return None
