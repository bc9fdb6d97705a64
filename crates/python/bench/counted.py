"""A worker that executes this many tasks, one at a time or several, and ends: the instructions of its loop's thread are
counted by `cargo xtask counts`.

Configured by the environment. Arguments: `kwargs` or `named`, as the handler takes its values; the number of tasks.
"""

from __future__ import annotations

import asyncio
import sys

from avtomatika_worker import Worker

shape, tasks = sys.argv[1], int(sys.argv[2])
worker = Worker(worker_type="counted")
count = 0


def executed() -> dict[str, str]:
    global count
    count += 1
    if count == tasks:
        # The server has no further task, so the worker ends with exactly this many results.
        worker.drain()
    return {"status": "success"}


if shape == "kwargs":

    @worker.task("nothing")
    async def nothing(params, **kwargs):
        return executed()

elif shape == "named":

    @worker.task("nothing")
    async def nothing(params: dict, task_id: str, job_id: str):
        return executed()

else:
    raise SystemExit(f"`{shape}` is no shape of a handler")

asyncio.run(worker.main())
