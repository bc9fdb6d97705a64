"""Middleware: its order, its context, what it injects and replaces."""

from side_by_side.case import work

MIDDLEWARE = [
    work(
        "injects",
        """
        async def injects(context, next_handler):
            context["handler_kwargs"]["model_path"] = "/models/one"
            return await next_handler()


        worker.add_middleware(injects)


        @worker.task("work")
        def work(params, model_path, **kwargs):
            return {"data": {"model": model_path}}
        """,
    ),
    work(
        "order",
        """
        order = []


        def named(name):
            async def middleware(context, next_handler):
                order.append(f"{name} in")
                result = await next_handler()
                order.append(f"{name} out")
                result["data"]["order"] = list(order)
                return result

            return middleware


        worker.add_middleware(named("first"))
        worker.add_middleware(named("second"))


        @worker.task("work")
        async def work(params, **kwargs):
            order.append("handler")
            return {"data": {}}
        """,
    ),
    work(
        "short-circuit",
        """
        async def cached(context, next_handler):
            return {"status": "success", "data": {"cached": True}}


        worker.add_middleware(cached)


        @worker.task("work")
        async def work(params, **kwargs):
            raise RuntimeError("never")
        """,
    ),
    work(
        "changes-the-result",
        """
        async def wraps(context, next_handler):
            result = await next_handler()
            return {"status": "wrapped", "data": {"inner": result}}


        worker.add_middleware(wraps)


        @worker.task("work")
        async def work(params, **kwargs):
            return {"data": {"n": 1}}
        """,
    ),
    work(
        "catches",
        """
        async def catches(context, next_handler):
            try:
                return await next_handler()
            except ValueError as error:
                return {"status": "failure", "error": {"code": "MINE", "message": str(error)}}


        worker.add_middleware(catches)


        @worker.task("work")
        async def work(params, **kwargs):
            raise ValueError("caught")
        """,
    ),
    work(
        "middleware-raises",
        """
        async def raises(context, next_handler):
            raise RuntimeError("in middleware")


        worker.add_middleware(raises)


        @worker.task("work")
        async def work(params, **kwargs):
            return {"data": {}}
        """,
    ),
    work(
        "context-values-of-1-0b4",
        """
        seen = {}


        async def looks(context, next_handler):
            seen.update({key: context[key] for key in ("task_id", "job_id", "task_name", "params")})
            return await next_handler()


        worker.add_middleware(looks)


        @worker.task("work")
        async def work(params, **kwargs):
            return {"data": seen}
        """,
        {"a": 1},
        on=("1.0b4",),
    ),
    work(
        "context-keys-of-1-0b4",
        """
        seen = []


        async def looks(context, next_handler):
            seen.extend(sorted(context))
            return await next_handler()


        worker.add_middleware(looks)


        @worker.task("work")
        async def work(params, **kwargs):
            expected = ["handler_kwargs", "job_id", "params", "task_id", "task_name"]
            return {"data": {"there": [key for key in expected if key in seen]}}
        """,
        on=("1.0b4",),
    ),
    work(
        "context-keys-of-1-0b20",
        """
        seen = {}


        async def looks(context, next_handler):
            seen.update({key: type(value).__name__ for key, value in context.items()})
            return await next_handler()


        worker.add_middleware(looks)


        @worker.task("work")
        async def work(params, **kwargs):
            expected = ["skill_name", "s3_manager", "observability", "task_id", "job_id", "params", "handler_kwargs"]
            return {"data": {key: seen.get(key) for key in expected}}
        """,
        on=("1.0b20",),
    ),
    work(
        "handler-kwargs",
        """
        from avtomatika_worker import TaskFiles

        seen = {}


        async def looks(context, next_handler):
            seen.update({key: type(value).__name__ for key, value in context["handler_kwargs"].items()})
            return await next_handler()


        worker.add_middleware(looks)


        @worker.task("work")
        async def work(params, task_id, workspace: TaskFiles, **_):
            names = ("params", "task_id", "workspace")
            return {"data": {name: seen.get(name) for name in names}}
        """,
    ),
    work(
        "replaces-params",
        """
        async def replaces(context, next_handler):
            context["handler_kwargs"]["params"] = {"replaced": True}
            return await next_handler()


        worker.add_middleware(replaces)


        @worker.task("work")
        async def work(params, **kwargs):
            return {"data": params}
        """,
        {"a": 1},
    ),
    work(
        "edits-params-in-place",
        """
        async def edits(context, next_handler):
            context["params"]["edited"] = True
            return await next_handler()


        worker.add_middleware(edits)


        @worker.task("work")
        async def work(params, **kwargs):
            return {"data": params}
        """,
        {"a": 1},
    ),
    work(
        "replaces-files",
        """
        from avtomatika_worker import TaskFiles


        class Fake:
            async def read(self, name):
                return f"fake {name}"


        async def replaces(context, next_handler):
            context["handler_kwargs"]["files"] = Fake()
            return await next_handler()


        worker.add_middleware(replaces)


        @worker.task("work")
        async def work(params, files: TaskFiles, **_):
            return {"data": {"text": await files.read("a.txt")}}
        """,
    ),
    work(
        "callable-object",
        """
        class Counter:
            def __init__(self):
                self.count = 0

            async def __call__(self, context, next_handler):
                self.count += 1
                return await next_handler()


        counter = Counter()
        worker.add_middleware(counter)


        @worker.task("work")
        async def work(params, **kwargs):
            return {"data": {"count": counter.count}}
        """,
    ),
    work(
        "injects-into-kwargs",
        """
        async def injects(context, next_handler):
            context["handler_kwargs"]["db"] = "connection"
            return await next_handler()


        worker.add_middleware(injects)


        @worker.task("work")
        async def work(params, **kwargs):
            return {"data": {"db": kwargs["db"]}}
        """,
    ),
]
