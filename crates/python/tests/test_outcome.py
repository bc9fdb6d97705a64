"""The conversion of results and exceptions to outcomes."""

import dataclasses
import datetime
import enum
import errno
import json
import math
import pathlib
import random
import struct
import types
import uuid
from collections import OrderedDict, namedtuple

import pydantic
import pytest
from avtomatika_worker import errors
from avtomatika_worker.outcome import encode, from_exception


class Colour(enum.Enum):
    RED = "red"


class Word(enum.StrEnum):
    ONE = "one"


class Number(enum.IntEnum):
    TWO = 2


@dataclasses.dataclass
class Point:
    x: float
    at: datetime.datetime | None = None


class Model(pydantic.BaseModel):
    mean: float
    when: datetime.date = datetime.date(2026, 1, 2)
    point: Point | None = None


@pytest.mark.parametrize(
    ("result", "status", "data"),
    [
        (None, "success", None),
        ({}, "success", {}),
        ({"a": 1}, "success", {"a": 1}),
        ({"data": {"a": 1}}, "success", {"a": 1}),
        ({"status": "success"}, "success", {}),
        ({"status": "success", "data": None}, "success", None),
        ({"status": "needs_manual_review", "data": {"reason": "r"}}, "needs_manual_review", {"reason": "r"}),
        ({"status": "success", "data": {}, "error": None}, "success", {}),
        ({"status": None, "data": {"a": 1}}, "success", {"a": 1}),
        ({"status": Word.ONE}, "one", {}),
        ({"status": Colour.RED, "data": None}, "red", None),
        (OrderedDict(a=1), "success", {"a": 1}),
        (types.MappingProxyType({"a": 1}), "success", {"a": 1}),
        ({"data": types.MappingProxyType({"a": types.MappingProxyType({})})}, "success", {"a": {}}),
        (Point(1.5), "success", {"x": 1.5, "at": None}),
        ({"data": Point(1)}, "success", {"x": 1, "at": None}),
        (Model(mean=1), "success", {"mean": 1.0, "when": "2026-01-02", "point": None}),
        ({"status": "s", "data": Model(mean=1)}, "s", {"mean": 1.0, "when": "2026-01-02", "point": None}),
    ],
)
def test_the_forms_of_a_result(result, status, data):
    encoded_status, encoded, error, further = encode(result)
    assert (encoded_status, error, further) == (status, None, None)
    assert (None if encoded is None else json.loads(encoded)) == data


def test_the_usual_conversions():
    pair = namedtuple("pair", "a b")
    data = {
        "datetime": datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC),
        "date": datetime.date(2026, 1, 2),
        "time": datetime.time(3, 4),
        "uuid": uuid.UUID(int=1),
        "path": pathlib.PurePosixPath("/a"),
        "enum": Colour.RED,
        "word": Word.ONE,
        "number": Number.TWO,
        "tuple": (1, 2),
        "named": pair(1, 2),
        "nested": [Point(1.0, datetime.datetime(2026, 1, 2)), Model(mean=2, point=Point(3))],
        5: "a key as json has it",
        None: "another",
    }
    assert json.loads(encode(data)[1]) == {
        "datetime": "2026-01-02T03:04:05+00:00",
        "date": "2026-01-02",
        "time": "03:04:00",
        "uuid": "00000000-0000-0000-0000-000000000001",
        "path": "/a",
        "enum": "red",
        "word": "one",
        "number": 2,
        "tuple": [1, 2],
        "named": [1, 2],
        "nested": [
            {"x": 1.0, "at": "2026-01-02T00:00:00"},
            {"mean": 2.0, "when": "2026-01-02", "point": {"x": 3.0, "at": None}},
        ],
        "5": "a key as json has it",
        "null": "another",
    }


def test_numbers_and_text_are_exact():
    bits = [random.Random(3).getrandbits(64) for _ in range(2000)]
    floats = [
        value for value in (struct.unpack("<d", struct.pack("<Q", one))[0] for one in bits) if math.isfinite(value)
    ]
    data = {"floats": floats, "big": [2**64, -(10**100)], "text": "žluťoučký \u0000\u2028 🎉", "b": 1, "a": 2}
    encoded = encode(data)[1]
    assert json.loads(encoded) == data
    assert list(json.loads(encoded)) == list(data)
    assert "žluťoučký".encode() in encoded


def cyclic() -> dict:
    data: dict = {"a": [1]}
    data["a"].append(data)
    return data


def deep(levels: int) -> dict:
    data: dict = {}
    for _ in range(levels):
        data = {"d": data}
    return data


@dataclasses.dataclass
class Selfish:
    me: object = None


def selfish() -> Selfish:
    one = Selfish()
    one.me = [one]
    return one


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ({"mean": float("nan")}, "at `mean`: NaN"),
        ({"a b": [0, (1, {"c": float("-inf")})]}, "at `a b[1][1].c`: -inf"),
        ({"raw": b"x"}, "at `raw`: a value of the type `bytes`"),
        ({"many": [{1, 2}]}, "at `many[0]`: a value of the type `set`"),
        ({"o": object()}, "at `o`: a value of the type `object`"),
        ({"kind": Point}, "at `kind`: a value of the type `type`"),
        ({"m": Model(mean=float("inf"))}, "at `m.mean`: inf"),
        ({"p": [Point(float("nan"))]}, "at `p[0].x`: NaN"),
        (cyclic(), "at `a[1]`: it contains itself"),
        ({"s": selfish()}, "at `s.me[0]`: it contains itself"),
        ({"half": "\ud800"}, "at `half`: text with half of a surrogate pair"),
        ({"a": {"\ud800": 1}}, "at `a`: the key `?` cannot be sent as text"),
        ({"a": [{(1, 2): 3}]}, "at `a[0]`: the key `(1, 2)` is of the type `tuple`, expected text"),
        ({"a": {float("nan"): 1}}, "at `a`: the key `nan` cannot be sent as text"),
        ({"n": 10**5000}, "at `n`: Exceeds the limit"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_data_that_are_not_json_are_named_by_their_path(data, problem):
    status, encoded, error, further = encode({"status": "success", "data": data})
    assert (status, encoded, further) == ("failure", None, None)
    code, message, details = error
    assert (code, details) == ("PERMANENT_ERROR", None)
    assert message.startswith(f"the handler's data is not JSON: {problem}")
    message.encode()


def test_data_nested_too_deeply_are_refused_and_others_are_sent():
    assert encode(deep(300))[0] == "success"
    _, encoded, error, _ = encode(deep(100_000))
    assert encoded is None
    assert error[0] == "PERMANENT_ERROR"
    assert "more than 500 levels" in error[1]
    assert len(error[1]) < 400


@pytest.mark.parametrize(
    ("result", "message"),
    [
        ([1], "the handler returned a list, `[1]`, expected a dictionary, a dataclass, a model or `None`"),
        ((1,), "the handler returned a tuple, `(1,)`"),
        ("text", "the handler returned a string, `'text'`"),
        (5, "the handler returned a number, `5`"),
        (0.5, "the handler returned a number, `0.5`"),
        (True, "the handler returned a boolean, `True`"),
        (b"x", "the handler returned a value of the type `bytes`, `b'x'`"),
        (Point, "the handler returned a value of the type `type`"),
        ("\ud800" * 200, "the handler returned a string"),
        ({"data": [1]}, "the handler's data is a list, `[1]`, expected a dictionary or `None`"),
        ({"data": "x" * 1000}, "the handler's data is a string, `'xxx"),
        ({"data": 0}, "the handler's data is a number, `0`"),
        ({"status": 5}, "the handler's status is a number, `5`, expected text"),
        ({"status": ""}, "the handler's status is empty"),
        ({"status": "failure", "error": 5}, "the handler's error is a number, `5`, expected a dictionary"),
    ],
)
def test_the_error_for_anything_else_shows_the_value(result, message):
    status, data, error, further = encode(result)
    assert (status, data, further) == ("failure", None, None)
    assert error[0] == "PERMANENT_ERROR"
    assert error[1].startswith(message)
    assert len(error[1].encode()) < 400


@pytest.mark.parametrize(
    ("result", "error"),
    [
        (
            {"status": "failure", "error": {"code": "C", "message": "m", "details": {"a": 1}}},
            ("C", "m", b'{"a":1}'),
        ),
        ({"error": {"code": "C", "message": "m"}}, ("C", "m", None)),
        ({"status": "failure", "error": {"code": "C"}}, ("C", "", None)),
        ({"status": "failure", "error": {"code": Word.ONE, "message": None}}, ("one", "", None)),
        ({"status": "failure", "error": {"message": 5}}, ("TRANSIENT_ERROR", "5", None)),
        ({"status": "failure", "error": "text"}, ("TRANSIENT_ERROR", "text", None)),
        ({"status": "failure", "error": errors.PermanentError("no")}, ("PERMANENT_ERROR", "no", None)),
        (
            {"status": "failure"},
            ("TRANSIENT_ERROR", "the handler returned the status `failure` without an `error`", None),
        ),
        ({"error": {"code": "C", "message": "m", "details": [1]}}, ("C", "m", b'{"value":[1]}')),
        (
            {"error": {"code": "C", "message": "m", "details": {"a": float("nan")}}},
            ("C", "m", b'{"problem":"the details are not JSON: at `a`: NaN"}'),
        ),
        ({"error": {"code": "C", "message": "half: \ud800"}}, ("C", "half: ?", None)),
    ],
)
def test_a_failure_is_kept_as_far_as_it_can_be_understood(result, error):
    assert encode(result) == ("failure", b"{}", error, NO_OTHERS)


NO_OTHERS = (b"{}", b"{}")
"""The metadata and the costs of a failure or a cancellation that was returned: none of its own, but the run time."""


@pytest.mark.parametrize(
    ("result", "encoded"),
    [
        ({"status": "mine", "error": {"code": "C"}}, ("mine", b"{}", ("C", "", None), None)),
        ({"status": "mine", "error": "text", "data": None}, ("mine", None, ("TRANSIENT_ERROR", "text", None), None)),
        ({"status": "success", "error": {"code": "C"}}, ("success", b"{}", ("C", "", None), None)),
        (
            {"status": "failure", "data": {"a": 1}, "error": {"code": "C"}},
            ("failure", b'{"a":1}', ("C", "", None), NO_OTHERS),
        ),
        (
            {"status": "failure", "data": None, "error": "e"},
            ("failure", None, ("TRANSIENT_ERROR", "e", None), NO_OTHERS),
        ),
        (
            {"status": "failure", "error": {"code": "C"}, "metadata": {"m": 1}, "costs": {"gpu": 2}},
            ("failure", b"{}", ("C", "", None), (b'{"m":1}', b'{"gpu":2}')),
        ),
        ({"data": {"a": 1}, "metadata": Point(1)}, ("success", b'{"a":1}', None, (b'{"x":1,"at":null}', None))),
        ({"status": "s", "costs": {"tokens": 7}}, ("s", b"{}", None, (None, b'{"tokens":7}'))),
        ({"data": {}, "metadata": None, "costs": None}, ("success", b"{}", None, None)),
        ({"status": "cancelled"}, ("cancelled", b"{}", None, NO_OTHERS)),
        ({"metadata": {"m": 1}}, ("success", b'{"metadata":{"m":1}}', None, None)),
    ],
)
def test_what_stands_beside_the_data_is_sent_too(result, encoded, caplog):
    assert encode(result) == encoded
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("member", "named"),
    [
        ({"value": 5}, "are not sent: `value`"),
        (
            {"metadata": [1]},
            "the `metadata` of the handler's result with the status `mine` is not sent: it is a list, `[1]`",
        ),
        ({"costs": 3}, "the `costs` of the handler's result with the status `mine` is not sent: it is a number, `3`"),
        ({"metadata": {"a": [{1}]}}, "is not sent: it is not JSON: at `a[0]`: a value of the type `set`"),
        ({"costs": {"n": float("nan")}}, "is not sent: it is not JSON: at `n`: NaN"),
        ({"error": 5}, "the `error` beside the status `mine` is not sent: the handler's error is a number, `5`"),
    ],
)
def test_members_of_a_result_that_are_not_sent_are_logged(member, named, caplog):
    assert encode({"status": "mine", "data": {"a": 1}, **member}) == ("mine", b'{"a":1}', None, None)
    assert named in caplog.text


def test_a_failure_is_sent_without_data_that_cannot_be_sent(caplog):
    encoded = encode({"status": "failure", "data": {"a": float("nan")}, "error": {"code": "C"}})
    assert encoded == ("failure", None, ("C", "", None), NO_OTHERS)
    assert "the `data` of the handler's result with the status `failure` is not sent" in caplog.text


def test_no_code_of_the_user_makes_it_raise():
    class Rude:
        def __repr__(self):
            raise RuntimeError("no")

    class RudeMapping(dict):
        def get(self, *_):
            raise RuntimeError("no")

    class RudeError(Exception):
        def __str__(self):
            raise RuntimeError("no")

    class RudeModel(pydantic.BaseModel):
        a: int = 1

        @pydantic.field_serializer("a")
        def refuse(self, value):
            raise RuntimeError("not today")

    assert encode(Rude())[2][1].startswith("the handler returned a value of the type")
    assert encode(RudeMapping(status=1))[2][:2] == ("PERMANENT_ERROR", "the handler's result cannot be read: no")
    assert "not today" in encode({"data": {"m": RudeModel()}})[2][1]
    assert from_exception(RudeError())[2][1] == "RudeError"


class OwnError(Exception):
    pass


class OwnKeyError(KeyError):
    def __str__(self):
        return f"no {self.args[0]}"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (RuntimeError("text"), ("TRANSIENT_ERROR", "text", {"type": "RuntimeError"})),
        (ValueError("bad value"), ("TRANSIENT_ERROR", "bad value", {"type": "ValueError"})),
        (RuntimeError(), ("TRANSIENT_ERROR", "RuntimeError", {"type": "RuntimeError"})),
        (OSError(errno.ENOSPC, "full"), ("RESOURCE_EXHAUSTED_ERROR", "[Errno 28] full", {"type": "OSError"})),
        (OSError(errno.EFBIG, "too large"), ("RESOURCE_EXHAUSTED_ERROR", "[Errno 27] too large", {"type": "OSError"})),
        (OSError(errno.EROFS, "read-only"), ("RESOURCE_EXHAUSTED_ERROR", "[Errno 30] read-only", {"type": "OSError"})),
        (OSError(errno.ENOENT, "none"), ("TRANSIENT_ERROR", "[Errno 2] none", {"type": "FileNotFoundError"})),
        (KeyError("user_id"), ("TRANSIENT_ERROR", "KeyError: 'user_id'", {"type": "KeyError"})),
        (StopIteration("x"), ("TRANSIENT_ERROR", "StopIteration: x", {"type": "StopIteration"})),
        (AssertionError(), ("TRANSIENT_ERROR", "AssertionError", {"type": "AssertionError"})),
        (ValueError(5), ("TRANSIENT_ERROR", "ValueError: 5", {"type": "ValueError"})),
        (ValueError("a", 1), ("TRANSIENT_ERROR", "ValueError: ('a', 1)", {"type": "ValueError"})),
        (OwnKeyError("k"), ("TRANSIENT_ERROR", "no k", {"type": f"{__name__}.OwnKeyError"})),
        (
            ExceptionGroup("two", [ValueError("bad value"), ExceptionGroup("in", [KeyError("k"), OSError()])]),
            (
                "TRANSIENT_ERROR",
                "two (2 sub-exceptions): ValueError: bad value; KeyError: 'k'; OSError",
                {"type": "ExceptionGroup"},
            ),
        ),
        (
            ExceptionGroup("many", [ValueError("x" * 1000), *(ValueError(f"v {n}") for n in range(9))]),
            (
                "TRANSIENT_ERROR",
                f"many (10 sub-exceptions): ValueError: {'x' * 300}…; {'; '.join(f'ValueError: v {n}' for n in range(4))}; "
                "and 5 more",
                {"type": "ExceptionGroup"},
            ),
        ),
        (OwnError("x"), ("TRANSIENT_ERROR", "x", {"type": f"{__name__}.OwnError"})),
        (RuntimeError("half: \ud800"), ("TRANSIENT_ERROR", "half: ?", {"type": "RuntimeError"})),
        (errors.PermanentError("p", details={"a": 1}), ("PERMANENT_ERROR", "p", {"a": 1})),
        (errors.TransientError("t"), ("TRANSIENT_ERROR", "t", None)),
        (errors.InvalidInputError("i"), ("INVALID_INPUT_ERROR", "i", None)),
        (errors.TaskTimeoutError("t"), ("TIMEOUT_ERROR", "t", None)),
        (errors.ResourceExhaustedError("r"), ("RESOURCE_EXHAUSTED_ERROR", "r", None)),
        (errors.IntegrityMismatchError("i"), ("INTEGRITY_MISMATCH_ERROR", "i", None)),
        (errors.TaskError("own", code="MY_CODE"), ("MY_CODE", "own", None)),
        (errors.PermanentError(), ("PERMANENT_ERROR", "PermanentError", None)),
    ],
)
def test_exceptions_are_transient_unless_they_have_a_code(error, expected):
    status, data, (code, message, details), further = from_exception(error)
    assert (status, data, further) == ("failure", None, None)
    assert (code, message, None if details is None else json.loads(details)) == expected


def test_errors_survive_a_pool_of_processes():
    import copy
    import pickle

    class Own(errors.PermanentError):
        def __init__(self, what, where):
            super().__init__(f"{what} at {where}", details={"where": where})

    globals()["Own"] = Own
    Own.__qualname__ = "Own"
    for error in (
        errors.InvalidInputError("i", details={"a": 1}),
        errors.TaskError("c", code="C"),
        Own("a", "b"),
        errors.ConfigError(["a", "b"]),
    ):
        for made in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
            assert type(made) is type(error)
            assert (str(made), vars(made)) == (str(error), vars(error))
