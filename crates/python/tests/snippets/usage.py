"""Correct uses of the package: `mypy --strict` and pyright report no errors here. `mistakes.py` has the errors that they
report (see `tests/test_snippets.py`)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypedDict

from avtomatika_worker import (
    CancellationToken,
    ConfigError,
    PermanentError,
    Stopped,
    TaskCancelled,
    TaskError,
    TaskFiles,
    Worker,
    WorkerConfig,
    shielded,
)
from avtomatika_worker.testing import DevOrchestrator, TestRun, TestWorker
from avtomatika_worker.typing import INVALID_INPUT_ERROR, PERMANENT_ERROR, Middleware
from pydantic import BaseModel, Field

config = WorkerConfig()
config.WORKER_ID = "worker-1"
config.MAX_CONCURRENT_TASKS = 5
config.ORCHESTRATORS = [{"url": "http://localhost:8080", "weight": 2}]
config.WORKER_TASK_TIMEOUT = None
interval: float = config.HEARTBEAT_INTERVAL
token: str | None = config.WORKER_INDIVIDUAL_TOKEN


def can_take(task_name: str) -> bool:
    return task_name != "video"


worker = Worker(
    worker_type="typed",
    max_concurrent_tasks=10,
    task_type_limits={"video": 1},
    skill_dependencies={"generate": ["model"]},
    config=config,
    capacity_checker=can_take,
)


@worker.task("plain")
async def plain(params: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
    task_id: str = kwargs["task_id"]
    return {"status": "success", "data": {"task": task_id}}


@dataclass
class Size:
    width: int
    height: int = 1


@worker.task("typed", task_type="video", timeout=5)
async def typed(params: Size, task_id: str, priority: float) -> Size:
    if params.width < 0:
        raise PermanentError("too small", details={"width": params.width})
    return params


class Picture(BaseModel):
    width: int = Field(gt=0)


class Result(TypedDict):
    report: str


@worker.skill("validated", description="Makes a picture.")
async def validated(params: Picture, files: TaskFiles, cancellation_token: CancellationToken) -> Result:
    await files.write("a.txt", "text")
    text: str = await files.read("a.txt")
    raw: bytes = await files.read("a.txt", "rb")
    async with files.open("b", "wb") as opened:
        await opened.write(raw + text.encode())
    names: list[str] = await files.list()
    uploaded = await files.upload_file(names[0])
    cancellation_token.raise_if_cancelled()
    return {"report": uploaded.uri}


@worker.skill
def blocking(params: dict[str, Any], files: TaskFiles) -> None:
    with shielded():
        files.write_sync("a", "b")
    try:
        files.read_json_sync("a")
    except TaskCancelled:
        raise
    except ValueError as error:
        raise TaskError("no JSON", code=INVALID_INPUT_ERROR) from error


async def middleware(context: dict[str, Any], next_handler: Callable[[], Awaitable[Any]]) -> Any:
    context["handler_kwargs"]["model"] = PERMANENT_ERROR
    return await next_handler()


named: Middleware = middleware
worker.add_middleware(middleware)
worker.add_to_hot_cache("model")
models: set[str] = worker.get_hot_cache()

# The decorators return the functions unchanged.
coroutine: Awaitable[Size] = typed(Size(1), "t", 0)


async def main() -> Stopped:
    try:
        return await worker.main(install_signal_handlers=True)
    except ConfigError as error:
        print(*error.problems)
        raise


def test(dev_orchestrator: DevOrchestrator) -> None:
    run: TestRun = TestWorker(worker).run("plain", {"a": 1}, priority=2)
    assert run.data is not None and run.error_code is None
    with dev_orchestrator.running(worker):
        dev_orchestrator.run("typed", {"width": 1})


if __name__ == "__main__":
    asyncio.run(main())
    worker.run_with_health_check()
