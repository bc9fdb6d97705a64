"""The hot cache, hot skills, limits, commands."""

from side_by_side.case import Case, work

CAPACITY = [
    Case(
        "no-tasks",
        """
        from avtomatika_worker import Worker

        worker = Worker()
        """,
        statuses=True,
    ),
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
    work(
        "busy-while-full",
        """
        import asyncio

        from avtomatika_worker import Worker

        worker = Worker(max_concurrent_tasks=1)


        @worker.task("work")
        async def work(params, **kwargs):
            await asyncio.sleep(1.5)
            return {"data": {"done": True}}
        """,
        on=("1.0b4",),
        statuses=True,
    ),
    work(
        "busy-by-type",
        """
        import asyncio

        from avtomatika_worker import Worker

        worker = Worker(max_concurrent_tasks=5, task_type_limits={"gpu": 1})


        @worker.task("work", task_type="gpu")
        async def work(params, **kwargs):
            await asyncio.sleep(1.5)
            return {"data": {"done": True}}


        @worker.task("other")
        async def other(params, **kwargs):
            return {"data": {}}
        """,
        on=("1.0b4",),
        statuses=True,
    ),
    work(
        "cancelled-by-command",
        """
        import asyncio


        @worker.task("work")
        async def work(params, **kwargs):
            await asyncio.sleep(30)
        """,
        cancelled=True,
    ),
    work(
        "cancelled-and-cleaned-up",
        """
        import asyncio


        @worker.task("work")
        async def work(params, **kwargs):
            try:
                await asyncio.sleep(30)
            except asyncio.CancelledError:
                await asyncio.sleep(0.01)
                raise
        """,
        cancelled=True,
    ),
    work(
        "cancelled-but-answers",
        """
        import asyncio


        @worker.task("work")
        async def work(params, **kwargs):
            try:
                await asyncio.sleep(30)
            except asyncio.CancelledError:
                return {"status": "success", "data": {"partly": True}}
        """,
        cancelled=True,
    ),
    Case(
        "arguments-by-position",
        """
        from avtomatika_worker import Worker

        worker = Worker("positional", 3, {"gpu": 1})


        @worker.task("work")
        async def work(params, **kwargs):
            return {"data": {}}
        """,
        [("work", {})],
    ),
    Case(
        "bad-name",
        """
        @worker.task("not a name!")
        async def work(params, **kwargs):
            return {"data": {}}
        """,
    ),
    Case(
        "bad-type",
        """
        @worker.task("work", task_type="not a name!")
        async def work(params, **kwargs):
            return {"data": {}}
        """,
        on=("1.0b4",),
    ),
    Case(
        "no-task",
        """
        from avtomatika_worker import Worker

        worker = Worker(worker_type="idle")
        """,
    ),
    Case(
        "same-name-twice",
        """
        @worker.task("work")
        async def first(params, **kwargs):
            return {"data": {"first": True}}


        @worker.task("work")
        async def second(params, **kwargs):
            return {"data": {"second": True}}
        """,
        [("work", {})],
    ),
]
