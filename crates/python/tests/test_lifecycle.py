"""The start and the end of a worker: signals, exit codes, forks, loops, the end of the interpreter."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import pathlib
import signal
import threading
import time
from typing import Any
from unittest.mock import AsyncMock, Mock

import pytest
from avtomatika_worker import ConfigError, Worker
from avtomatika_worker._bridge import Run
from support import LIMIT, Beside, Program, Stopwatch, beside, config, orchestrator, until

TASKS = """
    import asyncio, os, signal, sys, threading, time
    from avtomatika_worker import Worker

    worker = Worker()

    @worker.task("echo")
    async def echo(params):
        return {"data": params}

    @worker.task("sleep")
    async def sleep(params):
        await asyncio.sleep(params["seconds"])
        return {"data": {"slept": True}}

    @worker.task("block")
    def block(params):
        until = time.monotonic() + params["seconds"]
        while time.monotonic() < until:
            time.sleep(0.01)
        return {"data": {"slept": True}}

    @worker.task("hog")
    async def hog(params):
        while not os.path.exists(params["until"]):
            time.sleep(0.01)
        return {"data": {"slept": True}}
"""

RUN = (
    TASKS
    + """
    worker.run_with_health_check()
    print("returned")
"""
)


def started(dev: Any, script: str = RUN, **variables: str) -> Program:
    program = Program(script, dev.url, **variables)
    until(lambda: dev.workers() or program.process.poll() is not None)
    return program


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_lets_tasks_finish_and_run_returns(number):
    with orchestrator() as dev:
        program = started(dev)
        jobs = [dev.submit(name, {"seconds": 1.0}) for name in ("sleep", "block")]
        until(lambda: all(dev.task(job)["status"] == "running" for job in jobs))
        program.signal(number)
        for job in jobs:
            assert dev.result(job)["data"] == {"slept": True}
        code, output = program.end()
    assert code == 0 and output.rstrip().endswith("returned"), output


@pytest.mark.parametrize("kind", ["async def", "def"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_start_up_hooks(number, kind):
    pause = "await asyncio.sleep(60)" if kind == "async def" else "time.sleep(60)"
    hook = f"""
    @worker.on_startup
    {kind} load():
        print("loading", flush=True)
        {pause}
"""
    program = Program(TASKS + hook + RUN.removeprefix(TASKS), "http://127.0.0.1:1", WORKER_SHUTDOWN_TIMEOUT="60")
    assert program.process.stdout.readline() == "loading\n"
    program.signal(number)
    code, output = program.end()
    assert code == 0 and output.rstrip().endswith("returned") and "Traceback" not in output, output


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("kind", ["module", "async def", "def"])
def test_a_signal_ends_the_loading_of_skills(number, kind, tmp_path):
    said = 'print("loading", flush=True)'
    file = {
        "module": f"import time\n{said}\ntime.sleep(60)",
        "async def": f"import asyncio\nasync def setup(worker):\n    {said}\n    await asyncio.sleep(60)",
        "def": f"import time\ndef setup(worker):\n    {said}\n    time.sleep(60)",
    }
    (tmp_path / "a.py").write_text(file[kind])
    (tmp_path / "b.py").write_text("print('next')")
    program = Program(RUN, "http://127.0.0.1:1", WORKER_SHUTDOWN_TIMEOUT="60", WORKER_SKILLS_DIR=str(tmp_path))
    assert program.process.stdout.readline() == "loading\n"
    program.signal(number)
    code, output = program.end()
    assert (code, output.strip()) == (0, "returned"), output


async def test_a_stop_before_the_run_exists_ends_it_at_once(tmp_path):
    ran: list[str] = []
    worker = Worker(config=config("http://127.0.0.1:1"), skills_dir=tmp_path)
    worker.on_startup(lambda: ran.append("hook"))
    task = asyncio.create_task(worker.main())
    worker._shutdown_event.set()
    assert worker._shutdown_event.is_set() and not ran
    stopped = await asyncio.wait_for(task, LIMIT)
    assert (stopped.cause, stopped.is_clean, ran) == ("asked to stop", True, [])
    assert worker._shutdown_event.is_set()
    # A run begins anew, and `drain` has an effect on a run only.
    worker.drain()
    task = asyncio.create_task(worker.main())
    while not ran:
        await asyncio.sleep(0.01)
    assert not worker._shutdown_event.is_set()
    worker.drain()
    assert (await asyncio.wait_for(task, LIMIT)).cause == "asked to stop"


async def test_a_stop_while_skills_are_loaded_ends_the_run_that_follows(tmp_path):
    (tmp_path / "a.py").write_text("def setup(worker):\n    worker.drain()")
    ran = []
    worker = Worker(config=config("http://127.0.0.1:1"), skills_dir=tmp_path)
    worker.on_startup(lambda: ran.append("hook"))
    stopped = await asyncio.wait_for(worker.main(), LIMIT)
    assert (stopped.cause, ran) == ("asked to stop", [])


def test_what_was_set_can_be_cleared_before_the_run(caplog):
    with orchestrator() as dev:
        worker, _ = worker_of(dev.url)
        worker._shutdown_event.set()
        worker._shutdown_event.clear()
        assert not worker._shutdown_event.is_set() and "has no effect" not in caplog.text
        with beside(worker):
            assert dev.data("sleep", {"seconds": 0}) == {"slept": True}
            worker._shutdown_event.set()
            worker._shutdown_event.clear()
        assert "`worker._shutdown_event.clear()` has no effect" in caplog.text


async def test_what_was_asked_of_a_run_whose_loop_was_closed_does_not_stop_the_next():
    worker, _ = worker_of("http://127.0.0.1:1")
    ran = []
    worker.on_startup(lambda: ran.append("hook"))
    worker._loop = asyncio.new_event_loop()
    worker._loop.close()
    worker.drain()
    task = asyncio.create_task(worker.main())
    while not ran:
        await asyncio.sleep(0.01)
    worker.drain()
    await asyncio.wait_for(task, LIMIT)


def test_a_wrong_configuration_is_reported_before_the_start_up_hooks(monkeypatch):
    monkeypatch.setenv("MAX_CONCURRENT_TASKS", "many")
    worker, ran = Worker(), []
    worker.on_startup(lambda: ran.append(True))

    @worker.task("t")
    async def t(params):
        return None

    with pytest.raises(ConfigError, match="`MAX_CONCURRENT_TASKS` is `many`"):
        asyncio.run(worker.main())
    assert not ran


def test_the_second_signal_cancels_and_the_exit_code_is_1():
    with orchestrator() as dev:
        program = started(dev)
        jobs = [dev.submit(name, {"seconds": 60}) for name in ("sleep", "block")]
        until(lambda: all(dev.task(job)["status"] == "running" for job in jobs))
        program.signal(signal.SIGTERM)
        until(lambda: dev.workers()[0]["status"] == "busy")
        program.signal(signal.SIGTERM)
        for job in jobs:
            assert dev.result(job)["error"]["message"] == "worker shut down"
        code, output = program.end()
    assert code == 1 and "returned" not in output, output


def test_the_third_signal_has_its_default_action():
    with orchestrator() as dev:
        # A handler that is never interrupted.
        script = RUN.replace(
            "until = time.monotonic()",
            "from avtomatika_worker import shielded\n        shielded().__enter__()\n        until = time.monotonic()",
        )
        program = started(dev, script)
        job = dev.submit("block", {"seconds": 60})
        until(lambda: dev.task(job)["status"] == "running")
        for _ in range(3):
            program.signal(signal.SIGTERM)
            time.sleep(0.3)
        code, output = program.end()
    assert code == -signal.SIGTERM, output


def test_a_signal_is_obeyed_while_a_handler_blocks_the_loop(tmp_path):
    release = tmp_path / "release"
    with orchestrator() as dev:
        program = started(dev)
        job = dev.submit("hog", {"until": str(release)})
        until(lambda: dev.task(job)["status"] == "running")
        program.signal(signal.SIGTERM)
        until(lambda: dev.workers()[0]["status"] == "busy")
        assert dev.task(job)["status"] == "running"
        release.touch()
        assert dev.result(job)["data"] == {"slept": True}
        code, output = program.end()
    assert code == 0, output


def test_a_wrong_configuration_is_exit_code_2_and_all_problems_are_printed():
    program = Program(RUN, "http://127.0.0.1:1", HEARTBEAT_INTERVAL="soon", MAX_CONCURRENT_TASKS="0")
    code, output = program.end()
    assert code == 2 and "HEARTBEAT_INTERVAL" in output and "MAX_CONCURRENT_TASKS" in output, output
    assert "Traceback" not in output, output


def test_a_port_that_is_taken_is_exit_code_1():
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        program = Program(RUN, "http://127.0.0.1:1", WORKER_PORT=str(taken.getsockname()[1]))
        code, output = program.end()
    assert code == 1 and "WORKER_PORT" in output, output


def test_run_restores_the_signal_handlers_it_found():
    script = (
        TASKS
        + """
    def mine(number, frame):
        print("mine")

    signal.signal(signal.SIGTERM, mine)
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    wakeup = signal.set_wakeup_fd(-1)
    threading.Timer(0.5, worker.drain).start()
    worker.run()
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before
    assert signal.set_wakeup_fd(-1) == wakeup
    signal.raise_signal(signal.SIGTERM)
    """
    )
    with orchestrator() as dev:
        code, output = Program(script, dev.url).end()
    assert code == 0 and output.count("mine") == 1 and output.rstrip().endswith("mine"), output


def test_run_from_another_thread_and_twice_and_uvloop():
    script = (
        TASKS
        + """
    import uvloop
    for loops in (asyncio, uvloop):
        asyncio.set_event_loop_policy(getattr(loops, "EventLoopPolicy", asyncio.DefaultEventLoopPolicy)())
        thread = threading.Thread(target=worker.run)
        thread.start()
        time.sleep(0.5)
        worker.drain()
        thread.join(15)
        assert not thread.is_alive()
    print("ended")
    """
    )
    pytest.importorskip("uvloop")
    with orchestrator() as dev:
        code, output = Program(script, dev.url).end()
    assert (code, output.strip()) == (0, "ended"), output


def test_uvloop_gets_signals_too():
    pytest.importorskip("uvloop")
    script = (
        TASKS
        + """
    import uvloop
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    worker.run()
    print("returned")
    """
    )
    with orchestrator() as dev:
        program = started(dev, script)
        program.signal(signal.SIGTERM)
        code, output = program.end()
    assert code == 0 and output.strip() == "returned", output


def test_main_installs_no_signal_handlers_unless_asked():
    script = (
        TASKS
        + """
    async def main():
        task = asyncio.create_task(worker.main(install_signal_handlers="ask" in sys.argv))
        await asyncio.sleep(0.5)
        print(signal.getsignal(signal.SIGTERM) is signal.SIG_DFL)
        worker.drain()
        await task

    sys.argv = ["x"]
    asyncio.run(main())
    sys.argv = ["x", "ask"]
    asyncio.run(main())
    print(signal.getsignal(signal.SIGTERM) is signal.SIG_DFL)
    """
    )
    with orchestrator() as dev:
        code, output = Program(script, dev.url).end()
    assert (code, output.split()) == (0, ["True", "False", "True"]), output


def worker_of(url: str, **attributes: Any) -> tuple[Worker, threading.Event]:
    worker = Worker(config=config(url, **attributes))
    running = threading.Event()

    @worker.task("sleep")
    async def sleep(params):
        running.set()
        await asyncio.sleep(params["seconds"])
        return {"data": {"slept": True}}

    @worker.task("hog")
    async def hog(params):
        running.set()
        while running.is_set():
            time.sleep(0.01)

    return worker, running


def test_cancelling_main_is_the_first_signal_and_again_the_second():
    with orchestrator() as dev:
        worker, running = worker_of(dev.url)

        async def main():
            task = asyncio.create_task(worker.main())
            job = await asyncio.to_thread(dev.submit, "sleep", {"seconds": 0.7})
            await asyncio.to_thread(running.wait, 15)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert dev.task(job)["data"] == {"slept": True}
            running.clear()
            task = asyncio.create_task(worker.main())
            job = dev.submit("sleep", {"seconds": 60})
            await asyncio.to_thread(running.wait, 15)
            task.cancel()
            await asyncio.sleep(0.2)
            assert not task.done()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert dev.task(job)["error"]["message"] == "worker shut down"

        asyncio.run(main())


def test_a_worker_that_runs_is_not_run_again_and_not_changed(caplog):
    with orchestrator() as dev:
        worker, _ = worker_of(dev.url)
        with beside(worker):
            until(lambda: worker._run)
            with pytest.raises(RuntimeError, match="already running"):
                asyncio.run(worker.main())
            with pytest.raises(RuntimeError, match="a shutdown hook cannot be added to a running worker"):
                worker.on_shutdown(print)
            worker.config.WORKER_TYPE = "other"
            assert "`WORKER_TYPE` was set while the worker runs" in caplog.text


def test_run_in_a_running_loop_names_the_alternative():
    worker, _ = worker_of("http://127.0.0.1:1")

    async def main():
        with pytest.raises(RuntimeError, match=r"await worker\.main\(\)"):
            worker.run()

    asyncio.run(main())


def test_a_forked_process_gets_an_error_since_the_worker_runs_in_its_parent():
    script = (
        TASKS
        + """
    async def main():
        task = asyncio.create_task(worker.main())
        await asyncio.sleep(0.5)
        child = os.fork()
        if child == 0:
            code = 1
            try:
                worker._run.native.exchange([], True)
            except RuntimeError as error:
                print("exchange:", error)
                code = 0
            try:
                asyncio.events._set_running_loop(None)
                asyncio.run(worker.main())
                code = 1
            except RuntimeError as error:
                print("main:", error)
            sys.stdout.flush()
            worker._run.close()
            os._exit(code)
        _, status = os.waitpid(child, 0)
        print("child", os.waitstatus_to_exitcode(status))
        worker.drain()
        await task
        print("ended")

    asyncio.run(main())
    """
    )
    with orchestrator() as dev:
        code, output = Program(script, dev.url).end()
    assert code == 0, output
    assert output.count("forked from it") == 2 and "child 0" in output and output.rstrip().endswith("ended"), output


def test_a_child_that_a_blocking_handler_forked_and_abandoned_ends():
    with orchestrator() as dev:
        worker = Worker(config=config(dev.url))

        @worker.task("fork")
        def fork(params):
            child = os.fork()
            if child == 0:
                raise SystemExit(0)
            until(lambda: os.waitpid(child, os.WNOHANG)[0])
            return {"ended": True}

        with beside(worker):
            assert dev.data("fork") == {"ended": True}


def test_a_worker_that_was_not_started_can_be_run_after_a_fork():
    script = (
        TASKS
        + """
    child = os.fork()
    if child == 0:
        worker.run()
        os._exit(7)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """
    )
    with orchestrator() as dev:
        program = started(dev, script)
        assert dev.data("echo", {"a": 1}) == {"a": 1}
        children = f"/proc/{program.process.pid}/task/{program.process.pid}/children"
        child = int(pathlib.Path(children).read_text().split()[0])
        os.kill(child, signal.SIGTERM)
        code, output = program.end()
    assert (code, output.strip()) == (0, "7"), output


def test_the_interpreter_ends_while_tasks_run_in_a_thread_it_does_not_wait_for(tmp_path):
    script = (
        TASKS
        + """
    thread = threading.Thread(target=lambda: asyncio.run(worker.main()), daemon=True)
    thread.start()
    while not os.path.exists(os.environ["GO"]):
        time.sleep(0.01)
    print("main ends", flush=True)
    """
    )
    go = tmp_path / "go"
    with orchestrator() as dev:
        program = started(dev, script, GO=str(go))
        jobs = [dev.submit(name, {"seconds": 60}) for name in ("sleep", "block", "sleep")]
        until(lambda: all(dev.task(job)["status"] == "running" for job in jobs))
        go.touch()
        code, output = program.end(12)
        assert code == 0 and "main ends" in output, output
        assert "Fatal" not in output and "panicked" not in output, output
        for job in jobs:
            assert dev.result(job)["error"]["message"] == "worker shut down"


def test_a_loop_that_is_closed_under_it_ends_the_worker(caplog):
    with orchestrator() as dev:
        worker, running = worker_of(dev.url, WORKER_SHUTDOWN_TIMEOUT=1)
        loop = asyncio.new_event_loop()
        task = loop.create_task(worker.main())
        loop.run_until_complete(asyncio.to_thread(until, dev.workers))
        native = worker._run.native
        loop.close()
        job = dev.submit("sleep", {"seconds": 1})
        assert dev.result(job)["error"]["message"] == "worker shut down", "the task is given back"
        until(lambda: native.join(0.1))
        assert not running.is_set()
        assert any("loop was closed" in record.getMessage() for record in caplog.records)
        # Pending coroutines are destroyed at some later time, and asyncio would warn about them.
        task._log_destroy_pending = False
        with beside(worker):
            assert dev.data("sleep", {"seconds": 0}) == {"slept": True}, "the worker can be run again"
            assert worker._run is not None
            del task
            gc.collect()
            assert dev.data("sleep", {"seconds": 0}) == {"slept": True}


@pytest.mark.parametrize("on_disk", [True, False])
def test_unacknowledged_results_are_kept_if_there_is_a_folder_for_them(tmp_path, on_disk):
    folder = {"WORKER_OUTBOX_DIR": str(tmp_path)} if on_disk else {}
    began, go_on = threading.Event(), threading.Event()
    with orchestrator() as dev:
        worker = Worker(config=config(dev.url, WORKER_ID="keeps", WORKER_SHUTDOWN_TIMEOUT=0.5, **folder))

        @worker.task("waits")
        def waits():
            began.set()
            go_on.wait(LIMIT)

        with beside(worker) as one:
            job = dev.submit("waits")
            assert began.wait(LIMIT)
            task = dev.task(job)["task_id"]
            dev.native.shutdown()
            go_on.set()
            until(lambda: not worker._run._running)
    stopped = one.stopped
    assert (stopped.kept, stopped.unacknowledged) == (([task], []) if on_disk else ([], [task]))
    assert stopped.is_clean is on_disk


def test_leaving_the_loop_ends_the_worker():
    with orchestrator() as dev:
        worker, _ = worker_of(dev.url)

        async def main():
            task = asyncio.create_task(worker.main())
            await asyncio.to_thread(until, dev.workers)
            assert not task.done()

        # `asyncio.run` cancels the remaining tasks, and waits for them.
        asyncio.run(main())
        assert worker._run is None


def test_a_handler_that_blocks_the_loop_is_named_and_heartbeats_continue(caplog):
    caplog.set_level(logging.WARNING, "avtomatika_worker")
    with orchestrator(worker_ttl=1.0) as dev:
        worker, running = worker_of(dev.url)
        with beside(worker):
            job = dev.submit("hog")
            assert running.wait(LIMIT)
            stopwatch = Stopwatch()
            said = until(lambda: [r.getMessage() for r in caplog.records if "blocked" in r.getMessage()])
            assert stopwatch.took() < 2
            assert dev.task(job)["status"] == "running", "the warning is logged while the loop is blocked"
            assert "the handler of `hog` has blocked the event loop for 1" in said[0] and __file__ in said[0]
            time.sleep(1)
            assert dev.workers(), "the worker still counts as alive"
            running.clear()
            assert dev.result(job)["status"] == "finished"
            until(lambda: any("no longer blocked" in record.getMessage() for record in caplog.records))


def test_importing_the_package_is_quick_and_takes_no_heavy_modules():
    script = """
    import sys, time
    # Processor time, which does not depend on other load of the machine.
    began = time.process_time()
    import avtomatika_worker
    took = time.process_time() - began
    heavy = {"asyncio", "json", "logging", "inspect", "dataclasses", "pydantic", "ssl", "socket"} & set(sys.modules)
    print(took, sorted(heavy))
    """
    best, heavy = 9.0, ""
    for _ in range(5):
        code, output = Program(script, "http://127.0.0.1:1").end()
        assert code == 0, output
        took, heavy = output.split(" ", 1)
        best = min(best, float(took))
    assert heavy.strip() == "[]"
    assert best < 0.06, best


def test_draining_ends_a_worker_cleanly():
    with orchestrator() as dev:
        worker, _ = worker_of(dev.url)
        one = Beside(worker)
        until(dev.workers)
        worker.drain()
        one.join()
        assert one.error is None and one.stopped.is_clean and one.stopped.cause == "asked to stop"


def test_run_calls_main_which_a_subclass_may_wrap():
    script = """
        from avtomatika_worker import Worker

        class Own(Worker):
            async def main(self):
                print("opened", flush=True)
                try:
                    return await super().main()
                finally:
                    print("closed", flush=True)

        worker = Own()

        @worker.task("one")
        async def one(params):
            worker.drain()
            return {"data": {"n": 1}}

        worker.run()
    """
    with orchestrator() as dev:
        program = Program(script, dev.url)
        assert dev.data("one") == {"n": 1}
        code, output = program.end()
        assert (code, [line for line in output.split() if line in ("opened", "closed")]) == (0, ["opened", "closed"])


def test_run_ends_with_a_main_that_runs_nothing(monkeypatch):
    monkeypatch.setattr(Worker, "main", AsyncMock())
    worker = Worker()
    worker.run()
    worker.run_with_health_check()
    assert worker.main.await_count == 2


def test_tasks_whose_turn_has_not_come_are_reported_when_everything_ends():
    reported: list[Any] = []
    native = Mock()
    native.complete = lambda ended: reported.extend((task, status) for task, status, *_ in ended)
    native.log_lines.return_value = ([], 0)

    async def main() -> None:
        for end in (Run.give_up, Run.close):
            run = Run(native, [], Mock(), 1, Mock(), None)
            native.fileno.return_value = 0
            run._records = [(1, 5), (0, 6, 0, Mock(task_id=end.__name__, job_id="j"), b"{}")]
            end(run)
            assert run._records == []

    asyncio.run(main())
    assert [(task.task_id, status) for task, status in reported] == [("give_up", "failure"), ("close", "failure")]
