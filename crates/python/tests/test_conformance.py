"""The tasks of the conformance worker, on the development orchestrator."""

import json
import os
import pathlib
import signal
import subprocess
import sys

import pytest
from avtomatika_worker.testing import DevOrchestrator
from support import LIMIT

PROGRAM = pathlib.Path(__file__).parent.parent / "examples" / "conformance_worker.py"


def start(orchestrator, tmp_path, **variables):
    known = {name: value for name, value in os.environ.items() if not name.startswith(("WORKER_", "CONFORMANCE_"))}
    ours = {
        "ORCHESTRATOR_URL": orchestrator.url,
        "WORKER_TOKEN": "token",
        "WORKER_PORT": "0",
        "WORKER_HOST": "127.0.0.1",
        "TASK_FILES_DIR": str(tmp_path / "files"),
        "WORKER_SHUTDOWN_POLLS": "drop",
    }
    everything = {**known, **ours, **variables}
    with open(tmp_path / "log", "wb") as log:
        return subprocess.Popen([sys.executable, str(PROGRAM)], env=everything, stdout=log, stderr=log)


def end(process) -> int:
    process.send_signal(signal.SIGTERM)
    try:
        return process.wait(LIMIT)
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def orchestrator(tmp_path_factory):
    with DevOrchestrator(max_retries=0) as dev:
        process = start(dev, tmp_path_factory.mktemp("worker"), CONFORMANCE_MIDDLEWARE="1")
        yield dev
        assert end(process) == 0


SUCCEEDS = [
    ("echo", {"a": [1, 2.5, None, "ž"], "big": 2**63}, None),
    ("status", {"status": "mine", "data": {"a": 1}}, {"a": 1}),
    ("status", {"status": "mine"}, {}),
    ("raw_result", {"result": {"data": {"a": 1}}}, {"a": 1}),
    ("typed", {"width": 1, "height": 2}, {"width": 1, "height": 2}),
    ("validated", {"width": "1", "height": 2.0, "source_url": "s"}, {"width": 1, "height": 2}),
    ("progress", {"steps": 3}, {"steps": 3}),
    ("hot", {"add": ["a", "b"], "remove": ["a"]}, {}),
    ("hot_sync", {"add": ["a", "b"], "remove": ["a"]}, {}),
]


@pytest.mark.parametrize(("name", "params", "data"), SUCCEEDS, ids=[f"{one[0]}-{n}" for n, one in enumerate(SUCCEEDS)])
def test_tasks_that_succeed(orchestrator, name, params, data):
    view = orchestrator.run(name, params)
    assert view["result_status"] == ("mine" if name == "status" else "success")
    assert view["data"] == (params if data is None else data)


FAILS = [
    ("fail", {"code": "MINE", "message": "m"}, "MINE", "m"),
    ("fail_const", {"which": "permanent"}, "PERMANENT_ERROR", "from the SDK's constant"),
    ("fail_const", {"which": "transient"}, "TRANSIENT_ERROR", "from the SDK's constant"),
    ("raise", {"message": "unexpected"}, "TRANSIENT_ERROR", "unexpected"),
    ("raise", {"message": "a value", "kind": "value"}, "TRANSIENT_ERROR", "a value"),
    ("typed", {"width": 0, "height": 2}, "INVALID_INPUT_ERROR", "Width and height must be positive."),
    ("validated", {"width": 0, "height": 2, "source_url": ""}, "INVALID_INPUT_ERROR", "greater than 0"),
    ("raw_result", {"result": [1]}, "PERMANENT_ERROR", "the handler returned a list"),
    ("write_file", {"name": "../out", "content": ""}, "PERMANENT_ERROR", "../out"),
    ("write_file", {"name": "a", "content": "", "raise": True}, "TRANSIENT_ERROR", "told to fail"),
]


@pytest.mark.parametrize(
    ("name", "params", "code", "message"), FAILS, ids=[f"{one[0]}-{n}" for n, one in enumerate(FAILS)]
)
def test_tasks_that_fail(orchestrator, name, params, code, message):
    view = orchestrator.run(name, params)
    assert view["error"]["code"] == code
    assert message in view["error"]["message"]


def test_none_is_a_successful_result(orchestrator):
    view = orchestrator.run("none")
    assert (view["result_status"], view.get("data")) == ("success", None)


@pytest.mark.parametrize("name", ["sleep", "block", "video", "audio"])
def test_tasks_that_take_time_report_their_times(orchestrator, name):
    data = orchestrator.run(name, {"seconds": 0.05})["data"]
    assert data["finished"] - data["started"] >= 0.05


def test_a_task_knows_its_ids(orchestrator):
    view = orchestrator.wait(orchestrator.submit("whoami", priority=2))
    assert view["data"]["task_id"] == view["task_id"]
    assert view["data"]["job_id"] == view["job_id"]
    assert view["data"]["priority"] == 2
    assert isinstance(view["data"]["priority"], int)
    view = orchestrator.wait(orchestrator.submit("whoami", priority=2.0**60))
    assert (view["data"]["priority"], type(view["data"]["priority"])) == (2**60, int)
    view = orchestrator.wait(orchestrator.submit("whoami", priority=0.5))
    assert view["data"]["priority"] == 0.5


def test_files_are_written_and_found(orchestrator):
    view = orchestrator.run("write_file", {"name": "a/b.txt", "content": "x", "nested": True})
    assert view["data"]["outer"]["list"] == [view["data"]["report"], "plain text"]
    assert view["data"]["report"].endswith("a/b.txt")
    view = orchestrator.run("write_dir", {"names": ["a", "b/c"]})
    assert view["data"]["dir"].endswith("/out")
    data = orchestrator.run("list_files", {"names": ["n1", "n2"]})["data"]
    assert data == {
        "made": True,
        "list": ["n1", "n2", "opened.txt", "raw.bin"],
        "exists": {"n1": True, "n2": True, "raw.bin": True, "opened.txt": True, "no-such-file": False},
        "read": {"n1": "content of n1", "n2": "content of n2", "opened.txt": "through open"},
        "raw": "00ff01",
    }
    data = orchestrator.run("read_input", {"input": ["plain", {"a": 5}]})["data"]
    assert data == {"input": [{"kind": "text", "text": "plain"}, {"a": {"kind": "text", "text": 5}}]}


def test_one_middleware_marks_and_injects(orchestrator):
    view = orchestrator.run("injected", {"a": 1})
    assert view["data"]["model_path"] == "/models/m1"
    assert view["data"]["mw"] == ["enter", "exit"]
    expected = {"task_id": view["task_id"], "job_id": view["job_id"], "task_name": "injected", "params": {"a": 1}}
    assert view["data"]["ctx"] == expected
    view = orchestrator.run("injected", {"raise": True})
    assert view["error"]["code"] == "PERMANENT_ERROR"
    assert view["error"]["message"].startswith("middleware caught: ")


def test_it_is_configured_by_its_own_variables(dev_orchestrator, tmp_path):
    process = start(
        dev_orchestrator,
        tmp_path,
        ORCHESTRATOR_URL="http://127.0.0.1:9",
        CONFORMANCE_MIDDLEWARE="2",
        CONFORMANCE_WORKER_TYPE="of-code",
        CONFORMANCE_MAX_CONCURRENT="3",
        CONFORMANCE_TYPE_LIMITS='{"video_processing": 1}',
        CONFORMANCE_SKILL_DEPENDENCIES='{"hot": ["a"]}',
        CONFORMANCE_CONFIG=json.dumps({"WORKER_ID": "of-code-1", "ORCHESTRATOR_URL": dev_orchestrator.url}),
    )
    try:
        view = dev_orchestrator.run("injected")
        assert view["data"] == {
            "model_path": "/models/second",
            "mw": ["first-enter", "second-enter", "second-exit", "first-exit"],
        }
        (shown,) = dev_orchestrator.workers()
        assert (shown["worker_id"], shown["worker_type"]) == ("of-code-1", "of-code")
    finally:
        assert end(process) == 0
