"""Mistakes of a program are found where they stand, or at start, and by ``TestWorker``."""

from __future__ import annotations

import functools
from typing import Any

import pytest
from avtomatika_worker import SkillBlueprint, TaskFiles, Worker, WorkerError
from avtomatika_worker.testing import TestWorker
from support import beside, config, orchestrator


async def misspelt(params, task_idd):
    pass


def without_annotation(params, files):
    pass


async def unknown(params, *, database):
    pass


async def by_position(params, job_id, /):
    pass


ASKS = {
    misspelt: "the handler `misspelt` of the task `work` asks for `task_idd`, which the worker does not offer; the nearest "
    "is `task_id`",
    without_annotation: "asks for `files`, which the worker does not offer; the nearest is `task_files`",
    unknown: "asks for `database`, which the worker does not offer",
    by_position: "asks for `job_id`, which the worker does not offer",
}


@pytest.mark.parametrize("handler", ASKS)
async def test_a_handler_that_asks_for_what_nobody_gives_is_found_at_start(handler):
    worker = Worker()
    worker.task("work")(handler)
    for start in (worker.main, lambda: TestWorker(worker).run_async("work", {})):
        with pytest.raises(WorkerError) as raised:
            await start()
        assert ASKS[handler] in str(raised.value) and raised.value.exit_code == 2


async def test_it_is_found_in_a_blueprint_and_in_a_worker_that_runs():
    blueprint = SkillBlueprint()
    blueprint.skill("work")(misspelt)
    worker = Worker()
    worker.include_blueprint(blueprint)
    with pytest.raises(WorkerError, match="the nearest is `task_id`"):
        await TestWorker(worker).run_async("work", {})


def test_it_is_found_while_the_worker_runs():
    with orchestrator() as dev:
        worker = Worker(config=config(dev.url))
        worker.task("echo")(lambda params: {"data": params})
        with beside(worker):
            dev.data("echo")
            with pytest.raises(WorkerError, match="the nearest is `task_id`"):
                worker.task("work")(misspelt)
            assert dev.data("echo", {"a": 1}) == {"a": 1}


def test_middleware_may_provide_anything_and_a_misspelt_name_is_logged(caplog):
    worker = Worker()
    worker.task("unknown")(unknown)
    worker.task("misspelt")(misspelt)

    @worker.add_middleware
    async def gives(context, next_handler):
        context["handler_kwargs"].update(database="db")
        return await next_handler()

    tester = TestWorker(worker)
    assert tester.run("unknown").status == "success"
    assert not caplog.messages
    assert tester.run("misspelt").error_message == (
        "the handler `misspelt` asks for `task_idd`, which no middleware has provided"
    )
    assert [message for message in caplog.messages if "the nearest is `task_id`" in message]


def test_a_decorator_may_provide_anything():
    def with_database(func):
        @functools.wraps(func)
        async def wrapper(params, **kwargs):
            return await func(params, database="db", **kwargs)

        return wrapper

    worker = Worker()

    @worker.task("work")
    @with_database
    async def work(params, task_id, database):
        return {"data": {"database": database, "task": task_id}}

    assert TestWorker(worker).run("work", task_id="t").data == {"database": "db", "task": "t"}


@pytest.mark.parametrize("around", [staticmethod, functools.cache])
def test_a_handler_in_a_wrapper_of_any_kind_is_registered(around):
    worker = Worker()
    worker.task("work")(around(lambda task_id: {"data": {"task": task_id}}))
    assert TestWorker(worker).run("work", task_id="t").data == {"task": "t"}


def test_a_decorator_that_names_its_arguments_may_provide_others():
    def with_database(func):
        @functools.wraps(func)
        async def wrapper(params):
            return await func(params, "db")

        return wrapper

    worker = Worker()

    @worker.task("work")
    @with_database
    async def work(params, database):
        return {"data": {"database": database}}

    with orchestrator() as dev:
        worker.config = config(dev.url)
        with beside(worker):
            assert dev.data("work") == {"database": "db"}


def test_what_a_handler_may_ask_for_is_no_mistake(caplog):
    worker = Worker()

    @worker.task("work")
    async def work(params, folder: TaskFiles, task_id, priority, model="small", *more: Any, **others: Any):
        return {"data": {}}

    assert TestWorker(worker).run("work").status == "success" and not caplog.messages


def test_parameters_in_an_argument_with_a_misspelt_name_are_logged(caplog):
    Worker().task("work")(lambda job_idd: None)
    assert "gets the parameters, since it is the first; is it `job_id`?" in caplog.text
    caplog.clear()
    Worker().task("work")(lambda document: None)
    assert not caplog.messages


@pytest.mark.parametrize("name", ["", "a b", "a/b", "ü", "x" * 129, None, 5, misspelt])
def test_a_bad_name_of_a_task_is_an_error_where_it_is_given(name):
    with pytest.raises(ValueError, match="invalid task name"):
        Worker().task(name)


async def takes_one(one):
    pass


def takes_nothing():
    pass


REGISTER = {
    "the start-up hook": (lambda worker: worker.on_startup, takes_one),
    "the shutdown hook": (lambda worker: worker.on_shutdown, takes_one),
    "the hook for ignored results": (lambda worker: worker.on_ignored_result, takes_one),
    "the function for the command `stop`": (lambda worker: worker.on_command("stop"), takes_nothing),
    "the middleware": (lambda worker: worker.add_middleware, takes_one),
    "the usage checker": (lambda worker: worker.set_usage_checker, takes_one),
    "`capacity_checker`": (lambda worker: lambda func: Worker(capacity_checker=func), takes_nothing),
}


@pytest.mark.parametrize("what", REGISTER)
def test_a_function_that_cannot_be_called_is_an_error_where_it_is_given(what):
    register, cannot = REGISTER[what]
    with pytest.raises(TypeError, match=f"{what} must be a function, got `str`"):
        register(Worker())("text")
    with pytest.raises(TypeError, match=f"{what} `{cannot.__name__}` is called with"):
        register(Worker())(cannot)
    register(Worker())(lambda *_: None)


@pytest.mark.parametrize("handler", ["text", None, {"a": 1}])
def test_a_handler_that_is_no_function_is_an_error_where_it_is_given(handler):
    with pytest.raises(TypeError, match="a handler must be a function"):
        Worker().task("work")(handler)
