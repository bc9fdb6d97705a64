"""The JSON Schemas that newer orchestrators are sent."""

import dataclasses
import datetime
import enum
import json
import typing
import uuid

import pydantic
import pytest
from avtomatika_worker import Worker, schemas
from avtomatika_worker._serving import routes, spec


class Colour(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Inner:
    x: int


@dataclasses.dataclass
class Outer:
    a: int
    b: str | None
    c: list[int]
    d: dict[str, int]
    e: Colour
    f: Inner
    g: list[Inner]
    h: float = 1.0
    i: bool = True
    j: typing.Any = None
    k: tuple[int, int] = (1, 2)
    m: datetime.datetime | None = None
    n: uuid.UUID | None = None
    o: typing.Literal["x"] = "x"
    p: "Outer | None" = None
    _hidden: int = 0
    computed: int = dataclasses.field(default=0, init=False)


class Model(pydantic.BaseModel):
    width: int = pydantic.Field(gt=0)


def schemas_of(annotation, returned=None) -> tuple:
    async def handler(params): ...

    handler.__annotations__["params"] = annotation
    if returned is not None:
        handler.__annotations__["return"] = returned
    given, returns, _, _ = schemas.of(handler)
    return None if given is None else json.loads(given), None if returns is None else json.loads(returns)


INNER = {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"], "additionalProperties": False}


def test_the_schema_of_a_dataclass_describes_its_fields():
    schema, _ = schemas_of(Outer)
    assert schema["type"] == "object"
    assert schema["additionalProperties"] is False
    assert schema["required"] == ["a", "c", "d", "e", "f", "g"]
    assert schema["properties"] == {
        "a": {"type": "integer"},
        "b": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "c": {"type": "array", "items": {"type": "integer"}},
        "d": {"type": "object"},
        "e": {"type": "string", "enum": ["red"]},
        "f": INNER,
        "g": {"type": "array", "items": INNER},
        "h": {"type": "number"},
        "i": {"type": "boolean"},
        "j": {},
        "k": {},
        "m": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "n": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "o": {"enum": ["x"]},
        "p": {"anyOf": [{"type": "object"}, {"type": "null"}]},
    }


@pytest.mark.parametrize(
    ("annotation", "schema"),
    [
        (dict, {"type": "object"}),
        (dict[str, int], {"type": "object"}),
        (typing.Any, {}),
        (Inner, INNER),
        (Model, Model.model_json_schema()),
        (Inner | None, {"anyOf": [INNER, {"type": "null"}]}),
        ("nonsense that is no type", {}),
        ("NotThere", None),
    ],
)
def test_of_parameters(annotation, schema):
    assert schemas_of(annotation)[0] == schema


@pytest.mark.parametrize(
    ("annotation", "schema"),
    [(dict, None), (dict[str, int], None), (None, None), (type(None), {"type": "null"}), (Inner, INNER)],
)
def test_of_results(annotation, schema):
    assert schemas_of(dict, annotation)[1] == schema


def test_documentation_and_version_are_included(monkeypatch):
    async def handler(params):
        """Does it.

        In two lines.
        """

    monkeypatch.setitem(globals(), "__version__", "1.2.3")
    assert schemas.of(handler) == (None, None, "Does it.\n\nIn two lines.", "1.2.3")


def test_only_skills_have_inferred_schemas():
    worker = Worker()

    @worker.task("task")
    async def task(params: Inner) -> Inner: ...

    @worker.task("given", input_schema={"type": "object"})
    async def given(params: Inner) -> Inner: ...

    @worker.skill
    async def bare(params: Inner) -> Inner: ...

    @worker.skill("named")
    async def named(params: Inner) -> Inner: ...

    registered = worker._registered()
    specs = {route.name: spec(registered.tasks[route.name], route, registered.limits) for route in routes(registered)}
    assert {name: (spec["input_schema"], spec["output_schema"]) for name, spec in specs.items() if name == "task"} == {
        "task": (None, None)
    }
    assert json.loads(specs["given"]["input_schema"]) == {"type": "object"}
    for name in ("bare", "named"):
        assert json.loads(specs[name]["input_schema"]) == INNER
        assert json.loads(specs[name]["output_schema"]) == INNER


class Part(pydantic.BaseModel):
    inner: Model


@dataclasses.dataclass
class Mixed:
    model: Model
    nested: Part
    many: list[Part]
    count: typing.Annotated[int, pydantic.Field(gt=0)]
    code: typing.Annotated[int, pydantic.BeforeValidator(int)]
    address: pydantic.HttpUrl


def test_pydantic_parts_of_a_dataclass_need_no_definitions_from_elsewhere():
    schema, _ = schemas_of(Mixed)
    assert schema["properties"] == {
        "model": Model.model_json_schema(),
        "nested": {"type": "object"},
        "many": {"type": "array", "items": {"type": "object"}},
        "count": {"type": "integer"},
        "code": {},
        "address": {},
    }
    assert schemas_of(Part)[0] == Part.model_json_schema(), "here the definitions are at the root"


def test_a_struct_is_described_like_a_dataclass():
    msgspec = pytest.importorskip("msgspec")

    class Struct(msgspec.Struct):
        n: int
        text: str = "x"
        maybe: int | None = None

    assert schemas_of(Struct)[0] == {
        "type": "object",
        "properties": {
            "n": {"type": "integer"},
            "text": {"type": "string"},
            "maybe": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
        },
        "required": ["n"],
        "additionalProperties": False,
    }
