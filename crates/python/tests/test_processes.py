"""Handlers that start processes: whatever they use, the processes end when they are told to, and keep nothing of the
worker."""

from __future__ import annotations

import asyncio
import ctypes
import os
import pathlib
import signal
import socket
import urllib.request
from contextlib import suppress

import pytest
from avtomatika_worker import Worker
from support import LIMIT, Program, beside, config, orchestrator, until

HANDLERS = """
    import asyncio, math, multiprocessing, os, signal, subprocess, sys, time
    from concurrent.futures import ProcessPoolExecutor
    from avtomatika_worker import Worker

    processes = multiprocessing.get_context(sys.argv[1] if len(sys.argv) > 1 else "fork")
    worker = Worker()

    def with_pool():
        with processes.Pool(2) as pool:
            return pool.map(math.sqrt, [4.0, 9.0])

    def terminated():
        process = processes.Process(target=time.sleep, args=(600,))
        process.start()
        process.terminate()
        process.join()
        return process.exitcode

    def interrupted():
        process = processes.Process(target=time.sleep, args=(600,))
        process.start()
        time.sleep(0.5)
        os.kill(process.pid, signal.SIGINT)
        process.join()
        return process.exitcode

    def with_executor():
        with ProcessPoolExecutor(2, mp_context=processes) as executor:
            return list(executor.map(math.sqrt, [4.0, 9.0]))

    def other_program():
        process = subprocess.Popen(["sleep", "600"], preexec_fn=lambda: None)
        process.terminate()
        return process.wait()

    @worker.task("blocking")
    def blocking(params):
        return {"data": {"value": globals()[params["call"]]()}}

    @worker.task("async")
    async def on_loop(params):
        return {"data": {"value": globals()[params["call"]]()}}

    @worker.task("elsewhere")
    async def elsewhere(params):
        with ProcessPoolExecutor(1, mp_context=processes) as executor:
            return {"data": {"value": await asyncio.get_running_loop().run_in_executor(executor, math.sqrt, 4.0)}}

    @worker.task("orphan")
    def orphan(params):
        process = processes.Process(target=time.sleep, args=(600,))
        process.start()
        return {"data": {"process": process.pid}}

    @worker.task("wait")
    def wait(params):
        time.sleep(600)

    worker.run_with_health_check()
"""

EXPECTED = {
    "with_pool": [2.0, 3.0],
    "terminated": -signal.SIGTERM,
    "with_executor": [2.0, 3.0],
    "other_program": -signal.SIGTERM,
}


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_processes_of_handlers_end_when_they_are_told_to(method):
    script = HANDLERS.replace('sys.argv[1] if len(sys.argv) > 1 else "fork"', repr(method))
    with orchestrator() as dev:
        program = Program(script, dev.url)
        try:
            for task in ("blocking", "async"):
                for call, value in EXPECTED.items():
                    assert dev.data(task, {"call": call}) == {"value": value}, (task, call)
            if method == "fork":
                # Ctrl-C is `KeyboardInterrupt` again, which ends a process with 1.
                assert dev.data("blocking", {"call": "interrupted"}) == {"value": 1}
            assert dev.data("elsewhere") == {"value": 2.0}
            # No signal to a process has reached the worker.
            assert program.process.poll() is None
            program.signal(signal.SIGTERM)
        finally:
            code, output = program.end()
    assert code == 0, output


def test_an_interrupt_during_the_fork_ends_the_process():
    early = "import os, signal; os.register_at_fork(after_in_child=lambda: os.kill(os.getpid(), signal.SIGINT))"
    script = HANDLERS.replace("import asyncio,", f"{early}; import asyncio,", 1)
    with orchestrator() as dev:
        program = Program(script, dev.url)
        try:
            assert dev.data("blocking", {"call": "interrupted"}) == {"value": -signal.SIGINT}
        finally:
            program.signal(signal.SIGTERM)
            program.end()


def test_a_worker_starts_again_while_a_process_of_its_predecessor_lives(tmp_path):
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        port = chosen.getsockname()[1]
    variables = {
        "WORKER_ID": "w-1",
        "WORKER_OUTBOX_DIR": str(tmp_path / "outbox"),
        "TASK_FILES_DIR": str(tmp_path / "files"),
        "WORKER_PORT": str(port),
    }
    orphan = 0
    with orchestrator() as dev:
        first = Program(HANDLERS, dev.url, **variables)
        try:
            job = dev.submit("wait")
            until(lambda: dev.task(job)["status"] == "running")
            orphan = dev.data("orphan")["process"]
            first.process.kill()
            first.process.wait()
            assert not held(orphan), "descriptors of the worker"
            second = Program(HANDLERS, dev.url, **variables)
            try:
                # The outbox is that of the first worker: it names the task that died with it.
                assert "died" in dev.result(job)["error"]["message"]
                assert dev.data("blocking", {"call": "terminated"}) == {"value": -signal.SIGTERM}
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/health") as answer:
                    assert answer.read() == b"OK"
                os.kill(orphan, 0)
                second.signal(signal.SIGTERM)
            finally:
                code, output = second.end()
            assert code == 0, output
        finally:
            first.process.kill()
            if orphan:
                with suppress(ProcessLookupError):
                    os.kill(orphan, signal.SIGKILL)
            first.process.communicate()


def held(process: int) -> list[str]:
    """The files of the worker that a process has open, and its sockets that are connected or listen with TCP."""
    links = {entry: os.readlink(entry) for entry in pathlib.Path(f"/proc/{process}/fd").iterdir()}
    table = pathlib.Path(f"/proc/{process}/net/tcp").read_text().splitlines()[1:]
    tcp = {f"socket:[{line.split()[9]}]" for line in table}
    return [link for link in links.values() if link in tcp or link.endswith((".lock", ".redb", "~lock"))]


def test_a_worker_is_refused_in_a_process_forked_by_code_in_c():
    async def forked(run):
        # As `ctypes.CDLL` calls it: Python's own hooks are not called.
        process = ctypes.PyDLL(None).fork()
        if process == 0:
            try:
                run.native.fileno()
            except RuntimeError as error:
                os._exit(7 if "forked from it" in str(error) else 8)
            os._exit(9)
        return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])

    with orchestrator() as dev:
        worker = Worker(config=config(dev.url))
        with beside(worker) as one:
            until(lambda: worker._run is not None)
            assert asyncio.run_coroutine_threadsafe(forked(worker._run), one.loop).result(LIMIT) == 7
