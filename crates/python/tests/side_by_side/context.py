"""What handlers are given: progress, events, middleware, files, the hot cache, limits."""

from side_by_side.case import Case, work

PROGRESS = [
    work(
        "progress-awaited",
        """
        @worker.task("work")
        async def work(params, send_progress, **kwargs):
            await send_progress(kwargs["task_id"], kwargs["job_id"], 0.25, "begun")
            await send_progress(kwargs["task_id"], kwargs["job_id"], 1.0)
            return {"status": "success"}
        """,
    ),
    work(
        "progress-by-keywords",
        """
        @worker.task("work")
        async def work(params, task_id, job_id, send_progress, **_):
            await send_progress(task_id=task_id, job_id=job_id, progress=0.5, message="half")
            return {"status": "success"}
        """,
        on=("1.0b4",),
    ),
    work(
        "progress-create-task",
        """
        import asyncio


        @worker.task("work")
        async def work(params, task_id, job_id, send_progress, **_):
            await asyncio.create_task(send_progress(task_id, job_id, 0.5, "half"))
            return {"status": "success"}
        """,
    ),
    work(
        "progress-gather",
        """
        import asyncio


        @worker.task("work")
        async def work(params, task_id, job_id, send_progress, **_):
            done = await asyncio.gather(send_progress(task_id, job_id, 0.5, "half"), asyncio.sleep(0, "slept"))
            return {"data": {"done": done}}
        """,
    ),
    work(
        "progress-task-group",
        """
        import asyncio


        @worker.task("work")
        async def work(params, task_id, job_id, send_progress, **_):
            async with asyncio.TaskGroup() as group:
                group.create_task(send_progress(task_id, job_id, 0.5, "half"))
            return {"status": "success"}
        """,
    ),
    work(
        "progress-wait-for",
        """
        import asyncio


        @worker.task("work")
        async def work(params, task_id, job_id, send_progress, **_):
            value = await asyncio.wait_for(send_progress(task_id, job_id, 0.5, "half"), 5)
            return {"data": {"value": value, "coroutine": asyncio.iscoroutinefunction(send_progress)}}
        """,
    ),
    work(
        "progress-from-a-thread",
        """
        import asyncio


        @worker.task("work")
        async def work(params, task_id, job_id, send_progress, **_):
            loop = asyncio.get_running_loop()

            def in_a_thread():
                future = asyncio.run_coroutine_threadsafe(send_progress(task_id, job_id, 0.5, "half"), loop)
                return future.result(10)

            return {"data": {"value": await asyncio.to_thread(in_a_thread)}}
        """,
    ),
    work(
        "progress-run-in-a-thread",
        """
        import asyncio


        @worker.task("work")
        def work(params, task_id, job_id, send_progress, **_):
            asyncio.run(send_progress(task_id, job_id, 0.5, "half"))
            return {"status": "success"}
        """,
        on=("1.0b4",),
    ),
    work(
        "progress-type",
        """
        import asyncio
        import inspect


        @worker.task("work")
        async def work(params, task_id, job_id, send_progress, **_):
            made = send_progress(task_id, job_id, 0.5, "half")
            found = [asyncio.iscoroutine(made), inspect.isawaitable(made), inspect.iscoroutine(made)]
            await made
            return {"data": {"found": found}}
        """,
    ),
    work(
        "progress-out-of-range",
        """
        @worker.task("work")
        async def work(params, task_id, job_id, send_progress, **_):
            await send_progress(task_id, job_id, 1.0)
            return {"status": "success"}
        """,
    ),
    work(
        "event",
        """
        @worker.task("work", events_schema={"found": {"type": "object", "properties": {"n": {"type": "integer"}}}})
        async def work(params, send_event, **kwargs):
            await send_event("found", {"n": 1})
            return {"status": "success"}
        """,
        on=("1.0b20",),
    ),
    work(
        "event-undeclared",
        """
        @worker.task("work")
        async def work(params, send_event, **kwargs):
            await send_event("unknown", {"n": 1})
            return {"status": "success"}
        """,
        on=("1.0b20",),
    ),
    work(
        "event-that-does-not-fit",
        """
        @worker.task("work", events_schema={"found": {"type": "object", "properties": {"n": {"type": "integer"}}}})
        async def work(params, send_event, **kwargs):
            await send_event("found", {"n": "text"})
            return {"status": "success"}
        """,
        on=("1.0b20",),
    ),
    work(
        "event-undeclared-not-strict",
        """
        @worker.task("work")
        async def work(params, send_event, **kwargs):
            await send_event("unknown", {"n": 1})
            return {"status": "success"}
        """,
        on=("1.0b20",),
        variables={"STRICT_EVENT_VALIDATION": "false"},
    ),
    work(
        "event-undeclared-strict",
        """
        @worker.task("work")
        async def work(params, send_event, **kwargs):
            await send_event("unknown", {"n": 1})
            return {"status": "success"}
        """,
        on=("1.0b20",),
        variables={"STRICT_EVENT_VALIDATION": "true"},
    ),
    work(
        "event-with-members",
        """
        @worker.task("work", events_schema={"found": {"type": "object"}})
        async def work(params, send_event, **kwargs):
            await send_event("found", {"n": 1}, metadata={"m": 1}, origin_worker_id="another")
            return {"status": "success"}
        """,
        on=("1.0b20",),
    ),
    work(
        "event-in-a-task",
        """
        import asyncio


        @worker.task("work", events_schema={"found": {"type": "object"}})
        async def work(params, send_event, **kwargs):
            async with asyncio.TaskGroup() as group:
                group.create_task(send_event("found", {"n": 1}))
            return {"status": "success"}
        """,
        on=("1.0b20",),
    ),
    work(
        "event-of-the-worker",
        """
        from avtomatika_worker.worker import WorkerEventPayload


        @worker.task("work", events_schema={"found": {"type": "object"}})
        async def work(params, task_id, job_id):
            event = WorkerEventPayload(
                event_id="e1",
                worker_id="event-of-the-worker",
                origin_worker_id="event-of-the-worker",
                event_type="found",
                payload={"n": 1},
                target_job_id=job_id,
                target_task_id=task_id,
            )
            await worker.emit_event(event)
            return {"status": "success"}
        """,
        on=("1.0b20",),
    ),
]

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

FILES = [
    work(
        "files-of-the-readme",
        """
        from avtomatika_worker import TaskFiles


        @worker.task("work")
        async def work(params: dict, files: TaskFiles, **kwargs):
            await files.write("data.json", '{"status": "ok"}')
            content = await files.read("data.json")
            there = await files.exists("data.json"), await files.exists("input.jpg")
            return {"data": {"content": content, "there": there, "list": await files.list()}}
        """,
    ),
    work(
        "files-paths",
        """
        import os

        from avtomatika_worker import TaskFiles


        @worker.task("work")
        async def work(params, files: TaskFiles, **_):
            root, path = await files.get_root(), await files.path_to("sub/report.pdf")
            sync = files.path_to_sync("other.txt"), files.get_root_sync()
            return {
                "data": {
                    "root": type(root).__name__,
                    "relative": os.path.relpath(path, root),
                    "sync": [os.path.relpath(one, root) for one in sync],
                    "made": os.path.isdir(root),
                }
            }
        """,
    ),
    work(
        "files-root",
        """
        import os

        from avtomatika_worker import TaskFiles


        @worker.task("work")
        async def work(params, files: TaskFiles, task_id, **_):
            root = await files.get_root()
            return {"data": {"name": os.path.basename(root), "parent": os.path.basename(os.path.dirname(root))}}
        """,
    ),
    work(
        "files-json",
        """
        from avtomatika_worker import TaskFiles


        @worker.task("work")
        async def work(params, files: TaskFiles, **_):
            written = await files.write_json("a.json", {"b": [1, "ž"]})
            return {"data": {"read": await files.read_json("a.json"), "written": repr(written)}}
        """,
    ),
    work(
        "files-binary",
        """
        from avtomatika_worker import TaskFiles


        @worker.task("work")
        async def work(params, files: TaskFiles, **_):
            await files.write("a.bin", b"\\x00\\xff", mode="wb")
            read = await files.read("a.bin", mode="rb")
            await files.write("log.txt", "one\\n")
            await files.write("log.txt", "two\\n", mode="a")
            return {"data": {"read": list(read), "log": await files.read("log.txt"), "names": sorted(await files.list())}}
        """,
    ),
    work(
        "files-open",
        """
        from avtomatika_worker import TaskFiles


        @worker.task("work")
        async def work(params, files: TaskFiles, **_):
            async with files.open("rows.csv", "w") as rows:
                await rows.write("a,b\\n")
                await rows.write("1,2\\n")
            async with files.open("rows.csv") as rows:
                first = await rows.readline()
                rest = await rows.read()
            lines = []
            async with files.open("rows.csv", "r") as rows:
                async for line in rows:
                    lines.append(line)
            return {"data": {"first": first, "rest": rest, "lines": lines}}
        """,
    ),
    work(
        "files-missing",
        """
        from avtomatika_worker import TaskFiles


        @worker.task("work")
        async def work(params, files: TaskFiles, **_):
            try:
                await files.read("missing.txt")
            except FileNotFoundError as error:
                return {"data": {"type": type(error).__name__}}
        """,
    ),
    work(
        "files-missing-uncaught",
        """
        from avtomatika_worker import TaskFiles


        @worker.task("work")
        async def work(params, files: TaskFiles, **_):
            await files.read("missing.txt")
        """,
    ),
    work(
        "files-any-name",
        """
        from avtomatika_worker import TaskFiles


        @worker.task("work")
        async def work(params, workspace: TaskFiles, **kwargs):
            await workspace.write("a.txt", "x")
            return {"data": {"list": await workspace.list(), "type": type(workspace).__name__}}
        """,
    ),
    work(
        "files-sync-handler",
        """
        from avtomatika_worker import TaskFiles


        @worker.task("work")
        def work(params, files: TaskFiles, **_):
            path = files.path_to_sync("a.txt")
            with open(path, "w") as file:
                file.write("x")
            with open(path) as file:
                return {"data": {"text": file.read()}}
        """,
    ),
    work(
        "files-path-in-data",
        """
        import os

        from avtomatika_worker import TaskFiles


        @worker.task("work")
        async def work(params, files: TaskFiles, **_):
            await files.write("out.txt", "x")
            path = await files.path_to("out.txt")
            return {"data": {"path": path, "there": os.path.exists(path)}}
        """,
    ),
    work(
        "files-stand-alone",
        """
        import tempfile

        from avtomatika_worker import TaskFiles


        @worker.task("work")
        async def work(params, **kwargs):
            with tempfile.TemporaryDirectory() as folder:
                files = TaskFiles(folder)
                await files.write("a.txt", "x")
                return {"data": {"text": await files.read("a.txt"), "root": (await files.get_root()) == folder}}
        """,
    ),
    work(
        "files-upload-without-s3",
        """
        from avtomatika_worker import TaskFiles


        @worker.task("work")
        async def work(params, files: TaskFiles, **_):
            await files.write("a.txt", "x")
            try:
                return {"data": {"uploaded": repr(await files.upload_file("a.txt"))}}
            except Exception as error:
                return {"data": {"error": True}}
        """,
    ),
    work(
        "s3-untouched-without-endpoint",
        """
        @worker.task("work")
        async def work(params, **kwargs):
            return {"data": params}
        """,
        {"image": "s3://bucket/photo.jpg", "deep": [{"b": "s3://bucket/folder/"}]},
    ),
]

HOT = [
    work(
        "hot-cache",
        """
        from avtomatika_worker import Worker

        worker = Worker(
            worker_type="ai-processor",
            skill_dependencies={"image_generation": ["stable_diffusion_v1.5", "vae-ft-mse"], "upscale": ["realesrgan_x4"]},
        )


        @worker.task("image_generation")
        async def generate(params, **kwargs):
            return {"status": "success"}


        @worker.task("work")
        async def work(params, add_to_hot_cache, remove_from_hot_cache, **kwargs):
            add_to_hot_cache("stable_diffusion_v1.5")
            add_to_hot_cache("vae-ft-mse")
            add_to_hot_cache("another")
            remove_from_hot_cache("another")
            return {"status": "success"}
        """,
        on=("1.0b4",),
        late=True,
    ),
    Case(
        "hot-cache-of-the-worker",
        """
        worker.add_to_hot_cache("m1")
        worker.add_to_hot_cache("m2")
        worker.remove_from_hot_cache("m2")
        assert worker.get_hot_cache() == {"m1"}


        @worker.task("work")
        async def work(params, **kwargs):
            return {"data": {"cache": sorted(worker.get_hot_cache()), "type": type(worker.get_hot_cache()).__name__}}
        """,
        [("work", {})],
        on=("1.0b4",),
        late=True,
    ),
    work(
        "hot-skills",
        """
        @worker.task("other")
        async def other(params, **kwargs):
            return {"status": "success"}


        @worker.task("work")
        async def work(params, add_to_hot_skills, remove_from_hot_skills, **kwargs):
            add_to_hot_skills("other")
            add_to_hot_skills("work")
            remove_from_hot_skills("work")
            return {"status": "success"}
        """,
        on=("1.0b20",),
        late=True,
    ),
    work(
        "hot-skills-with-dependencies",
        """
        from avtomatika_worker import Worker

        worker = Worker(skill_dependencies={"work": ["m1", "m2"], "other": ["m3"]})


        @worker.task("other")
        async def other(params, **kwargs):
            return {"status": "success"}


        @worker.task("work")
        async def work(params, add_to_hot_skills, **kwargs):
            add_to_hot_skills("m1")
            add_to_hot_skills("m2")
            return {"data": {"state": sorted(worker.get_hot_skills_state())}}
        """,
        on=("1.0b20",),
        late=True,
    ),
    work(
        "hot-skills-of-the-worker",
        """
        worker.add_to_hot_skills("work")


        @worker.task("work")
        async def work(params, **kwargs):
            state = worker.get_hot_skills_state()
            return {"data": {"state": sorted(state), "type": type(state).__name__}}
        """,
        on=("1.0b20",),
        late=True,
    ),
    work(
        "capacity-checker",
        """
        from avtomatika_worker import Worker

        worker = Worker(capacity_checker=lambda name: name != "busy")


        @worker.task("busy")
        async def busy(params, **kwargs):
            return {"status": "success"}


        @worker.task("work")
        async def work(params, **kwargs):
            return {"status": "success"}
        """,
    ),
    Case(
        "capacity-checker-refuses-all",
        """
        from avtomatika_worker import Worker

        worker = Worker(capacity_checker=lambda name: False)


        @worker.task("other")
        async def other(params, **kwargs):
            return {"status": "success"}
        """,
    ),
    Case(
        "task-type-limits",
        """
        from avtomatika_worker import Worker

        worker = Worker(max_concurrent_tasks=10, task_type_limits={"video": 1, "audio": 4})


        @worker.task("upscale", task_type="video")
        async def upscale(params, **kwargs):
            return {"status": "success"}


        @worker.task("transcribe", task_type="audio")
        async def transcribe(params, **kwargs):
            return {"status": "success"}


        @worker.task("report")
        async def report(params, **kwargs):
            return {"status": "success"}
        """,
        [("upscale", {}), ("transcribe", {}), ("report", {})],
        on=("1.0b4",),
    ),
    Case(
        "task-type-without-a-limit",
        """
        @worker.task("upscale", task_type="video")
        async def upscale(params, **kwargs):
            return {"status": "success"}
        """,
        [("upscale", {})],
        on=("1.0b4",),
    ),
    Case(
        "skill-type-limits",
        """
        from avtomatika_worker import Worker

        worker = Worker(max_concurrent_tasks=10, skill_type_limits={"video": 1, "report": 2})


        @worker.skill("upscale", type="video")
        async def upscale(params, **kwargs):
            return {"status": "success"}


        @worker.skill("report")
        async def report(params, **kwargs):
            return {"status": "success"}
        """,
        [("upscale", {}), ("report", {})],
        on=("1.0b20",),
    ),
    Case(
        "command-over-the-websocket",
        """
        seen = []


        @worker.on_command("reload")
        async def reload(command):
            seen.append([command["command"], command["params"], command.command, command.params])


        @worker.task("work")
        async def work(params, **kwargs):
            return {"data": {"seen": seen}}
        """,
        [("work", {})],
        on=("1.0b20",),
        commands=({"command": "reload", "params": {"a": 1}},),
    ),
    Case(
        "command-object",
        """
        import asyncio

        seen = asyncio.Event()
        found = []


        @worker.on_command("reload")
        async def reload(command):
            found.append([type(command).__name__, command.command, command.params, command.task_id])
            seen.set()


        @worker.task("work")
        async def work(params, **kwargs):
            await asyncio.wait_for(seen.wait(), 5)
            return {"data": {"found": found}}
        """,
        [("work", {})],
        on=("1.0b20",),
        commands=({"command": "reload", "params": {"a": 1}},),
    ),
]
