"""The tools for testing handlers."""

import asyncio
import datetime
import os
import pathlib
import sys
import threading
import time
from dataclasses import dataclass

import pytest
from avtomatika_worker import PermanentError, TaskCancelled, TaskFiles, Worker, _limits, shielded
from avtomatika_worker.testing import DevOrchestrator, TestWorker
from support import LIMIT, Stopwatch, until


@dataclass
class Size:
    width: int


worker = Worker(worker_type="tested")
seen = []


@worker.task("resize")
async def resize(params: Size, task_id: str, job_id: str, priority, send_progress, send_event, tag, deadline=None):
    await send_progress(task_id, job_id, 0.5, "half")
    send_progress(2.0)
    await send_event("seen", {"width": params.width})
    return {"width": params.width, "ids": [task_id, job_id], "priority": priority, "tag": tag, "deadline": deadline}


@worker.task("block")
def block(params, add_to_hot_cache, remove_from_hot_cache):
    add_to_hot_cache("a")
    add_to_hot_cache("b")
    remove_from_hot_cache("a")
    try:
        for _ in range(params.get("steps", 0)):
            time.sleep(0.01)
    except TaskCancelled:
        seen.append("cancelled")
        raise


@worker.task("wait")
async def wait(params):
    await asyncio.sleep(30)


@worker.task("refuse")
async def refuse(params):
    raise PermanentError("never", details={"why": "so"})


@worker.task("crash")
def crash(params):
    raise RuntimeError("by mistake")


@worker.add_middleware
async def tagging(context, next_handler):
    context["handler_kwargs"]["tag"] = context["task_name"]
    return await next_handler()


def test_a_task_is_run_as_in_production():
    run = TestWorker(worker).run("resize", {"width": 3}, task_id="t", job_id="j", priority=2, deadline=5e9)
    assert run.status == "success"
    assert run.data == {"width": 3, "ids": ["t", "j"], "priority": 2, "tag": "resize", "deadline": 5e9}
    assert run.progress == [(0.5, "half"), (1.0, "")]
    assert run.events == [("seen", {"width": 3})]
    assert "success" in repr(run)


def test_failures_are_those_that_an_orchestrator_would_get():
    tester = TestWorker(worker)
    run = tester.run("resize", {"width": "3"})
    assert (run.status, run.error_code) == ("failure", "INVALID_INPUT_ERROR")
    assert run.error_details == {"problems": [{"path": "width", "problem": 'invalid type: string "3", expected int'}]}
    run = tester.run("refuse")
    assert (run.error_code, run.error_message, run.error_details) == ("PERMANENT_ERROR", "never", {"why": "so"})
    run = tester.run("crash")
    assert (run.error_code, run.error_message) == ("TRANSIENT_ERROR", "by mistake")
    assert "by mistake" in repr(run)


def test_the_hot_cache_lives_as_long_as_the_test_worker():
    tester = TestWorker(worker)
    assert tester.run("block").status == "success"
    assert tester.hot_cache == {"b"}
    assert TestWorker(worker).hot_cache == set()


@pytest.mark.parametrize("name", ["block", "wait"])
def test_a_task_can_be_cancelled(name):
    stopwatch = Stopwatch()
    run = TestWorker(worker).run(name, {"steps": 3000}, cancelled_after=0.1)
    assert run.status == "cancelled"
    assert stopwatch.took() < 10
    assert name == "wait" or seen == ["cancelled"]


async def test_it_runs_on_the_current_loop():
    tester = TestWorker(worker)
    runs = await asyncio.gather(*(tester.run_async("resize", {"width": width}) for width in range(20)))
    assert [run.data["width"] for run in runs] == list(range(20))
    assert len({run.data["ids"][0] for run in runs}) == 20
    with pytest.raises(RuntimeError, match="run_async"):
        tester.run("resize", {"width": 1})


def test_files_are_in_a_temporary_directory():
    files_worker = Worker()
    paths = []

    @files_worker.task("write")
    async def write(params, files: TaskFiles):
        await files.write("deep/a.txt", "text")
        async with files.open("b.bin", "wb") as opened:
            await opened.write(b"\x00")
        paths.append(await files.path_to("made/x"))
        listed = await files.list()
        await files.write("deep/a.txt", "+", "a")
        return {"text": await files.read("deep/a.txt"), "list": listed, "there": await files.exists("no")}

    @files_worker.task("escape")
    def escape(params, files: TaskFiles):
        return {"path": files.path_to_sync(params["name"])}

    tester = TestWorker(files_worker)
    run = tester.run("write")
    assert run.data == {"text": "text+", "list": ["b.bin", "deep", "made"], "there": False}
    assert run.files == {"deep/a.txt": b"text+", "b.bin": b"\x00"}
    assert not os.path.exists(os.path.dirname(paths[0]))
    for name in ("../x", "/etc/passwd", "a/../../x"):
        run = tester.run("escape", {"name": name})
        assert (run.error_code, run.error_details) == ("PERMANENT_ERROR", {"type": "security"})


def test_mistakes_are_named():
    tester = TestWorker(worker)
    with pytest.raises(KeyError, match="there is no task `resise`; the worker has: block, crash"):
        tester.run("resise")
    with pytest.raises(TypeError, match="no `prio`"):
        tester.run("resize", prio=1)


def test_the_development_orchestrator_runs_a_worker(dev_orchestrator):
    before = worker.config.ORCHESTRATORS_CONFIG
    with dev_orchestrator.running(worker):
        (shown,) = dev_orchestrator.workers()
        assert shown["worker_id"] == worker.config.WORKER_ID
        assert dev_orchestrator.run("resize", {"width": 3})["data"]["tag"] == "resize"
        job = dev_orchestrator.submit("wait")
        with pytest.raises(TimeoutError, match="has not ended in 0.05 s"):
            dev_orchestrator.wait(job, 0.05)
        dev_orchestrator.cancel(job)
        assert dev_orchestrator.wait(job)["status"] == "cancelled"
        assert dev_orchestrator.task(job)["status"] == "cancelled"
    assert worker.config.ORCHESTRATORS_CONFIG == before
    assert dev_orchestrator.task("nothing") is None


def test_a_worker_that_cannot_run_raises_the_reason():
    broken = Worker(worker_type=5)
    with DevOrchestrator() as orchestrator, pytest.raises(Exception, match="`worker_type` is `5`, expected text"):
        with orchestrator.running(broken):
            raise AssertionError("it runs")


def test_settings_of_the_orchestrator_count_and_are_checked():
    with DevOrchestrator(token="one", max_retries=0) as orchestrator:
        with orchestrator.running(worker):
            assert orchestrator.run("crash")["attempts"] == 1
        with pytest.raises(ValueError, match="`retry_delay` is `-1`, expected seconds"):
            DevOrchestrator(retry_delay=-1)
        assert orchestrator.url.startswith("http://127.0.0.1:")
    orchestrator.shutdown()
    with pytest.raises(RuntimeError, match="shut down"):
        orchestrator.workers()
    with pytest.raises(ValueError, match="expected an IP address and a port"):
        DevOrchestrator("localhost")


@pytest.mark.parametrize(
    ("settings", "status"), [({"retry_delay": 0}, "quarantined"), ({"retry_delay": 3600}, "queued")]
)
def test_a_retry_waits_for_the_delay_that_is_set(settings, status):
    with DevOrchestrator(**settings) as orchestrator, orchestrator.running(worker):
        job = orchestrator.submit("crash")
        until(lambda: orchestrator.task(job)["attempts"] > 0 and orchestrator.task(job)["status"] == status)
        assert orchestrator.task(job)["attempts"] == (1 if status == "queued" else 4)


def test_progress_and_events_are_converted_like_data_and_invalid_text_is_replaced(caplog):
    own = Worker()

    @own.task("tell")
    def tell(params, send_progress, send_event):
        send_progress(0.5, message="half \ud800")
        send_event("seen", {"at": datetime.date(2026, 1, 2), "in": pathlib.Path("/a")})
        send_event("wrong", {"list": [1, float("nan")]})

    run = TestWorker(own).run("tell")
    assert run.progress == [(0.5, "half ?")]
    assert run.events == [("seen", {"at": "2026-01-02", "in": "/a"})]
    assert "the event `wrong` is not sent: the data is not JSON: at `list[1]`: NaN" in caplog.text


def test_a_task_has_metadata_and_a_security_context_and_a_result_has_metadata_and_costs():
    own = Worker()

    @own.task("tell")
    async def tell(params, metadata, security, send_event):
        await send_event("seen", {}, 1.5, security, metadata, "other")
        data = {"signer": security and security.signer_id, "chain": security and security.identity_chain}
        return {"data": data, "metadata": metadata, "costs": {"tokens": 7}}

    run = TestWorker(own).run("tell", metadata={"a": [1]}, security={"signer_id": "c", "unknown": 1})
    assert (run.data, run.metadata, run.costs) == ({"signer": "c", "chain": None}, {"a": [1]}, {"tokens": 7})
    assert run.events == [("seen", {})]
    run = TestWorker(own).run("tell")
    assert (run.data, run.metadata, run.costs) == ({"signer": None, "chain": None}, None, {"tokens": 7})


def limited() -> Worker:
    own = Worker()

    @own.task("waits", timeout=0.05)
    async def waits(params):
        await asyncio.sleep(100)

    @own.task("blocks", timeout=0.05)
    def blocks(params):
        try:
            while True:
                time.sleep(0.005)
        except TaskCancelled:
            seen.append("blocks")
            raise

    @own.task("hogs", timeout=0.05)
    async def hogs(params):
        time.sleep(0.2)
        return {"data": {"too": "late"}}

    @own.task("ignores", timeout=0.05)
    async def ignores(params):
        try:
            await asyncio.sleep(100)
        except asyncio.CancelledError:
            return {"data": {"it": "ended anyway"}}

    @own.task("unlimited")
    async def unlimited(params):
        await asyncio.sleep(params.get("seconds", 100))
        return {"data": {"in": "time"}}

    return own


@pytest.mark.parametrize("name", ["waits", "blocks", "hogs", "ignores"])
def test_a_time_limit_ends_the_task(name):
    run = TestWorker(limited()).run(name)
    assert (run.status, run.error_code) == ("failure", "TIMEOUT_ERROR")
    assert run.error_message == "the task took longer than its limit of 50ms"
    assert name != "blocks" or seen.pop() == "blocks"


def test_the_time_limit_of_the_configuration_and_the_deadline_end_the_task():
    own = limited()
    seen.clear()
    own.config.WORKER_TASK_TIMEOUT = 0.1
    tester = TestWorker(own)
    assert tester.run("unlimited", {"seconds": 0}).data == {"in": "time"}
    assert tester.run("unlimited").error_message == "the task took longer than its limit of 100ms"
    run = tester.run("unlimited", deadline=time.time() + 0.05)
    assert (run.error_code, run.error_message) == ("TIMEOUT_ERROR", "the task's deadline has passed")
    run = tester.run("blocks", deadline=time.time() - 1)
    assert (run.error_code, run.error_message) == ("TIMEOUT_ERROR", "the task's deadline has passed")
    assert not seen, "it was not begun"
    assert tester.run("unlimited", cancelled_after=0.02).status == "cancelled"


def test_a_handler_that_does_not_stop_is_reported_without_its_end(monkeypatch):
    monkeypatch.setattr(_limits, "GRACE", 0.05)
    own, go_on = Worker(), threading.Event()

    @own.task("stuck", timeout=0.05)
    def stuck(params):
        with shielded():
            go_on.wait()

    try:
        assert TestWorker(own).run("stuck").error_code == "TIMEOUT_ERROR"
    finally:
        go_on.set()


def test_a_handler_may_end_after_its_loop(monkeypatch):
    monkeypatch.setattr(_limits, "GRACE", 0.05)
    own, go_on, failed, threads = Worker(), threading.Event(), [], []
    monkeypatch.setattr(threading, "excepthook", failed.append)
    monkeypatch.setattr(sys, "unraisablehook", failed.append)

    @own.task("stuck", timeout=0.05)
    def stuck(params):
        threads.append(threading.current_thread())
        with shielded():
            go_on.wait()

    try:
        assert TestWorker(own).run("stuck").error_code == "TIMEOUT_ERROR"
    finally:
        go_on.set()
    threads[0].join(LIMIT)
    assert not threads[0].is_alive() and not failed


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        *((0.05, "50ms"), (1, "1s"), (1.5, "1.5s"), (90, "90s"), (0.0002, "200µs")),
        *((1.000000001, "1.000000001s"), (0.0123, "12.3ms"), (1e-9, "1ns")),
    ],
)
def test_durations_are_written_as_the_core_writes_them(seconds, text):
    assert _limits._duration(seconds) == text


def test_the_outcome_is_the_one_of_production(dev_orchestrator):
    own = limited()
    with dev_orchestrator.running(own):
        error = dev_orchestrator.run("waits")["error"]
    run = TestWorker(own).run("waits")
    assert (run.error_code, run.error_message) == (error["code"], error["message"])
