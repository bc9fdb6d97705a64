"""The analysis of a handler's signature, with postponed annotations, which are texts."""

from __future__ import annotations

import functools
import gc
import json
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from avtomatika_worker import Worker, WorkerError
from avtomatika_worker.errors import ParamValidationError, PermanentError
from avtomatika_worker.signature import analyse
from avtomatika_worker.task_files import TaskFiles
from pydantic import BaseModel

if TYPE_CHECKING:
    from avtomatika_worker import TaskFiles as ForCheckersOnly
    from nowhere import Nothing

OFFERED = {"task_id": "t", "job_id": "j", "priority": 0, "task_files": "the files", "model_path": "/m"}


def called(func: Any, params: Any = None) -> Any:
    return analyse(func).invoke({"p": 1} if params is None else params, OFFERED)


def test_a_handler_gets_only_the_arguments_it_names():
    assert called(lambda params: params) == {"p": 1}
    assert called(lambda params, task_id: task_id) == "t"
    assert called(lambda params, *, job_id, deadline=5: (job_id, deadline)) == ("j", 5)
    assert called(lambda: "nothing") == "nothing"
    assert called(lambda task_id: task_id) == "t"
    assert called(lambda task_id, params: params) == {"p": 1}
    assert called(lambda data: data) == {"p": 1}
    assert called(lambda data, /, job_id: (data, job_id)) == ({"p": 1}, "j")


def test_a_handler_with_kwargs_gets_all_arguments_except_the_files():
    named = called(lambda params, **kwargs: kwargs)
    assert named == {"task_id": "t", "job_id": "j", "priority": 0, "model_path": "/m"}
    assert called(lambda **kwargs: kwargs["params"]) == {"p": 1}
    assert called(lambda params, job_id, **kwargs: "job_id" in kwargs) is False
    assert called(lambda p, task_files, **kwargs: task_files) == "the files"


def test_an_argument_that_was_not_injected_is_named():
    async def generate(params, model, **kwargs):
        raise AssertionError("not called")

    with pytest.raises(PermanentError, match="asks for `model`, which no middleware has provided"):
        called(generate)


def test_files_are_found_by_their_annotation_under_any_name():
    def plain(params: dict, folder: TaskFiles, **kwargs: Any) -> Any:
        return folder, kwargs

    def optional(params: dict, folder: TaskFiles | None = None) -> Any:
        return folder

    def first(folder: TaskFiles, params: dict) -> Any:
        return folder, params

    def for_checkers_only(params: dict, folder: ForCheckersOnly) -> Any:
        return folder

    assert called(plain)[0] == "the files"
    assert "task_files" not in called(plain)[1]
    assert called(optional) == "the files"
    assert called(first) == ("the files", {"p": 1})
    assert not analyse(for_checkers_only).wants_files, "an undefined name is not recognised"
    assert analyse(plain).wants_files
    assert not analyse(lambda params, **kwargs: None).wants_files


@dataclass
class Outer:
    inner: Inner
    later: list[Inner] | None = None


@dataclass
class Inner:
    x: int


def test_text_annotations_are_resolved():
    async def handler(params: Outer, **kwargs: Any) -> None: ...

    read = analyse(handler).params_reader
    assert read(b'{"inner": {"x": 1}, "later": [{"x": 2}]}') == Outer(Inner(1), [Inner(2)])
    with pytest.raises(ParamValidationError, match=r"at `later\[0\].x`"):
        read(b'{"inner": {"x": 1}, "later": [{"x": "2"}]}')


def test_text_annotations_of_local_classes_are_resolved():
    class Local(BaseModel):
        x: int

    @dataclass
    class Nested:
        x: int

    @dataclass
    class Around:
        nested: Nested

    def register() -> tuple[Any, Any]:
        async def one(params: Local) -> None: ...

        async def two(params: Around) -> None: ...

        return analyse(one), analyse(two)

    one, two = register()
    assert one.params_reader(b'{"x": "1"}') == Local(x=1)
    assert two.params_reader(b'{"nested": {"x": 1}}') == Around(Nested(1))
    with pytest.raises(ParamValidationError, match=r"at `nested.x`"):
        two.params_reader(b'{"nested": {"x": null}}')


def test_a_class_may_be_defined_further_down():
    async def handler(params: FurtherDown) -> None: ...

    plan = analyse(handler)
    with pytest.raises(TypeError, match="the annotation `FurtherDown` of `params` cannot be resolved"):
        plan.prepare()
    globals()["FurtherDown"] = Inner
    try:
        plan.prepare()
        assert plan.params_reader(b'{"x": 1}') == Inner(1)
    finally:
        del globals()["FurtherDown"]


async def test_an_annotation_that_is_never_defined_is_reported_at_the_start() -> None:
    worker = Worker()

    @worker.task("odd")
    async def odd(params: Nothing) -> None: ...

    with pytest.raises(WorkerError, match="the task `odd`: the annotation `Nothing` of `params` cannot be") as raised:
        await worker.main()
    assert raised.value.exit_code == 2


def test_an_unresolvable_field_is_logged_and_not_checked(caplog):
    @dataclass
    class Odd:
        a: int
        b: Nothing

    async def handler(params: Odd) -> None: ...

    read = analyse(handler).params_reader
    assert read(b'{"a": 1, "b": [2]}') == Odd(1, [2])
    assert "Odd.b` cannot be resolved" in caplog.text
    with pytest.raises(ParamValidationError, match="at `a`"):
        read(b'{"a": "1", "b": [2]}')


def test_callables_of_all_kinds():
    class Callable:
        async def __call__(self, params: Inner) -> None: ...

        async def method(self, params: Inner, task_id: str) -> None: ...

        def blocking(self, params: Inner) -> Inner:
            return params

    def decorated(func: Any) -> Any:
        @functools.wraps(func)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            return func(*args, **kwargs)

        return wrapper

    async def plain(params: Inner, task_id: str, extra: int = 0) -> None: ...

    one = Callable()
    for func in (one, one.method, plain, functools.partial(plain, extra=1), decorated(plain), decorated(one.method)):
        plan = analyse(func)
        assert plan.is_async == (not hasattr(func, "__wrapped__")), "a wrapper may block"
        assert plan.params_reader(b'{"x": 1}') == Inner(1)
        plan.invoke(Inner(1), OFFERED).close()
    assert not analyse(one.blocking).is_async
    assert analyse(one.blocking).invoke(Inner(1), OFFERED) == Inner(1)


def test_objects_that_cannot_be_handlers_are_refused_at_once():
    async def generator(params: dict) -> Any:
        yield 1

    def other(params: dict) -> Any:
        yield 1

    for func in (generator, other):
        with pytest.raises(TypeError, match="is a generator"):
            analyse(func)
    with pytest.raises(TypeError, match="must be a function, got `int`"):
        analyse(5)  # type: ignore[arg-type]


def test_the_scope_around_a_handler_is_not_kept_alive():
    class Big:
        pass

    def register() -> tuple[Any, Any]:
        big = Big()

        async def handler(params: Inner) -> None: ...

        return analyse(handler), weakref.ref(big)

    plan, big = register()
    gc.collect()
    assert big() is None
    assert plan.params_reader(json.dumps({"x": 1}).encode()) == Inner(1)
