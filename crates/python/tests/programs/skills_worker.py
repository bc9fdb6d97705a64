"""A worker for 1.0b20: skills with schemas, a blueprint, events, hot skills, commands, its usage."""

import asyncio

from avtomatika_worker import (
    DeviceUsage,
    ResourcesUsage,
    SkillBlueprint,
    SkillInfo,
    TaskFiles,
    Worker,
    WorkerConfig,
    setup_logging,
)
from pydantic import BaseModel, Field

config = WorkerConfig()
config.WORKER_ID = "skills-worker-1"
config.HEARTBEAT_INTERVAL = 1
config.RESOURCES["devices"] = [{"type": "gpu", "model": "A100", "id": "gpu-0", "properties": {"memory_gb": 80}}]
config.RESOURCES["ram_gb"] = 128.0
config.INSTALLED_ARTIFACTS.append({"name": "whisper", "version": "3", "type": "model"})
config.EXTRA_CAPABILITIES["zone"] = "eu"
config.SHUTDOWN_TIMEOUT = 10
config.POLL_BACKOFF_MAX = 5

setup_logging(config.WORKER_ID)

texts = SkillBlueprint()


class Text(BaseModel):
    text: str = Field(min_length=1)
    language: str = "en"


class Found(BaseModel):
    word: str


@texts.skill("find_words", version="1.1", input_schema=Text, events_schema={"found": Found})
async def find_words(params: Text, task_id: str, send_event, send_progress, **kwargs):
    """Finds the words of a text."""
    words = params.text.split()
    async with asyncio.TaskGroup() as group:
        for word in words:
            group.create_task(send_event("found", {"word": word}))
    await send_progress(task_id, kwargs["job_id"], 1.0, "done")
    return {"status": "success", "data": {"words": words, "language": params.language}}


worker = Worker(
    worker_type="skills-worker",
    max_concurrent_tasks=3,
    skill_type_limits={"find_words": 2},
    config=config,
)
worker.include_blueprint(texts)
worker.set_usage_checker(
    lambda: ResourcesUsage(
        cpu_load_percent=25.0, ram_used_gb=16.0, devices_usage=[DeviceUsage(unit_id="gpu-0", load_percent=80.0)]
    )
)


@worker.skill(SkillInfo(name="transcribe", type="audio", description="Writes down what is said."))
async def transcribe(params: dict, files: TaskFiles, add_to_hot_skills, **kwargs):
    add_to_hot_skills("transcribe")
    await files.write("transcript.txt", "hello")
    return {
        "status": "success",
        "data": {"text": await files.read("transcript.txt"), "hot": sorted(worker.get_hot_skills_state())},
        "costs": {"tokens": 7},
    }


@worker.skill("summarize", output_statuses=["success", "needs_manual_review"])
def summarize(params: dict, **kwargs):
    if len(params["text"]) < 3:
        return {"status": "needs_manual_review", "data": {"reason": "too short"}}
    return {"status": "success", "data": {"summary": params["text"][:3]}}


@worker.on_command("reload")
async def reload(command):
    print("reload", command.params, flush=True)


if __name__ == "__main__":
    worker.run()
