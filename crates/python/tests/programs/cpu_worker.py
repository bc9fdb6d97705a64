"""A worker for work on the processor, for 1.0b4: limits by type, sync handlers, files, progress, middleware."""

import asyncio
import hashlib
import logging
import os
import time
from dataclasses import dataclass

from avtomatika_worker import TaskFiles, Worker
from avtomatika_worker.config import WorkerConfig

logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
logger = logging.getLogger("cpu-worker")

config = WorkerConfig()
config.WORKER_ID = "cpu-worker-1"
config.WORKER_TYPE = "cpu-worker"
config.COST_PER_SECOND = 0.001
config.COST_PER_SKILL = {"checksum": 0.01, "report": 0.02}
config.INSTALLED_SOFTWARE = {"python": "3.11", "pandoc": "3.1"}
config.RESOURCES = {"cpu_cores": 8, "gpu_info": None}
config.HEARTBEAT_INTERVAL = 1
config.TASK_POLL_TIMEOUT = 5
config.ORCHESTRATORS = [
    {"url": os.getenv("ORCHESTRATOR_URL", "http://localhost:8080"), "priority": 1, "weight": 1},
]

worker = Worker(
    worker_type="cpu-worker",
    max_concurrent_tasks=4,
    task_type_limits={"heavy": 1, "light": 3},
    config=config,
)

durations = {}


async def measure(context, next_handler):
    started = time.monotonic()
    try:
        return await next_handler()
    finally:
        durations[context["task_id"]] = time.monotonic() - started
        logger.info("%s took %.3f s", context["task_name"], durations[context["task_id"]])


async def provide_database(context, next_handler):
    context["handler_kwargs"]["database"] = {"prices": {"apple": 3, "pear": 4}}
    return await next_handler()


worker.add_middleware(measure)
worker.add_middleware(provide_database)


@dataclass
class Order:
    fruit: str
    count: int = 1

    def __post_init__(self):
        if self.count < 1:
            raise ValueError("count must be positive")


@worker.task("checksum", task_type="heavy")
def checksum(params: dict, **kwargs):
    digest = hashlib.sha256()
    for _ in range(params.get("rounds", 1)):
        digest.update(params["text"].encode())
    return {"status": "success", "data": {"sha256": digest.hexdigest(), "task": kwargs["task_id"]}}


@worker.task("price", task_type="light")
async def price(params: Order, database, **kwargs):
    return {"status": "success", "data": {"price": database["prices"][params.fruit] * params.count}}


@worker.task("report", task_type="light")
async def report(params: dict, files: TaskFiles, **kwargs):
    for number, line in enumerate(params["lines"], 1):
        await files.write("report.txt", line + "\n", mode="a")
        await kwargs["send_progress"](
            kwargs["task_id"], kwargs["job_id"], progress=number / len(params["lines"]), message=f"line {number}"
        )
    await files.write("meta.json", '{"complete": true}')
    content = await files.read("report.txt")
    return {
        "status": "success",
        "data": {
            "words": len(content.split()),
            "names": sorted(await files.list()),
            "there": await files.exists("report.txt"),
        },
    }


@worker.task("background", task_type="light")
async def background(params: dict, send_progress, task_id, job_id, **kwargs):
    steps = [asyncio.create_task(send_progress(task_id, job_id, step / 3, "step")) for step in range(1, 4)]
    await asyncio.gather(*steps)
    return {"status": "success", "data": {"steps": len(steps)}}


if __name__ == "__main__":
    worker.run_with_health_check()
