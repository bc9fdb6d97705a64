"""A worker with a graphics card, for 1.0b4: its resources and models, the hot cache, skill dependencies, files in S3."""

import asyncio
import logging
import os

from avtomatika_worker import TaskFiles, Worker
from avtomatika_worker.config import WorkerConfig

logging.basicConfig(level=logging.INFO)


class GpuConfig(WorkerConfig):
    def __init__(self):
        super().__init__()
        self.MODEL_PATH = os.getenv("MODEL_PATH", "/models")
        self.WORKER_ID = os.getenv("GPU_WORKER_ID", "gpu-worker-1")
        self.WORKER_TYPE = "gpu-worker"
        self.MAX_CONCURRENT_TASKS = 2
        self.HEARTBEAT_INTERVAL = 1
        self.RESOURCES["gpu_info"] = {"model": "NVIDIA T4", "vram_gb": 16}
        self.RESOURCES["cpu_cores"] = 16
        self.COST_PER_SKILL["image_generation"] = 0.05
        self.INSTALLED_SOFTWARE["cuda"] = "12.1"
        self.INSTALLED_MODELS = [
            {"name": "stable-diffusion-v1.5", "version": "1.5"},
            {"name": "vae-ft-mse", "version": "1.0"},
        ]
        self.ORCHESTRATORS[0]["priority"] = 5


config = GpuConfig()
worker = Worker(
    worker_type="gpu-worker",
    config=config,
    task_type_limits={"gpu": 1},
    skill_dependencies={"image_generation": ["stable-diffusion-v1.5", "vae-ft-mse"]},
)


class Gpu:
    def __init__(self):
        self.lock = asyncio.Lock()
        self.users = []


gpu = Gpu()


async def gpu_lock(context, next_handler):
    if context["task_name"] != "image_generation":
        return await next_handler()
    async with gpu.lock:
        gpu.users.append(context["task_id"])
        context["handler_kwargs"]["model_path"] = f"{config.MODEL_PATH}/{context['params'].get('model', 'default')}"
        return await next_handler()


worker.add_middleware(gpu_lock)


@worker.task("load_models")
async def load_models(params: dict, add_to_hot_cache, remove_from_hot_cache, **kwargs):
    for model in params["models"]:
        add_to_hot_cache(model)
    remove_from_hot_cache("never-loaded")
    return {"status": "success", "data": {"hot": sorted(worker.get_hot_cache())}}


@worker.task("image_generation", task_type="gpu")
async def image_generation(params: dict, model_path, **kwargs):
    await kwargs["send_progress"](kwargs["task_id"], kwargs["job_id"], 0.5, "denoising")
    return {"status": "success", "data": {"prompt": params["prompt"], "model": model_path}}


@worker.task("upscale", task_type="gpu")
async def upscale(params: dict, files: TaskFiles, **kwargs):
    with open(params["image"]) as image:
        pixels = image.read()
    await files.write("upscaled.txt", pixels * 2)
    return {
        "status": "success",
        "data": {"name": os.path.basename(params["image"]), "image": await files.path_to("upscaled.txt")},
    }


async def main():
    await worker.main()


if __name__ == "__main__":
    asyncio.run(main())
