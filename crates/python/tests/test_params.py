"""The conversion of JSON to the annotated type."""

import dataclasses
import enum
import json
import random
import struct
import typing
from typing import Annotated, Any, Generic, NewType, Optional, TypeVar

import pydantic
import pytest
from avtomatika_worker.errors import InvalidInputError, ParamValidationError, PermanentError
from avtomatika_worker.signature import analyse


def read(annotation: Any, value: Any) -> Any:
    async def handler(params):
        return params

    handler.__annotations__["params"] = annotation
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return analyse(handler).params_reader(raw)


def problems(annotation: Any, value: Any) -> list[tuple[str, str]]:
    with pytest.raises(ParamValidationError) as raised:
        read(annotation, value)
    assert isinstance(raised.value, InvalidInputError)
    assert raised.value.code == "INVALID_INPUT_ERROR"
    found = [(entry["path"], entry["problem"]) for entry in raised.value.details["problems"]]
    first_path, first_text = found[0]
    place = ": " if first_path == "." else f" at `{first_path}`: "
    assert str(raised.value).startswith(f"invalid params{place}{first_text}")
    return found


class Colour(enum.Enum):
    RED = "red"
    ONE = 1


class Level(enum.IntEnum):
    LOW = 1


@dataclasses.dataclass
class Size:
    width: int
    height: int = 1

    def __post_init__(self):
        if self.width <= 0 or self.height <= 0:
            raise ValueError("Width and height must be positive.")


@dataclasses.dataclass
class Picture:
    size: Size
    name: str
    scale: float = 1.0
    tags: list[str] = dataclasses.field(default_factory=list)
    limits: dict[str, int] = dataclasses.field(default_factory=dict)
    colour: Colour | None = None
    sizes: list[Size] | None = None
    anything: Any = None
    other: "set[int]" = dataclasses.field(default_factory=set)
    parent: Optional["Picture"] = None


class Inline(typing.TypedDict):
    width: int
    note: typing.NotRequired[str]
    size: typing.NotRequired[Size]


class Validated(pydantic.BaseModel):
    width: int = pydantic.Field(gt=0)
    height: int = pydantic.Field(gt=0)
    source_url: str
    scale: float = 1.0
    parts: list[Size] = []


@pytest.mark.parametrize("annotation", [dict, Any, dict[str, Any], typing.Mapping[str, Any], object, "a text"])
def test_a_dictionary_is_passed_as_it_was_sent(annotation):
    params = {"b": 1, "a": [None, True, {"x": "y"}]}
    assert read(annotation, params) == params
    assert list(read(annotation, params)) == ["b", "a"]


def test_numbers_are_exact():
    numbers = [random.Random(7).getrandbits(64) for _ in range(2000)]
    floats = [struct.unpack("<d", struct.pack("<Q", bits))[0] for bits in numbers]
    floats = [value for value in floats if value == value and abs(value) != float("inf")]
    big = [2**63, 2**64, -(2**63) - 1, 10**300]
    for annotation in (dict, dict[str, list[float]]):
        assert read(annotation, {"floats": floats})["floats"] == floats
        loaded = read(annotation, {"big": big})["big"]
        assert loaded == big
        assert all(type(value) is int for value in loaded)
    made = read(Validated, {"width": 10**30, "height": 1, "source_url": "", "scale": 0.1})
    assert (made.width, made.scale) == (10**30, 0.1)


def test_of_duplicate_keys_the_last_counts():
    assert read(dict, b'{"a": 1, "b": 2, "a": 3}') == {"a": 3, "b": 2}


@dataclasses.dataclass
class Scaled:
    scale: float


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity"])
@pytest.mark.parametrize("annotation", [dict, Scaled, Validated])
def test_nan_and_infinity_are_floats(annotation, constant):
    raw = f'{{"width": 1, "height": 1, "source_url": "NaN", "scale": {constant}}}'.encode()
    made = read(annotation, raw)
    scale = made["scale"] if annotation is dict else made.scale
    assert str(scale) == str(float(constant))


def test_deep_nesting_and_text_other_than_json_are_refused():
    assert problems(dict, b"[" * 100_000 + b"]" * 100_000) == [(".", "nested too deeply")]
    assert "not JSON" in problems(dict, b"{")[0][1]
    assert "digits" in problems(dict, b'{"a": ' + b"1" * 5000 + b"}")[0][1]


def test_a_dataclass_is_made_with_its_nested_values():
    made = read(
        Picture,
        {
            "size": {"width": 2},
            "name": "n",
            "scale": 3,
            "colour": "red",
            "sizes": [{"width": 1}],
            "parent": {"size": {"width": 1}, "name": "p"},
            "anything": {"x": []},
            "other": "not looked at",
            "unknown": 1,
        },
    )
    assert made.size == Size(2, 1)
    assert made.sizes == [Size(1, 1)]
    assert made.colour is Colour.RED
    assert isinstance(made.parent, Picture)
    assert type(made.scale) is int, "numbers are not converted"
    assert made.other == "not looked at"


WRONG = [
    ({"name": "n"}, ".", "missing field `size`"),
    ({"size": {}, "name": "n"}, "size", "missing field `width`"),
    ({"size": {"width": "2"}}, "size.width", 'invalid type: string "2", expected int'),
    ({"size": {"width": 2.0}}, "size.width", "invalid type: floating point `2.0`, expected int"),
    ({"size": {"width": True}}, "size.width", "invalid type: boolean `true`, expected int"),
    ({"size": {"width": -1}}, "size", "Width and height must be positive."),
    ({"size": None, "name": "n"}, "size", "invalid type: null, expected an object with the fields of `Size`"),
    ({"size": {"width": 1}, "name": 5}, "name", "invalid type: integer `5`, expected str"),
    ({"size": {"width": 1}, "name": "n", "scale": "x"}, "scale", 'invalid type: string "x", expected float'),
    ({"size": {"width": 1}, "name": "n", "scale": False}, "scale", "invalid type: boolean `false`, expected float"),
    ({"size": {"width": 1}, "name": "n", "tags": ["a", 1]}, "tags[1]", "invalid type: integer `1`, expected str"),
    ({"size": {"width": 1}, "name": "n", "tags": {}}, "tags", "invalid type: an object, expected a list"),
    ({"size": {"width": 1}, "name": "n", "limits": {"a b": []}}, "limits.a b", "invalid type: a list, expected int"),
    ({"size": {"width": 1}, "name": "n", "limits": [1]}, "limits", "invalid type: a list, expected an object"),
    (
        {"size": {"width": 1}, "name": "n", "colour": "blue"},
        "colour",
        'invalid value: string "blue", expected one of `red`, `1`',
    ),
    (
        {"size": {"width": 1}, "name": "n", "colour": True},
        "colour",
        "invalid value: boolean `true`, expected one of `red`, `1`",
    ),
    (
        {"size": {"width": 1}, "name": "n", "sizes": [{"width": 1}, {"width": "x"}]},
        "sizes[1].width",
        'invalid type: string "x", expected int',
    ),
    (
        {"size": {"width": 1}, "name": "n", "sizes": 5},
        "sizes",
        "invalid type: integer `5`, expected list or None",
    ),
    (
        {"size": {"width": 1}, "name": "n", "parent": {"size": {"width": 0}, "name": "p"}},
        "parent.size",
        "Width and height must be positive.",
    ),
    ([], ".", "invalid type: a list, expected an object with the fields of `Picture`"),
]


@pytest.mark.parametrize(
    ("value", "path", "problem"), WRONG, ids=[f"{path}-{n}" for n, (_, path, _) in enumerate(WRONG)]
)
def test_the_first_problem_of_a_dataclass_is_reported_with_its_path(value, path, problem):
    assert problems(Picture, value) == [(path, problem)]


def test_an_error_of_the_classes_own_keeps_its_meaning():
    @dataclasses.dataclass
    class Strict:
        kind: str

        def __post_init__(self):
            if self.kind == "forbidden":
                raise PermanentError("never")
            if self.kind == "broken":
                raise KeyError("a mistake, not an input")
            if self.kind == "asserted":
                raise AssertionError("no such kind")

    assert problems(Strict, {"kind": "asserted"}) == [(".", "no such kind")]
    with pytest.raises(PermanentError, match="never"):
        read(Strict, {"kind": "forbidden"})
    with pytest.raises(KeyError):
        read(Strict, {"kind": "broken"})


def test_dataclasses_of_all_kinds():
    value = TypeVar("value")

    @dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
    class Modern:
        a: int
        made: str = dataclasses.field(default="by us", init=False)

    @dataclasses.dataclass
    class WithInit:
        factor: dataclasses.InitVar[int]
        constant: typing.ClassVar[int] = 5
        result: int = 0

        def __post_init__(self, factor):
            self.result = factor * 2

    @dataclasses.dataclass
    class Child(Size):
        depth: int = 0

    @dataclasses.dataclass
    class Boxed(Generic[value]):
        content: value

    assert read(Modern, {"a": 1, "made": "by them"}) == Modern(a=1)
    assert read(WithInit, {"factor": 2, "constant": 6}).result == 4
    assert problems(WithInit, {"factor": "2"}) == [("factor", 'invalid type: string "2", expected int')]
    assert read(Child, {"width": 1, "depth": 2}) == Child(1, 1, 2)
    assert read(Boxed[int], {"content": "unchecked"}) == Boxed("unchecked")
    user = NewType("user", int)
    assert problems(dict[str, user], {"a": "x"})[0][0] == "a"
    assert problems(dict[str, Annotated[int, "a note"]], {"a": "x"})[0][0] == "a"
    assert read(dict[str, Level], {"a": 1}) == {"a": Level.LOW}


def test_the_first_member_of_a_union_that_fits_is_taken():
    @dataclasses.dataclass
    class Circle:
        radius: int

    shape = Size | Circle
    assert read(shape, {"radius": 1}) == Circle(1)
    assert read(shape, {"width": 1, "radius": 1}) == Size(1)
    assert problems(shape, {"radius": "x"})[0] == ("radius", 'invalid type: string "x", expected int')
    assert problems(int | str, [])[0] == (".", "invalid type: a list, expected int or str")
    assert read(dict[str, int | Any], {"a": []}) == {"a": []}


def test_a_typed_dictionary_is_checked_and_stays_a_dictionary():
    assert read(Inline, {"width": 1, "unknown": 2}) == {"width": 1, "unknown": 2}
    assert read(Inline, {"width": 1, "size": {"width": 2}})["size"] == Size(2)
    assert problems(Inline, {"note": "n"}) == [(".", "missing field `width`")]
    assert problems(Inline, {"width": 1, "note": 5}) == [("note", "invalid type: integer `5`, expected str")]


def test_all_problems_of_a_pydantic_model_are_reported():
    made = read(Validated, {"width": "10", "height": 20.0, "source_url": "u", "parts": [{"width": 1}]})
    assert (made.width, made.height, made.parts) == (10, 20, [Size(1)])
    found = problems(Validated, {"width": 0, "height": "x", "parts": [{"width": 1}, {"width": "y"}]})
    assert [path for path, _ in found] == ["width", "height", "source_url", "parts[1].width"]
    assert found[0][1] == "Input should be greater than 0"


def test_every_kind_of_pydantic_annotation_validates():
    @pydantic.dataclasses.dataclass
    class Checked:
        width: int = pydantic.Field(gt=0)

    class Other(pydantic.BaseModel):
        kind: typing.Literal["other"]

    class Strict(pydantic.BaseModel):
        model_config = pydantic.ConfigDict(strict=True, extra="forbid")
        width: int

    class Root(pydantic.RootModel[dict[str, int]]):
        pass

    assert read(Checked, {"width": "3"}).width == 3
    assert problems(Checked, {"width": 0})[0][0] == "width"
    assert read(Validated | Other, {"kind": "other"}) == Other(kind="other")
    assert isinstance(read(Annotated[Other, "note"], {"kind": "other"}), Other)
    assert [path for path, _ in problems(Strict, {"width": "1", "more": 1})] == ["width", "more"]
    assert read(Root, {"a": 1}).root == {"a": 1}


def test_a_large_number_of_problems_is_cut_and_counted():
    class Many(pydantic.BaseModel):
        items: list[int]

    with pytest.raises(ParamValidationError) as raised:
        read(Many, {"items": ["x"] * 1500})
    assert len(raised.value.details["problems"]) == 1000
    assert raised.value.details["omitted"] == 500
    assert str(raised.value).endswith("; and 1480 more")
    long = problems(Size, {"width": "y" * 10_000})[0][1]
    assert len(long) < 200


class Item(pydantic.BaseModel):
    n: int


Positive = Annotated[int, pydantic.Field(gt=0)]


@dataclasses.dataclass
class Mixed:
    item: Item
    count: Positive = 1
    items: list[Item] = dataclasses.field(default_factory=list)
    by_name: dict[str, Item] | None = None
    counts: list[Positive] = dataclasses.field(default_factory=list)
    code: Annotated[int, pydantic.BeforeValidator(int)] = 0
    maybe: Positive | None = None
    address: pydantic.HttpUrl | None = None
    plain: int = 0


@dataclasses.dataclass
class Around:
    mixed: list[Mixed]


class Typed(typing.TypedDict):
    item: typing.NotRequired[Item]
    count: typing.Required[Positive]


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, {}),
        ({"item": {"n": "2"}}, {"item": Item(n=2)}),
        ({"count": 5}, {"count": 5}),
        ({"items": [{"n": 1}, {"n": "2"}]}, {"items": [Item(n=1), Item(n=2)]}),
        ({"by_name": {"a": {"n": 1}}}, {"by_name": {"a": Item(n=1)}}),
        ({"by_name": None}, {"by_name": None}),
        ({"counts": [1, 2]}, {"counts": [1, 2]}),
        ({"code": "7"}, {"code": 7}),
        ({"maybe": None}, {"maybe": None}),
        ({"address": "https://a.b/"}, {"address": pydantic.HttpUrl("https://a.b/")}),
    ],
)
def test_pydantic_validates_its_parts_of_a_dataclass(more, expected):
    made = read(Mixed, {"item": {"n": 1}, **more})
    assert made == Mixed(**{"item": Item(n=1), **expected})
    assert read(Around, {"mixed": [{"item": {"n": 1}, **more}]}) == Around([made])


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"item": {"n": "x"}}, ["item.n"]),
        ({"item": {}}, ["item.n"]),
        ({"item": 5}, ["item"]),
        ({"count": 0}, ["count"]),
        ({"items": [{"n": 1}, {"n": "x"}, {}]}, ["items[1].n", "items[2].n"]),
        ({"by_name": {"a": {"n": None}}}, ["by_name.a.n"]),
        ({"counts": [1, 0]}, ["counts[1]"]),
        ({"code": "x"}, ["code"]),
        ({"maybe": -1}, ["maybe"]),
        ({"address": "no address"}, ["address"]),
    ],
)
def test_problems_that_pydantic_finds_in_a_dataclass_have_their_whole_path(more, expected):
    assert [path for path, _ in problems(Mixed, {"item": {"n": 1}, **more})] == expected
    inner = problems(Around, {"mixed": [{"item": {"n": 1}, **more}]})
    assert [path for path, _ in inner] == [f"mixed[0].{path}" for path in expected]


def test_constraints_do_not_convert_the_plain_types_of_a_dataclass():
    for field in ("count", "plain", "maybe"):
        assert problems(Mixed, {"item": {"n": 1}, field: "5"})[0][0] == field
    assert problems(Mixed, {"item": {"n": 1}, "counts": ["5"]}) == [
        ("counts[0]", 'invalid type: string "5", expected int')
    ]


def test_pydantic_validates_its_parts_of_a_typed_dict():
    assert read(Typed, {"count": 1, "item": {"n": 1}, "more": 1}) == {"count": 1, "item": Item(n=1), "more": 1}
    assert problems(Typed, {"item": {"n": 1}}) == [(".", "missing field `count`")]
    assert problems(Typed, {"count": 0})[0][0] == "count"


def test_a_type_that_pydantic_does_not_know_is_logged_and_not_checked(caplog):
    class Unknown:
        pass

    @dataclasses.dataclass
    class Odd:
        one: dict[str, Unknown | Item]

    assert read(Odd, {"one": {"a": 5}}).one == {"a": 5}
    assert "pydantic cannot check `dict[str, " in caplog.text


def test_a_struct_is_checked_but_stays_a_dictionary():
    """The existing SDK does not make instances of it either."""
    msgspec = pytest.importorskip("msgspec")

    class Part(msgspec.Struct):
        n: int
        text: str = "x"

    @dataclasses.dataclass
    class Whole:
        part: Part

    assert read(Part, {"n": 1, "more": 2}) == {"n": 1, "more": 2}
    assert problems(Part, {"n": "1"}) == [("n", 'invalid type: string "1", expected int')]
    assert problems(Part, {"text": "a"}) == [(".", "missing field `n`")]
    assert read(Whole, {"part": {"n": 1}}) == Whole({"n": 1})
    assert problems(Whole, {"part": {"n": None}}) == [("part.n", "invalid type: null, expected int")]


def test_a_class_of_attrs_is_a_remark_for_people():
    """As in the existing SDK, the handler gets the dictionary."""
    attrs = pytest.importorskip("attrs")
    kind = attrs.make_class("Kind", {"n": attrs.field(type=int)})
    assert read(kind, {"n": "x"}) == {"n": "x"}
