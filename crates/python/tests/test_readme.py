"""Every code block of the existing package's README, unchanged, run by a worker with an orchestrator."""

import asyncio
import contextlib
import os
import pathlib
import signal
import subprocess
import sys
import textwrap
import types

import pytest
from avtomatika_worker import TaskFiles, Worker
from avtomatika_worker.testing import DevOrchestrator, TestWorker
from support import LIMIT

BLOCKS = pathlib.Path(__file__).parent / "snippets" / "readme"


def text(name: str) -> str:
    return (BLOCKS / f"{name}.py").read_text()


def run_block(name: str, **names) -> types.SimpleNamespace:
    """Executes a block in a module that has these names."""
    module = types.ModuleType(f"readme_{name}")
    vars(module).update(names)
    sys.modules[module.__name__] = module
    try:
        exec(compile(text(name), str(BLOCKS / f"{name}.py"), "exec"), vars(module))
    finally:
        del sys.modules[module.__name__]
    return module


def test_there_is_a_test_for_every_block():
    tested = pathlib.Path(__file__).read_text()
    blocks = sorted(block.stem for block in BLOCKS.glob("*.py"))
    assert len(blocks) == 16
    assert [block for block in blocks if f'"{block}"' not in tested] == []


@contextlib.contextmanager
def program(name: str, orchestrator: DevOrchestrator):
    """Runs a block as a program, configured by the environment as in the README. It has to end with exit code 0."""
    known = {variable: value for variable, value in os.environ.items() if not variable.startswith("WORKER_")}
    variables = {
        **known,
        "ORCHESTRATOR_URL": orchestrator.url,
        "WORKER_ID": "image-processor-worker-1",
        "WORKER_TOKEN": "your-secret-token",
        "WORKER_HOST": "127.0.0.1",
        "WORKER_PORT": "0",
        "WORKER_SHUTDOWN_POLLS": "drop",
        "PYTHONUNBUFFERED": "1",
    }
    process = subprocess.Popen(
        [sys.executable, str(BLOCKS / f"{name}.py")], env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    said: list[str] = []
    try:
        yield said
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=LIMIT)
        said.extend(output.decode().splitlines())
        assert process.returncode == 0, output.decode()
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("name", ["quick_start_by_environment"])
def test_the_quick_start_is_a_program_that_the_environment_configures(name, dev_orchestrator):
    with program(name, dev_orchestrator) as said:
        view = dev_orchestrator.run("resize_image", {"filename": "a.png"})
        assert view["result_status"] == "success"
        assert view["data"] == {"resized_path": "/path/to/resized_a.png"}
        assert view["worker_id"] == "image-processor-worker-1"
    assert f"Task {view['task_id']} (Job: {view['job_id']}): resizing image..." in said
    assert "Parameters: {'filename': 'a.png'}" in said
    assert any("registered" in line for line in said), "the worker's messages are printed"


def test_a_program_may_configure_itself_and_the_environment_gives_the_rest(dev_orchestrator):
    with program("configuration_in_code", dev_orchestrator):
        view = dev_orchestrator.run("do_work")
        assert (view["result_status"], view["worker_id"]) == ("success", "programmatic-worker-1")
        (shown,) = dev_orchestrator.workers()
        assert shown["worker_type"] == "special-cpu-worker"


def test_the_quick_start_in_code(dev_orchestrator):
    block = run_block("quick_start_in_code")
    assert block.worker.config.ORCHESTRATORS == [{"url": "http://localhost:8080", "priority": 1, "weight": 1}]
    assert block.worker.config.WORKER_TOKEN == "your-secret-token"
    with dev_orchestrator.running(block.worker):
        view = dev_orchestrator.run("resize_image", {"filename": "b.png"})
    assert view["data"] == {"resized_path": "/path/to/resized_b.png"}
    assert view["worker_id"] == "image-processor-worker-1-programmatic"


def with_worker(name: str, **names) -> Worker:
    worker = Worker(worker_type="readme")
    run_block(name, worker=worker, **names)
    return worker


def test_params_are_a_dictionary(dev_orchestrator):
    with dev_orchestrator.running(with_worker("params_dict")):
        assert dev_orchestrator.run("resize_image", {"width": 1})["result_status"] == "success"


@pytest.mark.parametrize(
    ("name", "good", "bad", "problem"),
    [
        (
            "params_dataclass",
            {"width": 2, "height": 3},
            {"width": 0, "height": 3},
            "Width and height must be positive.",
        ),
        ("params_dataclass", {"width": 2, "height": 3}, {"width": 2}, "missing field `height`"),
        (
            "params_pydantic",
            {"width": "2", "height": 3.0, "source_url": "s"},
            {"width": 0, "height": 3, "source_url": "s"},
            "at `width`: Input should be greater than 0",
        ),
    ],
)
def test_params_are_validated_by_their_annotation(name, good, bad, problem, dev_orchestrator, capsys):
    with dev_orchestrator.running(with_worker(name)):
        assert dev_orchestrator.run("resize_image", good)["result_status"] == "success"
        view = dev_orchestrator.run("resize_image", bad)
    assert "to 2x3" in capsys.readouterr().out
    assert view["status"] == "failed"
    assert view["error"]["code"] == "INVALID_INPUT_ERROR"
    assert problem in view["error"]["message"]


def test_a_synchronous_handler_runs_in_a_thread(dev_orchestrator, monkeypatch):
    import threading

    slept = []
    # The handler imports the module when it runs; ten seconds would be a long test.
    fake = types.SimpleNamespace(sleep=lambda seconds: slept.append((seconds, threading.current_thread().name)))
    with dev_orchestrator.running(with_worker("synchronous_handler")):
        monkeypatch.setitem(sys.modules, "time", fake)
        view = dev_orchestrator.run("cpu_heavy_task")
        monkeypatch.undo()
    assert view["result_status"] == "success"
    ((seconds, thread),) = slept
    assert seconds == 10
    assert thread.startswith("avtomatika-handler")


def test_limits_of_groups_are_never_exceeded(dev_orchestrator):
    block = run_block("limits")
    running: dict[str, int] = {}
    most: dict[str, int] = {}

    async def sleep(seconds: float) -> None:
        # In the README, a video takes 5 s, an audio file 2 s, a report 1 s.
        group = {5: "video", 2: "audio", 1: "report"}[seconds]
        running[group] = running.get(group, 0) + 1
        most[group] = max(most.get(group, 0), running[group])
        await asyncio.sleep(0.05)
        running[group] -= 1

    block.asyncio = types.SimpleNamespace(sleep=sleep)
    names = ["upscale_video", "blur_video_faces", "transcribe_audio", "transcribe_audio", "generate_report"] * 4
    with dev_orchestrator.running(block.worker):
        jobs = [dev_orchestrator.submit(name) for name in names]
        views = [dev_orchestrator.wait(job) for job in jobs]
    assert {view["result_status"] for view in views} == {"success"}
    assert most["video"] == 1
    assert most["audio"] <= 4


def as_handler(name: str) -> Worker:
    """Runs a block as the body of a handler."""
    worker = Worker(worker_type="readme")
    names: dict = {}
    exec("async def handler(params, **kwargs):\n" + textwrap.indent(text(name), "    "), names)
    worker.task("work")(names["handler"])
    return worker


@pytest.mark.parametrize(
    ("name", "status", "data"),
    [
        ("success", "success", {"output": "some_value"}),
        ("custom_status", "needs_manual_review", {"reason": "Low confidence score"}),
    ],
)
def test_the_returned_status_decides_the_status_of_the_job(name, status, data, dev_orchestrator):
    with dev_orchestrator.running(as_handler(name)):
        view = dev_orchestrator.run("work")
    assert (view["status"], view["result_status"], view["data"]) == ("finished", status, data)


@pytest.mark.parametrize(
    ("name", "code", "message", "attempts"),
    [
        ("transient_error", "TRANSIENT_ERROR", "External API timeout", 4),
        ("permanent_error", "PERMANENT_ERROR", "Corrupted input file", 1),
    ],
)
def test_the_code_of_an_error_decides_on_retries(name, code, message, attempts, dev_orchestrator):
    with dev_orchestrator.running(as_handler(name)):
        view = dev_orchestrator.run("work")
    assert (view["error"]["code"], view["error"]["message"]) == (code, message)
    assert (view["status"], view["attempts"]) == ("quarantined", attempts)


class ResourceManager:
    def __init__(self):
        self.did = []

    async def allocate(self):
        self.did.append("allocated")
        return "/models/one"

    def release(self):
        self.did.append("released")


def test_middleware_injects_an_argument_of_the_handler(dev_orchestrator, capsys):
    manager = ResourceManager()
    with dev_orchestrator.running(with_worker("middleware", resource_manager=manager)):
        view = dev_orchestrator.run("generate")
    assert view["result_status"] == "success"
    assert manager.did == ["allocated", "released"]
    said = capsys.readouterr().out.splitlines()
    task = view["task_id"]
    assert said == [
        f"Acquiring GPU for task {task}...",
        "Using model at: /models/one",
        f"Releasing GPU for task {task}...",
    ]


def test_skills_are_hot_when_all_their_models_are_loaded():
    worker = run_block("skill_dependencies", Worker=Worker).worker

    @worker.task("image_generation")
    async def load(params, add_to_hot_cache, **kwargs):
        for model in params["models"]:
            add_to_hot_cache(model)

    tester = TestWorker(worker)
    assert tester.run("image_generation", {"models": ["stable_diffusion_v1.5"]}).status == "success"
    assert tester.hot_cache == {"stable_diffusion_v1.5"}
    assert tester.run("image_generation", {"models": ["vae-ft-mse"]}).status == "success"
    assert tester.hot_cache == {"stable_diffusion_v1.5", "vae-ft-mse"}


def test_files_of_a_task(dev_orchestrator, tmp_path):
    worker = Worker(worker_type="readme")
    worker.config.TASK_FILES_DIR = tmp_path
    run_block("task_files", worker=worker, TaskFiles=TaskFiles)
    with dev_orchestrator.running(worker):
        view = dev_orchestrator.run("generate_report")
    assert view["result_status"] == "success"
    assert view["data"] == {"report": str(tmp_path / view["task_id"] / "report.pdf")}
    left = [path for path in tmp_path.iterdir() if path.name != ".avtomatika"]
    assert left == [], "the directory is removed after the result was sent"


def test_s3_is_transparent(dev_orchestrator, local_s3, tmp_path, monkeypatch):
    found = {}

    def look(path: str) -> str:
        # The handler's own logic is left out in the README: what it would read and write is looked at here.
        found["input"] = pathlib.Path(path).read_bytes()
        return path

    block = run_block("s3")
    worker = block.worker
    worker.config.TASK_FILES_DIR = tmp_path
    local_s3.configure(worker)
    local_s3.create_bucket("my-bucket")
    local_s3.put("s3://my-bucket/photo.jpg", b"a picture")

    @worker.add_middleware
    async def look_around(context, next_handler):
        look(context["params"]["input_image"])
        result = await next_handler()
        pathlib.Path(result["data"]["output_image"]).write_bytes(b"processed")
        return result

    with dev_orchestrator.running(worker):
        view = dev_orchestrator.run("process_image", {"input_image": "s3://my-bucket/photo.jpg"})
    assert found["input"] == b"a picture"
    uri = view["data"]["output_image"]
    assert uri == f"s3://avtomatika-payloads/{view['task_id']}/processed.png"
    assert local_s3.get(uri) == b"processed"
