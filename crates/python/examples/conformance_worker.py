"""The worker of black-box tests, which start it, drive it like an orchestrator, and kill it.

It only uses features of all versions of the SDK, so it also runs with the existing package. The environment configures it.
"""

import asyncio
import hashlib
import json
import logging
import os
import time
from dataclasses import dataclass

from avtomatika_worker import TaskFiles, Worker
from avtomatika_worker.config import WorkerConfig
from pydantic import BaseModel, Field

logging.basicConfig(level=logging.INFO)


def make_worker() -> Worker:
    arguments = {}
    if worker_type := os.environ.get("CONFORMANCE_WORKER_TYPE"):
        arguments["worker_type"] = worker_type
    if limit := os.environ.get("CONFORMANCE_MAX_CONCURRENT"):
        arguments["max_concurrent_tasks"] = int(limit)
    if limits := os.environ.get("CONFORMANCE_TYPE_LIMITS"):
        arguments["task_type_limits"] = json.loads(limits)
    if dependencies := os.environ.get("CONFORMANCE_SKILL_DEPENDENCIES"):
        arguments["skill_dependencies"] = json.loads(dependencies)
    if attributes := os.environ.get("CONFORMANCE_CONFIG"):
        config = WorkerConfig()
        for name, value in json.loads(attributes).items():
            setattr(config, name, value)
        arguments["config"] = config
    return Worker(**arguments)


worker = make_worker()


@worker.task("echo")
async def echo(params: dict, **kwargs):
    return {"status": "success", "data": params}


@worker.task("status")
async def status(params: dict, **kwargs):
    return {"status": params["status"], "data": params.get("data") or {}}


@worker.task("none")
async def none(params: dict, **kwargs):
    return None


@worker.task("raw_result")
async def raw_result(params: dict, **kwargs):
    return params["result"]


@worker.task("fail")
async def fail(params: dict, **kwargs):
    return {"status": "failure", "error": {"code": params["code"], "message": params["message"]}}


@worker.task("fail_const")
async def fail_const(params: dict, **kwargs):
    from avtomatika_worker.typing import PERMANENT_ERROR, TRANSIENT_ERROR

    code = PERMANENT_ERROR if params["which"] == "permanent" else TRANSIENT_ERROR
    return {"status": "failure", "error": {"code": code, "message": "from the SDK's constant"}}


@worker.task("raise")
async def fail_unexpectedly(params: dict, **kwargs):
    if params.get("kind") == "value":
        raise ValueError(params["message"])
    raise RuntimeError(params["message"])


async def wait(params: dict) -> dict:
    started = time.time()
    await asyncio.sleep(params["seconds"])
    return {"status": "success", "data": {"started": started, "finished": time.time()}}


@worker.task("sleep")
async def sleep(params: dict, **kwargs):
    return await wait(params)


@worker.task("block")
def block(params: dict, **kwargs):
    started = time.time()
    time.sleep(params["seconds"])
    return {"status": "success", "data": {"started": started, "finished": time.time()}}


@worker.task("video", task_type="video_processing")
async def video(params: dict, **kwargs):
    return await wait(params)


@worker.task("audio", task_type="audio_processing")
async def audio(params: dict, **kwargs):
    return await wait(params)


@dataclass
class Size:
    width: int
    height: int

    def __post_init__(self) -> None:
        if self.width <= 0 or self.height <= 0:
            raise ValueError("Width and height must be positive.")


@worker.task("typed")
async def typed(params: Size, **kwargs):
    return {"status": "success", "data": {"width": params.width, "height": params.height}}


class Picture(BaseModel):
    width: int = Field(gt=0)
    height: int = Field(gt=0)
    source_url: str


@worker.task("validated")
async def validated(params: Picture, **kwargs):
    return {"status": "success", "data": {"width": params.width, "height": params.height}}


@worker.task("whoami")
async def whoami(params: dict, **kwargs):
    names = ("task_id", "job_id", "priority", "tracing_context")
    return {"status": "success", "data": {name: kwargs.get(name) for name in names}}


@worker.task("progress")
async def progress(params: dict, task_id: str, job_id: str, send_progress, **kwargs):
    steps = params["steps"]
    for step in range(1, steps + 1):
        await send_progress(task_id, job_id, step / steps, f"step {step} of {steps}")
    return {"status": "success", "data": {"steps": steps}}


@worker.task("hot")
async def hot(params: dict, add_to_hot_cache, remove_from_hot_cache, **kwargs):
    for model in params.get("add") or []:
        add_to_hot_cache(model)
    for model in params.get("remove") or []:
        remove_from_hot_cache(model)
    return {"status": "success", "data": {}}


@worker.task("hot_sync")
def hot_sync(params: dict, add_to_hot_cache, remove_from_hot_cache, **kwargs):
    for model in params.get("add") or []:
        add_to_hot_cache(model)
    for model in params.get("remove") or []:
        remove_from_hot_cache(model)
    return {"status": "success", "data": {}}


@worker.task("write_file")
async def write_file(params: dict, files: TaskFiles, **kwargs):
    await files.write(params["name"], params["content"])
    path = await files.path_to(params["name"])
    await asyncio.sleep(params.get("sleep") or 0)
    if params.get("raise"):
        raise RuntimeError("told to fail")
    if params.get("nested"):
        return {"data": {"outer": {"list": [path, "plain text"]}, "report": path}}
    return {"data": {"report": path}}


@worker.task("write_dir")
async def write_dir(params: dict, files: TaskFiles, **kwargs):
    for name in params["names"]:
        await files.write(f"out/{name}", f"content of {name}")
    return {"data": {"dir": await files.path_to("out")}}


@worker.task("list_files")
async def list_files(params: dict, files: TaskFiles, **kwargs):
    names = params["names"]
    made = os.path.isdir(os.path.dirname(await files.path_to("x")))
    for name in names:
        await files.write(name, f"content of {name}")
    await files.write("raw.bin", b"\x00\xff\x01", mode="wb")
    async with files.open("opened.txt", "w") as opened:
        await opened.write("through open")
    asked = [*names, "raw.bin", "opened.txt", "no-such-file"]
    return {
        "status": "success",
        "data": {
            "made": made,
            "list": sorted(await files.list()),
            "exists": {name: await files.exists(name) for name in asked},
            "read": {name: await files.read(name) for name in [*names, "opened.txt"]},
            "raw": (await files.read("raw.bin", mode="rb")).hex(),
        },
    }


def described(value):
    """Describes the files that the handler finds in place of addresses, without paths, which would be uploaded."""
    if isinstance(value, dict):
        return {key: described(item) for key, item in value.items()}
    if isinstance(value, list):
        return [described(item) for item in value]
    if isinstance(value, str) and os.path.isabs(value):
        root = os.path.realpath(os.environ.get("TASK_FILES_DIR", "/tmp/payloads"))
        relative = os.path.relpath(os.path.realpath(value), root)
        if os.path.isfile(value):
            return described_file(value, relative)
        if os.path.isdir(value):
            return {"kind": "directory", "rel": relative, "files": described_files(value, root)}
    return {"kind": "text", "text": value}


def described_file(path: str, relative: str) -> dict:
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"kind": "file", "rel": relative, "size": os.path.getsize(path), "sha256": digest}


def described_files(directory: str, root: str) -> dict:
    found = {}
    for folder, _, names in os.walk(directory):
        for name in names:
            path = os.path.join(folder, name)
            key = os.path.relpath(path, directory).replace(os.sep, "/")
            found[key] = described_file(path, os.path.relpath(os.path.realpath(path), root))
    return found


@worker.task("read_input")
async def read_input(params: dict, **kwargs):
    await asyncio.sleep(params.get("sleep") or 0)
    return {"status": "success", "data": {"input": described(params["input"])}}


# The marks of the middlewares of each task, by its id.
marks: dict[str, list[str]] = {}


async def marking(context: dict, next_handler):
    if context["task_name"] != "injected":
        return await next_handler()
    own = ["enter"]
    context["handler_kwargs"]["model_path"] = "/models/m1"
    try:
        result = await next_handler()
    except Exception as error:
        return {"status": "failure", "error": {"code": "PERMANENT_ERROR", "message": f"middleware caught: {error}"}}
    finally:
        own.append("exit")
    seen = {name: context[name] for name in ("task_id", "job_id", "task_name", "params")}
    result["data"].update(mw=own, ctx=seen)
    return result


def named(name: str):
    async def middleware(context: dict, next_handler):
        if context["task_name"] != "injected":
            return await next_handler()
        own = marks.setdefault(context["task_id"], [])
        own.append(f"{name}-enter")
        context["handler_kwargs"]["model_path"] = f"/models/{name}"
        result = await next_handler()
        own.append(f"{name}-exit")
        result["data"]["mw"] = list(own)
        if name == "first":
            del marks[context["task_id"]]
        return result

    return middleware


wanted = os.environ.get("CONFORMANCE_MIDDLEWARE")
if wanted:

    @worker.task("injected")
    def injected(params: dict, model_path: str, **kwargs):
        if params.get("raise"):
            raise RuntimeError("told to fail")
        return {"status": "success", "data": {"model_path": model_path}}


if wanted == "1":
    worker.add_middleware(marking)
elif wanted == "2":
    worker.add_middleware(named("first"))
    worker.add_middleware(named("second"))


if __name__ == "__main__":
    worker.run_with_health_check()
