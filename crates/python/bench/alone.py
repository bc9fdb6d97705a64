"""Executes an empty task with the package's Python code only: without a core, so nothing crosses the bridge.

A worker's process uses the CPU time of this, of the core alone, and of the bridge. Arguments: tasks at once, tasks.
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Any, ClassVar

from avtomatika_worker._execution import Ended, Execution, execution
from avtomatika_worker._first_step import FirstSteps
from avtomatika_worker._route import Route
from avtomatika_worker.signature import analyse


async def nothing(params, **kwargs):
    return {"status": "success"}


class Task:
    """The cheapest possible stand-in for a task of the core."""

    name = "nothing"
    task_id = "task"
    job_id = "job"
    tracing_context: ClassVar[dict[str, str]] = {}

    def offer(self, values: tuple[str, ...], calls: object, names: tuple[str, ...]) -> dict[str, Any]:
        offered: dict[str, Any] = {
            "task_id": self.task_id,
            "job_id": self.job_id,
            "task_name": self.name,
            "priority": 0,
            "tracing_context": {},
            "deadline": None,
            "metadata": None,
            "security": None,
        }
        for name in names:
            offered[name] = getattr(calls, name)
        return offered

    def add_to_hot_cache(self, model: str) -> None: ...

    def remove_from_hot_cache(self, model: str) -> None: ...


async def main(slots: int, tasks: int) -> None:
    loop = asyncio.get_running_loop()
    begin = FirstSteps(loop).starter()
    route = Route("nothing", analyse(nothing), (), None)
    ended = 0

    def finish(execution: Execution, how: Ended) -> None:
        nonlocal ended
        ended += 1

    def start(first: int) -> None:
        for place in range(slots):
            execution(route, Task(), first + place, b"{}", finish).start(None, loop, begin)

    began, used = time.perf_counter(), time.process_time()
    for number in range(0, tasks, slots):
        # The worker starts tasks in callbacks of the loop, where no task is the current one.
        loop.call_soon(start, number)
        while ended < number + slots:
            await asyncio.sleep(0)
    seconds, used = time.perf_counter() - began, time.process_time() - used
    print(ended / seconds, used / ended * 1e6, 0)


asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
