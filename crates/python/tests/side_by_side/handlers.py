"""Handlers of all forms, their results and exceptions."""

from side_by_side.case import Case, work

HANDLERS = [
    work(
        "readme",
        """
        import asyncio
        import logging
        from avtomatika_worker import Worker

        logging.basicConfig(level=logging.INFO)
        worker = Worker(worker_type="image-processing")


        @worker.task("work")
        async def image_resizer(params: dict, **kwargs):
            task_id = kwargs.get("task_id")
            job_id = kwargs.get("job_id")
            print(f"Task {task_id} (Job: {job_id}): resizing image...")
            await asyncio.sleep(0.01)
            return {"status": "success", "data": {"resized_path": f"/path/to/resized_{params.get('filename')}"}}
        """,
        {"filename": "a.png"},
    ),
    work(
        "kwargs-values",
        """
        @worker.task("work")
        async def work(params, **kwargs):
            plain = ("task_id", "job_id", "priority", "tracing_context")
            return {"data": {name: [type(kwargs[name]).__name__, kwargs[name]] for name in plain}}
        """,
        {"a": 1},
    ),
    Case(
        "kwargs-given",
        """
        @worker.task("work")
        async def work(params, **kwargs):
            return {"data": {"priority": kwargs["priority"], "tracing": kwargs["tracing_context"]}}
        """,
        [
            ("work", {}, {"priority": 7, "tracing_context": {"traceparent": "00-1-2-01"}}),
            ("work", {}, {"priority": 0.5}),
        ],
    ),
    Case(
        "kwargs-of-1-0b20",
        """
        @worker.task("work")
        async def work(params, **kwargs):
            names = ("deadline", "metadata", "security")
            return {"data": {name: repr(kwargs[name]) for name in names}}
        """,
        [("work", {}), ("work", {}, {"metadata": {"m": 1}, "deadline": 4000000000, "security": {"signer_id": "s"}})],
        on=("1.0b20",),
    ),
    work(
        "kwargs-names",
        """
        @worker.task("work")
        async def work(params, **kwargs):
            expected = {"task_id", "job_id", "priority", "tracing_context", "send_progress"}
            return {"data": {"missing": sorted(expected - set(kwargs)), "params": "params" in kwargs}}
        """,
    ),
    work(
        "by-name",
        """
        @worker.task("work")
        async def work(params, task_id, job_id, priority):
            return {"data": {"task": task_id, "job": job_id, "priority": priority}}
        """,
    ),
    work(
        "by-name-in-any-order",
        """
        @worker.task("work")
        async def work(job_id, params, task_id="none", **_):
            return {"data": {"task": task_id, "job": job_id, "params": params}}
        """,
        {"a": 1},
    ),
    work(
        "only-params",
        """
        @worker.task("work")
        async def work(params):
            return {"data": {"params": params}}
        """,
        {"a": [1, 2.5, None, "ž", {"b": True}], "big": 2**63},
    ),
    work(
        "keyword-only",
        """
        @worker.task("work")
        async def work(params, *, task_id, **_):
            return {"data": {"task": task_id}}
        """,
    ),
    work(
        "defaults",
        """
        @worker.task("work")
        async def work(params, scale=2, **kwargs):
            return {"data": {"scale": scale}}
        """,
    ),
    work(
        "other-name-for-params",
        """
        @worker.task("work")
        async def work(payload: dict, **kwargs):
            return {"data": payload}
        """,
        {"a": 1},
    ),
    work(
        "sync",
        """
        import threading


        @worker.task("work")
        def work(params: dict, **kwargs):
            main = threading.current_thread() is threading.main_thread()
            return {"data": {"main": main, "task": kwargs["task_id"]}}
        """,
    ),
    work(
        "sync-that-blocks",
        """
        import time


        @worker.task("work")
        def work(params, **_):
            time.sleep(0.01)
            return {"data": {"slept": params["s"]}}
        """,
        {"s": 0.01},
    ),
    work(
        "method",
        """
        class Service:
            def __init__(self):
                self.factor = 3

            async def work(self, params, **kwargs):
                return {"data": {"product": self.factor * params["n"]}}


        service = Service()
        register = getattr(worker, "task", None) or worker.skill
        register("work")(service.work)
        """,
        {"n": 5},
    ),
    work(
        "partial",
        """
        import functools


        async def scaled(factor, params, **kwargs):
            return {"data": {"product": factor * params["n"]}}


        register = getattr(worker, "task", None) or worker.skill
        register("work")(functools.partial(scaled, 4))
        """,
        {"n": 5},
    ),
    work(
        "decorated",
        """
        import functools


        def timed(function):
            @functools.wraps(function)
            async def wrapper(params, **kwargs):
                result = await function(params, **kwargs)
                result["data"]["timed"] = True
                return result

            return wrapper


        @worker.task("work")
        @timed
        async def work(params: dict, **kwargs):
            return {"data": {"n": params["n"]}}
        """,
        {"n": 1},
    ),
    work(
        "decorated-without-wraps",
        """
        def timed(function):
            async def wrapper(*args, **kwargs):
                result = await function(*args, **kwargs)
                result["data"]["timed"] = True
                return result

            return wrapper


        @worker.task("work")
        @timed
        async def work(params: dict, **kwargs):
            return {"data": {"n": params["n"], "task": kwargs["task_id"]}}
        """,
        {"n": 1},
    ),
    work(
        "decorator-returns-the-function",
        """
        @worker.task("inner")
        async def inner(params, **kwargs):
            return {"data": {"inner": params["n"]}}


        @worker.task("work")
        async def work(params, **kwargs):
            return await inner({"n": params["n"] + 1})
        """,
        {"n": 1},
    ),
    Case(
        "several-tasks",
        """
        import asyncio


        @worker.task("add")
        async def add(params, **kwargs):
            return {"data": {"sum": params["a"] + params["b"]}}


        @worker.task("fail")
        async def fail(params, **kwargs):
            raise RuntimeError("as planned")


        @worker.task("slow")
        async def slow(params, **kwargs):
            await asyncio.sleep(0.05)
            return {"status": "done"}
        """,
        [("add", {"a": 1, "b": 2}), ("fail", {}), ("slow", {}), ("unknown", {})],
    ),
    work(
        "extra-members-of-the-task",
        """
        @worker.task("work")
        async def work(params, **kwargs):
            return {"data": {"n": len(params)}}
        """,
    ),
]

_FORMS = {
    "nothing": "None",
    "empty": "{}",
    "status": "{'status': 'success'}",
    "data": "{'data': {'a': 1}}",
    "data-none": "{'status': 'success', 'data': None}",
    "data-empty": "{'status': 'success', 'data': {}}",
    "success": "{'status': 'success', 'data': {'a': [1, 2.5, None, 'ž']}}",
    "custom": "{'status': 'needs_manual_review', 'data': {'reason': 'blurred'}}",
    "custom-without-data": "{'status': 'later'}",
    "custom-with-error": "{'status': 'custom', 'data': {'a': 1}, 'error': {'code': 'X', 'message': 'm'}}",
    "failure": "{'status': 'failure', 'error': {'code': 'TRANSIENT_ERROR', 'message': 'try again'}}",
    "failure-permanent": "{'status': 'failure', 'error': {'code': 'PERMANENT_ERROR', 'message': 'no', 'details': {'d': 1}}}",
    "failure-with-data": "{'status': 'failure', 'data': {'a': 1}, 'error': {'code': 'X', 'message': 'm'}}",
    "failure-without-error": "{'status': 'failure'}",
    "failure-error-none": "{'status': 'failure', 'error': None}",
    "failure-own-code": "{'status': 'failure', 'error': {'code': 'MY_OWN', 'message': 'mine'}}",
    "failure-without-code": "{'status': 'failure', 'error': {'message': 'no code'}}",
    "failure-without-message": "{'status': 'failure', 'error': {'code': 'X'}}",
    "failure-text": "{'status': 'failure', 'error': 'only a text'}",
    "error-without-status": "{'error': {'code': 'X', 'message': 'm'}}",
    "success-with-error": "{'status': 'success', 'data': {'a': 1}, 'error': {'code': 'X', 'message': 'm'}}",
    "metadata": "{'status': 'success', 'data': {'a': 1}, 'metadata': {'m': 1}}",
    "costs": "{'status': 'success', 'data': {'a': 1}, 'costs': {'gpu': 2.5}}",
    "costs-of-a-failure": "{'status': 'failure', 'error': {'code': 'X', 'message': 'm'}, 'costs': {'tokens': 7}}",
    "extra-keys": "{'status': 'success', 'data': {'a': 1}, 'other': 5}",
    "plain-dict": "{'message': 'hello'}",
    "cancelled": "{'status': 'cancelled'}",
    "error-details": "{'status': 'failure', 'error': {'code': 'X', 'message': 'm', 'details': {'deep': [1, {'b': None}]}}}",
    "tuple-in-data": "{'data': {'a': (1, 2)}}",
    "integral-float": "{'data': {'a': 2.0}}",
    "unicode": "{'data': {'ключ': 'значение \\u20ac'}}",
    "int-keys": "{'data': {1: 'one'}}",
    "nested-none": "{'data': {'a': None, 'b': {'c': None}}}",
    "large-int": "{'data': {'a': 2**53 + 1}}",
    "list": "[1, 2]",
    "text": "'done'",
    "nan": "{'data': {'a': float('nan')}}",
    "set": "{'data': {'a': {1}}}",
    "datetime": "{'data': {'a': __import__('datetime').datetime(2026, 1, 2, 3, 4, 5)}}",
    "uuid": "{'data': {'a': __import__('uuid').UUID(int=5)}}",
    "data-is-a-list": "{'data': [1, 2]}",
}

_RAISED = {
    "runtime": "RuntimeError('as planned')",
    "value": "ValueError('not a number')",
    "key": "KeyError('missing')",
    "empty": "RuntimeError()",
    "exception": "Exception('plain')",
    "timeout": "TimeoutError('too slow')",
    "os": "OSError(5, 'broken')",
    "cancelled": "asyncio.CancelledError()",
    "invalid": "ParamValidationError('width is missing')",
    "assertion": "AssertionError('wrong')",
    "not-implemented": "NotImplementedError()",
    "unicode": "RuntimeError('не вышло')",
}


def _returning(form: str, value: str) -> Case:
    return work(
        f"returns-{form}",
        f"""
        @worker.task("work")
        async def work(params, **kwargs):
            return {value}
        """,
        unanswered=("1.0b4",) if form in ("int-keys", "set") else (),
    )


def _raising(form: str, value: str, sync: bool = False) -> Case:
    return work(
        f"raises-{form}{'-in-a-thread' if sync else ''}",
        f"""
        import asyncio
        from avtomatika_worker.types import ParamValidationError


        @worker.task("work")
        {"" if sync else "async "}def work(params, **kwargs):
            raise {value}
        """,
    )


RESULTS = [_returning(form, value) for form, value in _FORMS.items()]

EXCEPTIONS = [
    *(_raising(form, value) for form, value in _RAISED.items()),
    *(_raising(form, _RAISED[form], True) for form in ("runtime", "value", "invalid", "cancelled")),
]
