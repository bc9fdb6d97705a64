"""The analysis of a handler's signature, with postponed annotations, which are texts."""

from __future__ import annotations

import asyncio
import code
import functools
import gc
import inspect
import json
import sys
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from avtomatika_worker.errors import ParamValidationError, PermanentError
from avtomatika_worker.signature import MISSING, analyse
from avtomatika_worker.task_files import TaskFiles
from pydantic import BaseModel

if TYPE_CHECKING:
    from avtomatika_worker import TaskFiles as ForCheckersOnly
    from nowhere import Nothing, Pair

OFFERED = {"task_id": "t", "job_id": "j", "priority": 0, "model_path": "/m"}


def called(func: Any, params: Any = None) -> Any:
    plan = analyse(func)
    files = dict.fromkeys(plan.files, "the files")
    return plan.invoke({"p": 1} if params is None else params, {**OFFERED, **files})


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


def blind(params, **kwargs):
    return params


def test_keywords_at_which_no_code_can_look_are_not_made():
    assert not analyse(blind).reads_all
    assert not analyse(lambda params, **kwargs: [(lambda: one)() for one in params]).reads_all


def test_keywords_are_made_for_those_who_look_at_a_frame():
    def by_inner_function(params, **kwargs):
        def look():
            return sys._getframe(1)

        return look()

    def by_traceback(params, **kwargs):
        try:
            raise ValueError
        except ValueError as error:
            return error.__traceback__.tb_frame

    def by_frame(params, **kwargs):
        return inspect.currentframe()

    def by_shell(params, **kwargs):
        code.interact()

    def by_other_shell(params, **kwargs):
        from IPython import embed

        embed()

    for handler in (by_inner_function, by_traceback, by_frame, by_shell, by_other_shell):
        assert analyse(handler).reads_all, handler


def test_keywords_are_made_for_a_debugger():
    before = sys.gettrace()
    sys.settrace(lambda *_: None)
    try:
        assert analyse(blind).reads_all
    finally:
        sys.settrace(before)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="it has no `sys.monitoring`")
def test_keywords_are_made_for_a_debugger_that_monitors():
    monitoring = sys.monitoring
    monitoring.use_tool_id(monitoring.DEBUGGER_ID, "test")
    try:
        assert analyse(blind).reads_all
    finally:
        monitoring.free_tool_id(monitoring.DEBUGGER_ID)


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
    assert not analyse(for_checkers_only).files, "an undefined name is not recognised"
    assert analyse(plain).files == ("folder",)
    assert not analyse(lambda params, **kwargs: None).files


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
    globals()["FurtherDown"] = Inner
    try:
        plan.prepare()
        assert plan.params_reader(b'{"x": 1}') == Inner(1)
    finally:
        del globals()["FurtherDown"]


def test_an_annotation_that_is_never_defined_is_logged_and_not_checked(caplog) -> None:
    async def odd(params: Nothing) -> None: ...

    async def pairs(params: list[Pair[Inner]]) -> None: ...

    for func in (odd, pairs):
        plan = analyse(func)
        assert not caplog.messages, "it may be defined further down"
        plan.prepare()
        plan.prepare()
        assert plan.params_reader(b'{"x": [1]}') == {"x": [1]}
        assert len(caplog.messages) == 1 and f"`{plan.name}` are passed unchecked: the annotation" in caplog.text
        caplog.clear()


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


def test_objects_that_cannot_be_called_are_refused_at_once():
    with pytest.raises(TypeError, match="must be a function, got `int`"):
        analyse(5)  # type: ignore[arg-type]


def test_handlers_that_cannot_work_are_named_in_the_log(caplog):
    async def generator(params: dict) -> Any:
        yield 1

    def other(params: dict) -> Any:
        yield 1

    def unreachable(params: dict, task_id: str, /, job_id: str) -> None: ...

    def harmless(params: dict, mine: int = 5, /) -> int:
        return mine

    for func in (generator, other):
        caplog.clear()
        analyse(func)
        assert caplog.messages[0].endswith(
            "is a generator, expected a function that returns its result: its tasks will fail"
        )
    caplog.clear()
    plan = analyse(unreachable)
    assert len(caplog.messages) == 1 and "`task_id`" in caplog.text and "positional-only" in caplog.text
    with pytest.raises(PermanentError, match="asks for `task_id`"):
        plan.invoke({}, OFFERED)
    caplog.clear()
    assert called(harmless) == 5 and not caplog.messages


def asynchronous(wrapped: Any) -> Any:
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        return await wrapped(*args, **kwargs)

    return wrapper


def blocking(wrapped: Any) -> Any:
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return wrapped(*args, **kwargs)

    return wrapper


def other_name(wrapped: Any) -> Any:
    async def wrapper(task_params: Any, **kwargs: Any) -> Any:
        return await wrapped(task_params, **kwargs)

    return wrapper


def by_position(wrapped: Any) -> Any:
    def wrapper(*args: Any) -> Any:
        return wrapped(*args)

    return wrapper


def by_name(wrapped: Any) -> Any:
    async def wrapper(**kwargs: Any) -> Any:
        return await wrapped(**kwargs)

    return wrapper


def reads_params(wrapped: Any) -> Any:
    @functools.wraps(wrapped)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        return await wrapped(params=kwargs.pop("params"), **kwargs)

    return wrapper


def wraps_by_name(wrapped: Any) -> Any:
    return functools.wraps(wrapped)(by_name(wrapped))


def wraps_other_name(wrapped: Any) -> Any:
    return functools.wraps(wrapped)(other_name(wrapped))


def wraps_any(wrapped: Any) -> Any:
    return functools.wraps(wrapped)(asynchronous(wrapped))


def test_a_wrapper_that_names_its_arguments_gets_these_and_no_others():
    async def handler(params: Inner, task_id: str, database: str, folder: TaskFiles | None = None, **more: Any) -> Any:
        return params, task_id, database

    @functools.wraps(handler)
    async def supplies(params, task_id):
        return await handler(params, task_id, "db")

    @functools.wraps(handler)
    async def supplies_more(data):
        return await handler(data, "own", "db")

    @functools.wraps(handler)
    async def takes_any(*args):
        return await handler(*args, "own", "db")

    @functools.wraps(handler)
    async def asks_for_more(params, job_id, *, task_id="none", priority):
        return await handler(params, f"{task_id} {job_id} {priority}", "db")

    @functools.wraps(handler)
    async def another_order(task_id, params):
        return await handler(params, task_id, "db")

    @functools.wraps(handler)
    async def by_name_only(*, params, task_id):
        return await handler(params, task_id, "db")

    class Handlers:
        @functools.wraps(handler)
        async def method(self, params, task_id):
            return await handler(params, task_id, "db")

        @functools.wraps(handler)
        async def __call__(self, params, task_id):
            return await handler(params, task_id, "db")

    async def nothing() -> Any: ...

    @functools.wraps(nothing)
    async def drops_params(params):
        return params, "own", "db"

    for func, task in (
        (supplies, "t"),
        (supplies_more, "own"),
        (takes_any, "own"),
        (asks_for_more, "t j 0"),
        (another_order, "t"),
        (by_name_only, "t"),
        (Handlers().method, "t"),
        (Handlers(), "t"),
        (functools.partial(supplies), "t"),
        (drops_params, "own"),
    ):
        plan = analyse(func)
        assert plan.unprovided == () or plan.is_wrapped, func
        assert not plan.files and asyncio.run(plan.invoke("p", OFFERED)) == ("p", task, "db"), func
        assert func is drops_params or plan.params_reader(b'{"x": 1}') == Inner(1), func


@pytest.mark.parametrize("around", [staticmethod, functools.cache, functools.lru_cache(maxsize=3), functools.partial])
def test_a_wrapper_without_a_signature_of_its_own_is_called_like_the_handler(around):
    async def handler(params: str, task_id: str, missing: int = 5) -> Any:
        return params, task_id, missing

    plan = analyse(around(handler))
    assert asyncio.run(awaited(plan.invoke("p", OFFERED))) == ("p", "t", 5)


NO_PARAMS = "missing 1 required positional argument"


@pytest.mark.parametrize(
    ("decorator", "params", "params_kwargs", "data_kwargs", "keyword_only", "method"),
    [
        (lambda wrapped: wrapped, "t", "t", "t", "t", "t"),
        # The original passes everything by name, so there only the shapes with an argument `params` or `**kwargs` work.
        (asynchronous, "unexpected keyword", "t", NO_PARAMS, "t", "t"),
        (blocking, "unexpected keyword", "t", NO_PARAMS, "t", "t"),
        (other_name, "unexpected keyword", "t", "t", "takes 0 positional", "t"),
        (by_position, None, None, None, "takes 0 positional", None),
        (by_name, "unexpected keyword", "t", NO_PARAMS, "t", "t"),
        (reads_params, "t", "t", "params", "t", "t"),
        (wraps_by_name, "t", "t", "takes 0 positional", "t", "t"),
        (wraps_other_name, "t", "t", "t", NO_PARAMS, "t"),
        (wraps_any, "t", "t", "t", "t", "t"),
        (
            lambda wrapped: lambda p, **kwargs: wrapped(p, **kwargs),
            "unexpected keyword",
            "t",
            "t",
            "takes 0 positional",
            "t",
        ),
        (
            lambda wrapped: lambda params, task_id: wrapped(params, task_id=task_id),
            "t",
            "t",
            "t",
            "takes 0 positional",
            "t",
        ),
        (functools.partial, "t", "t", "t", "t", "t"),
    ],
)
def test_decorated_handlers(decorator, params, params_kwargs, data_kwargs, keyword_only, method):
    """One row for each decorator: the id that each shape of handler gets, or what is wrong."""

    async def with_params(params, task_id=None):
        return params, task_id

    async def with_params_kwargs(params, **kwargs):
        return params, kwargs.get("task_id")

    async def with_data_kwargs(data, **kwargs):
        return data, kwargs.get("task_id")

    async def with_keyword_only(*, params, **kwargs):
        return params, kwargs.get("task_id")

    class Handlers:
        async def method(self, params, **kwargs):
            return params, kwargs.get("task_id")

    handlers = (with_params, with_params_kwargs, with_data_kwargs, with_keyword_only, Handlers().method)
    for handler, expected in zip(handlers, (params, params_kwargs, data_kwargs, keyword_only, method), strict=True):
        try:
            got = asyncio.run(awaited(called(decorator(handler))))
        except (TypeError, KeyError) as error:
            got = str(error)
            assert expected is not None and expected != "t" and expected in got, (handler, got)
        else:
            assert got == ({"p": 1}, expected), (handler, got)


async def awaited(result: Any) -> Any:
    return await result


def test_the_first_argument_may_be_one_that_is_offered():
    assert called(lambda task_id, **kwargs: (task_id, kwargs["params"])) == ("t", {"p": 1})
    assert called(lambda task_id, params: (task_id, params)) == ("t", {"p": 1})
    assert called(lambda *args: args) == ({"p": 1},)
    assert called(lambda *args, **kwargs: (args, kwargs["params"])) == ((), {"p": 1})
    assert called(lambda params=None, **kwargs: params) == {"p": 1}


def test_a_class_as_a_handler_is_called_like_a_function():
    class Job:
        def __init__(self, params: dict) -> None:
            self.params = params

        async def __call__(self) -> None: ...

    assert not analyse(Job).is_async
    assert called(Job).params == {"p": 1}


def test_parameters_that_a_middleware_has_removed():
    optional = analyse(lambda params=7, **kwargs: params)
    assert optional.invoke(MISSING, OFFERED) == 7
    assert "params" not in analyse(lambda **kwargs: kwargs).invoke(MISSING, OFFERED)
    with pytest.raises(PermanentError, match="asks for `params`"):
        analyse(lambda params, **kwargs: params).invoke(MISSING, OFFERED)


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


# --- `**kwargs` that nobody reads


def _closes_over(params, **kwargs):
    return lambda: kwargs


async def _awaits(params, **kwargs):
    return {"data": kwargs["task_id"]}


def _wrapped(params, **kwargs): ...


@pytest.mark.parametrize(
    ("handler", "reads"),
    [
        (lambda params, **kwargs: None, False),
        (lambda params, *more, extra=1, **anything: (params, more, extra), False),
        (lambda params, **kwargs: kwargs, True),
        (lambda params, **kwargs: params or list(kwargs), True),
        (lambda params, **kwargs: locals(), True),
        (lambda params, **kwargs: sys._getframe().f_locals, True),
        (_closes_over, True),
        (_awaits, True),
        (functools.partial(_wrapped), True),
        (lambda params: None, False),
    ],
)
def test_arguments_that_a_handler_does_not_read_are_not_made(handler, reads):
    assert analyse(handler).reads_all is reads
