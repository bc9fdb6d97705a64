"""Progress and events."""

from side_by_side.case import work

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
