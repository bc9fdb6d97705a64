"""Skills: what is made of the things given to the decorator, and blueprints."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from textwrap import dedent
from typing import Any

import pytest
from avtomatika_worker import SkillBlueprint, SkillInfo, Worker
from avtomatika_worker._serving import routes, spec
from avtomatika_worker.testing import TestWorker
from pydantic import BaseModel
from support import config
from wire import running, wire


async def handler(params: dict[str, Any]) -> None:
    """Does it."""


class Model(BaseModel):
    width: int


@dataclass
class Made:
    path: str


class Priced(SkillInfo):
    price: int = 0
    regions: list[str] = []


def skill(*arguments: Any, **options: Any) -> tuple[str, dict[str, Any]]:
    worker = Worker(config=config("http://127.0.0.1:1"))
    worker.skill(*arguments, **options)(handler)
    ((name, registered),) = worker._registered().tasks.items()
    return name, dict(registered.options)


class Plain:
    name = "plain"
    version = "3"


@dataclass
class OwnClass:
    name: str
    colours: list[str] = field(default_factory=list)


class OwnModel(BaseModel):
    name: str
    price: int = 5


@pytest.mark.parametrize(
    ("given", "options", "name", "group", "extra"),
    [
        ("named", {}, "named", None, {}),
        ("", {}, "handler", None, {}),
        (None, {"name": "named", "type": "gpu"}, "named", "gpu", {}),
        ("named", {"price": 5, "properties": {"a": [1]}}, "named", None, {"price": 5, "properties": {"a": [1]}}),
        (SkillInfo("info", "cpu", schema_dialect="x"), {}, "info", "cpu", {"schema_dialect": "x"}),
        (SkillInfo("info", properties={"a": 1}), {}, "info", None, {"properties": {"a": 1}}),
        (Priced("info", price=7), {}, "info", None, {"price": 7}),
        # As with 1.0b20, a field that has its default value is not sent.
        (Priced("info"), {}, "info", None, {}),
        (Priced, {}, "handler", None, {}),
        (Priced, {"name": "named", "price": 2, "more": None}, "named", None, {"price": 2}),
        (OwnClass("own", ["red"]), {}, "own", None, {"colours": ["red"]}),
        (OwnModel(name="own"), {}, "own", None, {"price": 5}),
        (OwnModel, {}, "handler", None, {"price": 5}),
        (Plain, {}, "plain", None, {}),
        (Plain(), {}, "plain", None, {}),
        ({"name": "mapping", "price": 1}, {}, "mapping", None, {"price": 1}),
        (SkillInfo("info", version="1"), {"version": "2"}, "info", None, {}),
    ],
)
def test_a_skill_is_described_by_what_is_given(given, options, name, group, extra):
    found, sent = skill(given, **options)
    assert (found, sent["task_type"], sent["extra"]) == (name, group, extra)


def test_the_options_of_the_decorator_take_precedence():
    assert skill(SkillInfo("info", version="1"), version=2)[1]["version"] == "2"
    assert skill(Plain)[1]["version"] == "3"


def test_schemas_are_dictionaries_or_classes():
    own = {"type": "object"}
    _, options = skill(
        "s", input_schema=Model, output_schema=Made, events_schema={"a": Model, "b": own, "c": list[int]}
    )
    assert options["input_schema"]["properties"]["width"]["type"] == "integer"
    assert options["output_schema"]["required"] == ["path"]
    assert options["events"]["a"] == options["input_schema"]
    assert options["events"]["b"] == own
    assert options["events"]["c"] == {"type": "array", "items": {"type": "integer"}}


class Status(enum.StrEnum):
    DONE = "done"


def test_statuses_are_any_collection_of_texts():
    assert skill("s", output_statuses=("success", Status.DONE))[1]["output_statuses"] == ("success", "done")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "a b"}, "invalid skill name: `a b`, expected 1 to 128"),
        ({"type": "a b"}, "invalid type of the skill `handler`: `a b`"),
        ({"type": 5}, "invalid type of the skill `handler`: `5`"),
        ({"input_schema": 5}, "the schema of `input_schema` of the skill `handler` is `5`, expected a dictionary or a"),
        ({"events_schema": ["a"]}, "the events of the skill `handler` are `['a']`, expected a dictionary of schemas"),
        ({"events_schema": {"a": "b"}}, "the schema of `event `a`` of the skill `handler` is `'b'`"),
        ({"output_statuses": "done"}, "the `output_statuses` of the skill `handler` are `'done'`, expected a list"),
        ({"properties": {"a": object}}, "`properties` of the skill `handler` is not JSON"),
        ({"price": float("nan")}, "`price` of the skill `handler` is not JSON"),
    ],
)
def test_a_wrong_field_is_refused_at_the_decorator(options, message):
    with pytest.raises(ValueError) as raised:
        skill(**options)
    assert message in str(raised.value)


@pytest.mark.parametrize("name", ["", "a b", "a.b", "ü", "a\n", "x" * 129, 5, None])
def test_a_wrong_name_or_type_of_a_task_is_refused_at_the_decorator(name):
    worker = Worker(config=config("http://127.0.0.1:1"))
    with pytest.raises(ValueError, match="invalid task name"):
        worker.task(name)
    if name:
        with pytest.raises(ValueError, match="invalid type of the task `t`"):
            worker.task("t", name)


def test_the_handler_registered_last_is_used(caplog):
    worker = Worker(config=config("http://127.0.0.1:1"))
    worker.task("t")(lambda params: {"data": {"first": True}})
    worker.task("t")(lambda params: {"data": {"first": False}})
    assert "two handlers are registered for the task `t`" in caplog.text
    assert TestWorker(worker).run("t", {}).data == {"first": False}


def test_tasks_whose_limit_is_0_are_never_available():
    worker = Worker(config=config("http://127.0.0.1:1"), task_type_limits={"gpu": 0, "cpu": 2})
    worker.task("draw", "gpu")(handler)
    worker.task("count", "cpu")(handler)
    registered = worker._registered()
    check = registered.hooks.capacity_checker
    assert check is not None and [check("draw"), check("count")] == [False, True]
    with pytest.raises(ValueError, match="the limit of `gpu` is `-1`, expected a whole number, at least 0"):
        Worker(config=config("http://127.0.0.1:1"), task_type_limits={"gpu": -1})


# Blueprints


def test_a_worker_gets_the_skills_that_a_blueprint_has_when_it_is_included():
    blueprint = SkillBlueprint(Priced)

    @blueprint.skill("draw", type="gpu", price=3)
    async def draw(params):
        return {"data": {"drawn": params["what"]}}

    @blueprint.skill
    def plain(params):
        return {"data": {"plain": True}}

    worker = Worker(config=config("http://127.0.0.1:1"), task_type_limits={"gpu": 1})
    assert worker.include_blueprint(blueprint) is None
    blueprint.skill("late")(handler)
    tasks = worker._registered().tasks
    assert list(tasks) == ["draw", "plain"]
    assert (tasks["draw"].options["task_type"], tasks["draw"].options["extra"]) == ("gpu", {"price": 3})
    assert TestWorker(worker).run("draw", {"what": "a"}).data == {"drawn": "a"}
    assert TestWorker(worker).run("plain", {}).data == {"plain": True}


def test_only_blueprints_can_be_included_and_their_names_are_checked():
    with pytest.raises(TypeError, match="a blueprint is a `int`, expected a `SkillBlueprint`"):
        Worker(config=config("http://127.0.0.1:1")).include_blueprint(5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="invalid skill name: `a b`"):
        SkillBlueprint().skill("a b")(handler)


@pytest.mark.parametrize(
    ("first", "other", "given"),
    [("type", "task_type", ("g1", "g2")), ("events_schema", "events", ({"a": {}}, {"b": {}}))],
)
def test_a_field_that_is_given_by_both_of_its_names_is_logged_if_they_differ(first, other, given, caplog):
    _, options = skill("a", **dict(zip((first, other), given, strict=True)))
    assert given[0] in (options["task_type"], options["events"])
    assert [record.getMessage() for record in caplog.records] == [
        f"the skill `a` has both `{first}` and `{other}`, which differ: `{first}` counts"
    ]
    caplog.clear()
    skill("a", **{first: given[0], other: given[0]})
    assert caplog.text == ""


def test_the_further_fields_of_a_skill_are_sent():
    worker = Worker(config=config("http://127.0.0.1:1"))
    worker.skill("draw", properties={"styles": ["ink"]})(handler)
    worker.skill("count")(handler)
    registered = worker._registered()
    assert [spec(registered.tasks[route.name], route, registered.limits)["extra"] for route in routes(registered)] == [
        '{"properties": {"styles": ["ink"]}}',
        None,
    ]
    script = """
    from avtomatika_worker import SkillInfo, Worker
    worker = Worker()
    @worker.skill(SkillInfo("draw", schema_dialect="own", properties={"styles": ["ink"]}), price=5)
    async def draw(params): ...
    worker.run()
    """
    with wire("1.0b17") as one, running(dedent(script), one.url):
        (sent,) = one.registered()["supported_skills"]
    assert (sent["name"], sent["schema_dialect"], sent["price"]) == ("draw", "own", 5)
    assert sent["properties"] == {"styles": ["ink"]}
