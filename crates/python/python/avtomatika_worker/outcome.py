"""The conversion of a handler's result or exception to the outcome that the orchestrator is sent.

Encoding never raises: a result that cannot be sent becomes a failure that names the reason.
"""

from __future__ import annotations

import dataclasses
import enum
import errno
import json
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from json import JSONEncoder
from typing import Any

from ._logging import LOG
from .errors import TaskError

__all__ = ["Encoded", "Error", "encode", "from_exception", "members", "to_json"]

Error = tuple[str, str, bytes | None]
"""Code, message, and details as JSON."""

Further = tuple[bytes | None, bytes | None]
"""Metadata and costs, as JSON."""

Encoded = tuple[str, bytes | None, Error | None, Further | None]
"""Status, data as JSON, the error, and the further members of a result that has some."""

_SUCCESS = "success"
_FAILURE = "failure"
_CANCELLED = "cancelled"
_PERMANENT = "PERMANENT_ERROR"
_TRANSIENT = "TRANSIENT_ERROR"
_EXHAUSTED = "RESOURCE_EXHAUSTED_ERROR"

# The data of a result that does not mention any, which is encoded without looking at it.
_EMPTY: dict[Any, Any] = {}

# What a handler returned as a failure or as cancelled has its costs, as the results of the existing SDK; what it raised
# has not.
_RETURNED: Further = (b"{}", b"{}")

# A full disk, an exhausted quota, a read-only file system, a file beyond the limit of `ulimit -f`.
_DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG})

# The length that a path in a message is cut to, in characters.
_MAX_PATH = 200
# How much of a group of exceptions is told: the number of causes, and the length of each in characters.
_MAX_CAUSES = 5
_MAX_CAUSE = 300
# Deeper nesting is taken for a mistake; Python itself fails at about a thousand levels.
_MAX_DEPTH = 500


def encode(result: Any) -> Encoded:
    """Encodes a handler's result: a dictionary with ``status``, ``data`` or ``error``, and with ``metadata`` and ``costs``
    beside them; any other dictionary, a dataclass or a model, which is the data; or ``None``."""
    try:
        return _encode(result)
    except _Refused as refused:
        return _failed(_PERMANENT, str(refused))
    except Exception as error:  # a conversion of the user's own
        return _failed(_PERMANENT, f"the handler's result cannot be read: {_described(error)}")


def from_exception(error: BaseException) -> Encoded:
    """Encodes an exception: a ``TaskError`` has its code, an error of a full or read-only disk is a
    ``RESOURCE_EXHAUSTED_ERROR``, any other exception is a ``TRANSIENT_ERROR``."""
    try:
        return _from_exception(error)
    except BaseException:  # the exception cannot even be inspected
        return _failed(_TRANSIENT, type(error).__name__)


def _from_exception(error: BaseException) -> Encoded:
    kind = type(error)
    # Not `isinstance`, which calls code of the exception.
    if issubclass(kind, TaskError):
        assert isinstance(error, TaskError)
        details = error.details if isinstance(error.details, Mapping) else None
        message = _text(error.message) or type(error).__name__
        return _failed(_text(error.code) or _TRANSIENT, message, _details(details))
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    code = _EXHAUSTED if issubclass(kind, OSError) and getattr(error, "errno", None) in _DISK else _TRANSIENT
    return _failed(code, _described(error), _details({"type": name}))


class _Refused(Exception):
    """The result cannot be sent."""


def _encode(result: Any) -> Encoded:
    if result is None:
        return _SUCCESS, None, None, None
    if type(result) is not dict and not isinstance(result, Mapping):
        if _as_mapping(result) is None:
            expected = "a dictionary, a dataclass, a model or `None`"
            raise _Refused(f"the handler returned {_shown(result)}, expected {expected}")
        return _SUCCESS, _data(result), None, None
    known = ("status" in result) + ("data" in result) + ("error" in result)
    if not known:
        return _SUCCESS, _data(result), None, None
    # As in the existing SDK, data that is not mentioned is empty, and ``None`` is none.
    status, data, error = result.get("status"), result.get("data", _EMPTY), result.get("error")
    if isinstance(status, str) and status == _SUCCESS and error is None and len(result) == known:
        # By far the most results.
        return _SUCCESS, b"{}" if data is _EMPTY else None if data is None else _data(data), None, None
    if status is None:
        status = _SUCCESS if error is None else _FAILURE
    elif isinstance(status, enum.Enum):
        status = status.value
    if not isinstance(status, str):
        raise _Refused(f"the handler's status is {_shown(status)}, expected text")
    if not status:
        raise _Refused("the handler's status is empty")
    further = _further(result, status) if len(result) > known else None
    if status == _FAILURE:
        return _FAILURE, _data_of_failure(data), _error(error), further or _RETURNED
    if status == _CANCELLED:
        further = further or _RETURNED
    # The status decides how the job continues, whatever the error is.
    beside = None if error is None else _error_beside(error, status)
    return (status if status.isascii() else _text(status)), None if data is None else _data(data), beside, further


def _further(result: Mapping[Any, Any], status: str) -> Further | None:
    """Returns the metadata and the costs of a result, and logs the members that are not sent."""
    rest = [_text(key) for key in result if key not in ("status", "data", "error", "metadata", "costs")]
    if rest:
        names = ", ".join(f"`{name}`" for name in rest)
        LOG.warning("members of the handler's result with the status `%s` are not sent: %s", _text(status), names)
    metadata, costs = (_side(result.get(name), name, status) for name in ("metadata", "costs"))
    if metadata is None and costs is None:
        return None
    return metadata or (b"{}" if status == _FAILURE else None), costs or (b"{}" if status == _FAILURE else None)


def _side(value: Any, name: str, status: str) -> bytes | None:
    """Encodes a member beside the data. If it cannot be sent, the result is sent without it."""
    if value is None:
        return None
    if value is _EMPTY:
        return b"{}"
    problem: str | None = None
    try:
        if isinstance(value, Mapping) or _as_mapping(value) is not None:
            encoded, problem = _json(value)
            if encoded is not None:
                return encoded
    except Exception as error:  # a conversion of the user's own
        problem = _described(error)
    problem = f"not JSON: {problem}" if problem else f"{_shown(value)}, expected a dictionary"
    LOG.warning(
        "the `%s` of the handler's result with the status `%s` is not sent: it is %s", name, _text(status), problem
    )
    return None


def _data_of_failure(data: Any) -> bytes | None:
    # A failure without its data is worth more than another failure about the data.
    return _side(data, "data", _FAILURE)


def _error_beside(error: Any, status: str) -> Error | None:
    try:
        return _error(error)
    except _Refused as refused:
        LOG.warning("the `error` beside the status `%s` is not sent: %s", _text(status), refused)
        return None


def _data(data: Any) -> bytes:
    if data is _EMPTY:
        return b"{}"
    if type(data) is not dict and not isinstance(data, Mapping) and _as_mapping(data) is None:
        raise _Refused(f"the handler's data is {_shown(data)}, expected a dictionary or `None`")
    encoded, problem = _json(data)
    if encoded is None:
        raise _Refused(f"the handler's data is not JSON: {problem}")
    return encoded


def _error(error: Any) -> Error:
    """Encodes the handler's description of its failure, as far as it can be understood."""
    if error is None:
        return _TRANSIENT, "the handler returned the status `failure` without an `error`", None
    if isinstance(error, BaseException):
        made = from_exception(error)[2]
        assert made is not None
        return made
    if isinstance(error, str):
        return _TRANSIENT, _text(error), None
    fields = error if isinstance(error, Mapping) else _as_mapping(error)
    if fields is None:
        raise _Refused(f"the handler's error is {_shown(error)}, expected a dictionary with `code` and `message`")
    code, message, details = fields.get("code"), fields.get("message"), fields.get("details")
    if isinstance(code, enum.Enum):
        code = code.value
    if details is not None and not isinstance(details, Mapping):
        details = {"value": details}
    text = "" if message is None else _text(message)
    return _TRANSIENT if code is None else _text(code), text, _details(details)


def _failed(code: str, message: str, details: bytes | None = None) -> Encoded:
    return _FAILURE, None, (code, message, details), None


def _details(details: Mapping[Any, Any] | None) -> bytes | None:
    """Encodes the details of a failure. If they are not JSON, the failure is sent with that problem as its details."""
    if details is None:
        return None
    try:
        encoded, problem = _json(details)
    except Exception as error:  # a conversion of the user's own
        encoded, problem = None, _described(error)
    return encoded if encoded is not None else _json({"problem": f"the details are not JSON: {problem}"})[0]


def _described(error: BaseException) -> str:
    """Returns the text of an exception, with its class if the text is only a value, and with the causes of a group."""
    kind = type(error)
    try:
        text = _text(str(error))
        if issubclass(kind, BaseExceptionGroup):
            return f"{text}: {_causes(error)}"  # type: ignore[arg-type]
        return f"{kind.__name__}: {text}" if text and _is_value(error) else text or kind.__name__
    except BaseException:  # its `__str__` fails
        return kind.__name__


def _is_value(error: BaseException) -> bool:
    """Returns whether the text of an exception is only a value, such as the missing key of a ``KeyError``."""
    form = type(error).__str__
    if form is not BaseException.__str__:
        return form is KeyError.__str__
    is_text = len(error.args) == 1 and isinstance(error.args[0], str)
    return not is_text or issubclass(type(error), (StopIteration, StopAsyncIteration))


def _causes(group: BaseExceptionGroup[BaseException]) -> str:
    """Names the exceptions in a group, and in groups within it."""
    left, causes = [group], []
    while left:
        for error in left.pop().exceptions:
            if isinstance(error, BaseExceptionGroup):
                left.append(error)
            else:
                name, text = type(error).__name__, _cut(_described(error), _MAX_CAUSE)
                causes.append(text if text.startswith(name) else f"{name}: {text}")
    more = len(causes) - _MAX_CAUSES
    return "; ".join(causes[:_MAX_CAUSES]) + (f"; and {more} more" if more > 0 else "")


def _text(value: Any) -> str:
    """Returns a value as text that can be sent: half of a surrogate pair becomes a question mark."""
    text = value if isinstance(value, str) else str(value)
    return text.encode(errors="replace").decode()


def _shown(value: Any) -> str:
    """Describes an unexpected value for a message: its kind, and its beginning."""
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
        text = repr(value)
    except Exception:  # a `__repr__` of the user's own
        return kind
    return f"{kind}, `{_cut(_text(text), 80)}`"


def _name(value: Any) -> str:
    return type(value).__qualname__


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[:limit] + "…"


# --- JSON


def _json(data: Any) -> tuple[bytes | None, str]:
    """Returns the JSON text, or the part of the data that is not JSON, with its path."""
    try:
        return "".join(_parts(data, 0)).encode(), ""
    except (ValueError, TypeError, RecursionError) as error:
        # The search for the path is slow, and needed rarely.
        return None, _first_problem(data) or _text(error)


def to_json(data: Any) -> bytes:
    """Returns data as JSON text, converted like the data of a result. Raises ``ValueError`` with the path of the part
    that is not JSON."""
    encoded, problem = _json(data)
    if encoded is None:
        raise ValueError(f"the data is not JSON: {problem}")
    return encoded


def members(value: Any, what: str) -> dict[str, Any]:
    """Returns the members of a dictionary, a dataclass or a model, without those that are ``None``. Raises ``TypeError``
    for anything else."""
    found = value if isinstance(value, Mapping) else _as_mapping(value)
    if found is None:
        raise TypeError(f"the {what} is {_shown(value)}, expected a dictionary")
    return {name: member for name, member in found.items() if member is not None}


def _converted(value: Any) -> Any:
    """Converts a value that the JSON encoder does not know to one that it knows."""
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
    """Returns whether a value is of a class of a module. The module is not imported: a program that has such a value has
    imported it."""
    loaded = sys.modules.get(module)
    return loaded is not None and isinstance(value, tuple(getattr(loaded, name) for name in classes))


_encoder = JSONEncoder(allow_nan=False, ensure_ascii=False, separators=(",", ":"), default=_converted)


def _made_parts() -> Callable[[Any, int], Iterable[str]]:
    """Returns the function that encodes data, given with its level of indentation, to parts of a text. ``JSONEncoder``
    makes it again for each text, and looks for data that contains itself: here that is nested too deeply."""
    make = getattr(json.encoder, "c_make_encoder", None)
    if make is None:
        # An interpreter without the part of `json` that is written in C.
        return lambda data, _: _encoder.iterencode(data)
    made: Callable[[Any, int], Iterable[str]] = make(
        None, _converted, json.encoder.encode_basestring, None, ":", ",", False, False, False
    )
    return made


_parts = _made_parts()


def _as_mapping(value: Any) -> Mapping[Any, Any] | None:
    """Returns the fields of a dataclass or of a pydantic model, or None for anything else."""
    if isinstance(value, type):
        return None
    if hasattr(value, "__pydantic_serializer__") and hasattr(value, "model_dump"):
        dumped = value.model_dump(mode="json")
        return dumped if isinstance(dumped, dict) else None
    if dataclasses.is_dataclass(value):
        if hasattr(value, "_as_data"):
            return value._as_data()  # type: ignore[no-any-return]
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return dict(value) if isinstance(value, Mapping) else None


def _first_problem(data: Any) -> str | None:
    """Finds the first part of data that is not JSON; returns it with its path."""
    # The containers around the current item, each with its remaining children, and the steps to the current item.
    within: list[tuple[Any, Iterator[tuple[str | int, Any]]]] = []
    steps: list[str | int] = []
    item = data
    while True:
        problem, children = _look_at(item)
        if problem is None and children is not None:
            if any(item is outer for outer, _ in within):
                problem = "it contains itself"
            elif len(within) == _MAX_DEPTH:
                problem = f"more than {_MAX_DEPTH} levels"
        if problem is not None:
            return _placed(steps, problem)
        if children is not None:
            within.append((item, children))
            # A placeholder: the loop below sets it for each child.
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
    return f"at `{_cut(_text(path), _MAX_PATH)}`: {problem}" if path else problem


def _look_at(value: Any) -> tuple[str | None, Iterator[tuple[str | int, Any]] | None]:
    """Returns the problem of the value itself, and its children."""
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
            return f"the key `{_cut(_text(key), 80)}` cannot be sent as text"
    return None
