"""The schemas that a program gives are enforced; those made from annotations are not."""

from __future__ import annotations

import json
from typing import Any

import pytest
import wire
from avtomatika_worker import SkillBlueprint, SkillInfo, Worker
from avtomatika_worker.testing import TestWorker
from pydantic import BaseModel
from support import config

N: dict[str, Any] = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


class Model(BaseModel):
    n: int


def made() -> Worker:
    return Worker(config=config("http://127.0.0.1:1"))


async def same(params: dict[str, Any]) -> Any:
    return params["result"] if "result" in params else {"n": params["n"]}


async def converts(params: Model) -> Any:
    return {"n": params.n}


async def describes(params: Model) -> Model:
    return {"n": "no"}  # type: ignore[return-value]


def run(params: dict[str, Any], handler: Any = same, **options: Any) -> tuple[str, str | None]:
    worker = made()
    worker.skill("t", **options)(handler)
    ended = TestWorker(worker).run("t", params)
    return ended.status, ended.error_code


REFUSED = ("failure", "INVALID_INPUT_ERROR")
VIOLATION = ("failure", "CONTRACT_VIOLATION_ERROR")
SUCCESS = ("success", None)


@pytest.mark.parametrize("schema", [N, Model])
def test_a_given_schema_is_enforced(schema: Any) -> None:
    assert run({"n": 1}, input_schema=schema) == SUCCESS
    assert run({"n": "1"}, input_schema=schema) == REFUSED
    assert run({"n": "1"}, output_schema=schema) == VIOLATION
    assert run({"n": "1"}) == SUCCESS


def test_a_schema_made_from_an_annotation_is_not_enforced() -> None:
    assert run({"n": "1"}, converts) == SUCCESS
    assert run({"n": "1"}, describes) == SUCCESS


def test_a_model_that_is_also_the_annotation_converts_as_it_does() -> None:
    assert run({"n": "1"}, converts, input_schema=Model) == SUCCESS
    assert run({"n": "x"}, converts, input_schema=Model) == REFUSED
    assert run({"n": "1"}, converts, input_schema=N) == REFUSED, "another schema"
    assert run({"n": 1}, describes, input_schema=Model, output_schema=Model) == VIOLATION


def test_schemas_of_a_task_of_a_skill_info_and_of_a_blueprint_are_enforced() -> None:
    worker, blueprint = made(), SkillBlueprint()
    worker.task("task", input_schema=N)(same)
    worker.skill(SkillInfo(name="info", input_schema=N))(same)
    blueprint.skill("blueprint", input_schema=N)(same)
    worker.include_blueprint(blueprint)
    tester = TestWorker(worker)
    for name in ("task", "info", "blueprint"):
        assert tester.run(name, {"n": "1"}).error_code == "INVALID_INPUT_ERROR", name
        assert tester.run(name, {"n": 1}).data == {"n": 1}


@pytest.mark.parametrize(
    ("result", "ended"),
    [
        ({"data": {"n": "x"}}, VIOLATION),
        ({"status": "later", "data": {"n": "x"}}, VIOLATION),
        ({"status": "later", "data": {"n": 1}}, ("later", None)),
        (None, VIOLATION),
        ({"status": "failure", "data": {"n": "x"}, "error": {"code": "OWN", "message": "m"}}, ("failure", "OWN")),
        ({"status": "failure", "data": {"n": "x"}}, ("failure", None)),
    ],
)
def test_data_is_checked_whatever_the_status_unless_the_task_failed_by_itself(result: Any, ended: Any) -> None:
    status, code = run({"result": result}, output_schema=N)
    assert (status, code if ended[1] else None) == ended


SCRIPT = """
import logging
from avtomatika_worker import Worker
logging.basicConfig(level=logging.INFO)
worker = Worker()
N = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}

@worker.skill("in", input_schema=N)
async def enforced(params):
    return {"n": params["n"]}

@worker.skill("out", output_schema=N)
async def out(params):
    return {"data": params, "metadata": {"m": 1}, "costs": {"c": 2}}

@worker.skill("odd", input_schema={"type": 5})
async def odd(params):
    return params

async def note(context, next_handler):
    result = await next_handler()
    result.setdefault("data", {})["noted"] = True
    return result

worker.add_middleware(note)
worker.run()
"""


def test_a_worker_refuses_what_does_not_fit() -> None:
    tasks = [("in", {"n": 1}), ("in", {"n": "x"}), ("out", {"n": "x"}), ("odd", {"n": "x"})]
    fits, refused, violation, odd = wire.results(SCRIPT, tasks, version="1.0b17")[0]
    assert fits["status"] == "success"
    assert refused["error"] == {
        "code": "INVALID_INPUT_ERROR",
        "message": 'invalid params at `n`: "x" is not of type "integer"',
        "details": {"problems": [{"path": "n", "problem": '"x" is not of type "integer"'}]},
    }
    assert (violation["status"], violation["error"]["code"]) == VIOLATION
    assert violation["error"]["message"].startswith("the data does not fit the output schema: at `n`: ")
    assert (violation["data"], violation["metadata"]) == ({"n": "x", "noted": True}, {"m": 1})
    assert violation["costs"]["c"] == 2
    assert odd["status"] == "success"


def test_a_schema_that_is_not_valid_is_sent_and_the_log_says_so() -> None:
    with wire.wire("1.0b17") as one:
        with wire.running(SCRIPT, one.url) as program:
            skills = {skill["name"]: skill for skill in one.registered()["supported_skills"]}
        output = program.output()
    assert skills["odd"]["input_schema"] == {"type": 5}
    assert output.count("schema of the task `odd` is not enforced, since it is not a valid JSON Schema: ") == 1
    assert json.dumps(skills["in"]["input_schema"], sort_keys=True) == json.dumps(N, sort_keys=True)
