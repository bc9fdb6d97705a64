"""The rows of `docs/migrating.md` about handlers, parameters and middleware."""

import asyncio
import threading
from dataclasses import dataclass
from typing import Annotated

import msgspec
import pytest
from avtomatika_worker import Worker, WorkerError
from migrating import Area, connected, of_data, run
from pydantic import BaseModel, Field

AREA = Area("handlers")


def test_every_row_has_a_test_and_every_test_a_row():
    AREA.check()


@AREA.row("Every task fails if the handler")
def test_handlers_that_work():
    async def named(params, task_id):
        return {"data": {"id": bool(task_id)}}

    async def first(order: dict):
        return {"data": order}

    async def inject(context, next_handler):
        context["handler_kwargs"]["model_path"] = "/models"
        return await next_handler()

    async def injected(params, model_path):
        return {"data": {"path": model_path}}

    assert run(named).data == {"id": True}
    assert run(first, {"a": 1}).data == {"a": 1}
    assert run(injected, middleware=[inject]).data == {"path": "/models"}
    assert of_data(None).status == "success"


@AREA.row("A `ValueError` of a handler or of middleware")
def test_a_value_error():
    async def handler(params):
        raise ValueError("no number")

    async def middleware(context, next_handler):
        raise ValueError("no number")

    for found in (run(handler), run(handler, middleware=[middleware])):
        assert (found.error_code, found.error_message) == ("TRANSIENT_ERROR", "no number")


@dataclass
class Size:
    width: int


class Struct(msgspec.Struct):
    width: int


@AREA.row("A dataclass with fields of other types than annotated")
def test_types_of_fields():
    async def handler(params: Size):
        pass

    assert run(handler, {"width": "5"}).error_code == "INVALID_INPUT_ERROR"


@AREA.row("A dataclass or a `msgspec.Struct` refuses unknown fields")
def test_unknown_fields():
    async def of_a_dataclass(params: Size):
        return {"data": {"width": params.width}}

    async def of_a_struct(params: Struct):
        return {"data": {"width": params["width"]}}

    assert run(of_a_dataclass, {"width": 5, "colour": "red"}).data == {"width": 5}
    assert run(of_a_struct, {"width": 5, "colour": "red"}).data == {"width": 5}


class Model(BaseModel):
    width: int


@AREA.row("A model refuses what it could convert")
def test_conversions():
    async def handler(params: Model):
        return {"data": {"width": params.width}}

    assert run(handler, {"width": "5"}).data == {"width": 5}


@dataclass
class Outer:
    size: Size
    model: Model


@AREA.row("A model or dataclass inside a dataclass")
def test_inner_classes():
    async def handler(params: Outer):
        return {"data": {"widths": [params.size.width, params.model.width]}}

    assert run(handler, {"size": {"width": 1}, "model": {"width": 2}}).data == {"widths": [1, 2]}
    for wrong in ({"size": {"width": "x"}, "model": {"width": 2}}, {"size": {"width": 1}, "model": {"width": "x"}}):
        assert run(handler, wrong).error_code == "INVALID_INPUT_ERROR"


@dataclass
class Positive:
    width: Annotated[int, Field(gt=0)]


@AREA.row("`Annotated[int, Field(gt=0)]`")
def test_constraints():
    async def handler(params: Positive):
        pass

    assert [run(handler, {"width": n}).error_code for n in (5, 0)] == [None, "INVALID_INPUT_ERROR"]


@AREA.row("Text annotations")
def test_text_annotations():
    async def handler(params: "Size"):
        return {"data": {"type": type(params).__name__}}

    assert run(handler, {"width": 5}).data == {"type": "Size"}


@AREA.row("The argument `priority`")
@AREA.row("A task with a `deadline`")
def test_priority_and_deadline():
    worker, deadline = Worker(), 4_000_000_000.25

    @worker.task("work")
    async def work(params, priority, deadline):
        return {"data": {"priority": repr(priority), "deadline": deadline}}

    with connected(worker) as (one, _):
        given = [one.give("work", priority=priority, deadline=deadline) for priority in (7.0, 0.5)]
        found = [one.result(task)["data"] for task in given]
    assert found == [{"priority": text, "deadline": deadline} for text in ("7", "0.5")]


@AREA.row("A handler that returns after its task was cancelled")
def test_cancelled_tasks():
    worker, began = Worker(), threading.Event()

    @worker.task("work")
    async def work(params):
        began.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            return {"data": {"done": True}}

    with connected(worker, WORKER_ENABLE_WEBSOCKETS=True) as (one, _):
        task = one.give("work")
        assert began.wait(60)
        one.command(worker.config.WORKER_ID, {"command": "cancel_task", "task_id": task})
        assert one.result(task)["status"] == "cancelled"


async def shown(params):
    return {"data": params}


@AREA.row("Every task fails with `def` middleware")
def test_middleware_that_works():
    threads = []

    def blocking(context, next_handler):
        threads.append(threading.current_thread())
        context["handler_kwargs"]["unknown"] = 1
        return next_handler()

    assert run(shown, {"a": 1}, [blocking]).data == {"a": 1}
    assert threads[0] is not threading.main_thread()


@AREA.row('Setting `context["params"]`')
def test_params_in_the_context():
    async def replace(context, next_handler):
        context["params"] = {"b": 2}
        return await next_handler()

    async def replace_both(context, next_handler):
        context["params"] = {"b": 2}
        context["handler_kwargs"]["params"] = {"c": 3}
        return await next_handler()

    assert run(shown, {"a": 1}, [replace]).data == {"b": 2}
    assert run(shown, {"a": 1}, [replace_both]).data == {"c": 3}


@AREA.row("`handler_kwargs` has only what the handler takes")
def test_all_arguments():
    seen = []

    async def look(context, next_handler):
        seen.extend(context["handler_kwargs"])
        return await next_handler()

    run(shown, middleware=[look])
    assert {"params", "task_id", "job_id", "priority", "send_progress", "send_event", "add_to_hot_cache"} <= set(seen)


@AREA.row("A handler or middleware that cannot be called")
def test_what_cannot_be_called():
    for register in (Worker().add_middleware, Worker().task("work"), Worker().skill("work")):
        with pytest.raises(TypeError, match="must be a function, got `int`"):
            register(5)

    async def misspelt(params, task_idd):
        pass

    with pytest.raises(WorkerError, match="the nearest is `task_id`"):
        run(misspelt)
