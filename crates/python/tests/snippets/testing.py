# pyright: strict
"""A test of a worker: strict type checkers report no errors here."""

from typing import Any

from avtomatika_worker import TaskFiles, Worker
from avtomatika_worker.testing import DevOrchestrator, TestRun, TestWorker

worker = Worker()


@worker.task("report")
async def report(params: dict[str, Any], files: TaskFiles) -> dict[str, Any]:
    path: str = await files.write("report.txt", str(params["text"]))
    return {"data": {"report": path, "length": len(params["text"])}}


def test_report() -> None:
    run: TestRun = TestWorker(worker).run("report", {"text": "all is well"})
    assert run.data["length"] == 11 and run.data.get("report") is not None
    assert run.error_code is None and run.files["report.txt"] == b"all is well"


def test_a_missing_text() -> None:
    run = TestWorker(worker).run("report", {})
    assert "text" in run.error_message and run.error_code.endswith("_ERROR")
    assert run.error_details["type"] == "KeyError" and run.data is None


def test_with_an_orchestrator(dev_orchestrator: DevOrchestrator) -> None:
    with dev_orchestrator.running(worker):
        assert dev_orchestrator.run("report", {"text": "a"})["data"]["length"] == 1
