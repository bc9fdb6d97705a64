"""Signals that come early, late, or to process 1."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import textwrap

import pytest
from support import LIMIT, Program, orchestrator, until

BEGIN = """
    import asyncio, os, signal, sys, time
    from avtomatika_worker import Worker

    def tell(number=signal.SIGTERM):
        os.kill(os.getpid(), number)
"""

# In the order of time.
MOMENTS = {
    "when the loop is made": """
        class Policy(asyncio.DefaultEventLoopPolicy):
            def new_event_loop(self):
                tell()
                return super().new_event_loop()

        asyncio.set_event_loop_policy(Policy())
        worker = Worker()
        worker.run()
    """,
    "before `main` of a subclass has called that of the worker": """
        class Slow(Worker):
            async def main(self):
                tell()
                await asyncio.sleep(600)

        Slow().run()
    """,
    "while a subclass ends": """
        class Slow(Worker):
            async def main(self):
                asyncio.get_running_loop().call_soon(self.drain)
                await super().main()
                tell()
                await asyncio.sleep(600)

        Slow().run()
    """,
    "while the loop ends": """
        class Late(Worker):
            async def main(self):
                asyncio.get_running_loop().run_in_executor(None, lambda: (time.sleep(0.5), tell()))

        Late().run()
    """,
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_signal_at_any_moment_of_run_ends_the_worker_well(moment):
    with orchestrator() as dev:
        code, output = Program(textwrap.dedent(BEGIN) + textwrap.dedent(MOMENTS[moment]), dev.url).end()
    assert code == 0, output


def test_signals_have_their_previous_handlers_after_an_early_one():
    script = """
    before = [signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)]

    class Ended(Worker):
        async def main(self):
            tell()
            await asyncio.sleep(600)

    Ended().run()
    assert [signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)] == before
    tell()
    """
    with orchestrator() as dev:
        code, output = Program(BEGIN + script, dev.url).end()
    assert code == -signal.SIGTERM, output


ONE_TASK = """
    worker = Worker()

    @worker.task("work")
    async def work(params):
        await asyncio.sleep(params["seconds"])
        return {"data": {"done": True}}

    worker.run()
    assert signal.getsignal(signal.SIGHUP) == before
"""


@pytest.mark.parametrize(
    ("before", "ends"), [("signal.SIG_DFL", True), ("signal.SIG_IGN", False), ("lambda *_: print('own')", False)]
)
def test_sighup_lets_running_tasks_finish_unless_the_program_treats_it_otherwise(before, ends):
    script = f"    before = {before}\n    signal.signal(signal.SIGHUP, before)\n" + ONE_TASK
    with orchestrator() as dev:
        program = Program(BEGIN + script, dev.url)
        job = dev.submit("work", {"seconds": 1.0})
        until(lambda: dev.task(job)["status"] == "running")
        program.signal(signal.SIGHUP)
        assert dev.result(job)["data"] == {"done": True}
        if not ends:
            assert dev.data("work", {"seconds": 0.0}) == {"done": True}, "it goes on"
            program.signal(signal.SIGTERM)
        code, output = program.end()
    assert code == 0 and output.count("own") == ("own" in before), output


def test_a_second_sighup_cancels():
    with orchestrator() as dev:
        program = Program(BEGIN + "    before = signal.SIG_DFL\n" + ONE_TASK, dev.url)
        job = dev.submit("work", {"seconds": 100 * LIMIT})
        until(lambda: dev.task(job)["status"] == "running")
        program.signal(signal.SIGHUP)
        until(lambda: dev.workers()[0]["status"] == "busy")
        program.signal(signal.SIGHUP)
        assert dev.result(job)["error"]["message"] == "worker shut down"
        code, output = program.end()
    assert code == 1, output


def test_a_forked_process_gets_a_sighup_that_was_sent_meanwhile():
    script = """
    worker = Worker()

    @worker.task("forks")
    def forks(params):
        child = os.fork()
        if child == 0:
            time.sleep(params["seconds"])
            os._exit(0)
        # Blocked between the fork and the return of the handlers of before, as it was sent before the first.
        os.kill(child, signal.SIGHUP)
        return {"data": {"ended": os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}}

    worker.run()
    """
    with orchestrator() as dev:
        program = Program(BEGIN + script, dev.url)
        for _ in range(20):
            assert dev.data("forks", {"seconds": LIMIT}) == {"ended": -signal.SIGHUP}
        program.signal(signal.SIGHUP)
        code, output = program.end()
    assert code == 0, output


def test_a_handler_of_the_programs_own_that_is_not_called_is_named():
    script = """
    signal.signal(signal.SIGTERM, lambda *_: print("own"))
    worker = Worker()

    @worker.on_startup
    async def started():
        tell()

    worker.run()
    tell()
    """
    with orchestrator() as dev:
        code, output = Program(BEGIN + script, dev.url).end()
    assert code == 0 and output.count("the program's handler for SIGTERM is not called while the worker runs") == 1, (
        output
    )
    assert "SIGINT" not in output and output.rstrip().endswith("own"), output


def test_a_limit_on_the_size_of_files_fails_the_write_and_not_the_worker():
    script = """
    import resource
    from avtomatika_worker import TaskFiles

    worker = Worker()

    @worker.task("write")
    async def write(params, files: TaskFiles):
        await files.write("large", "x" * 100_000)

    @worker.task("own")
    def own(params, files: TaskFiles):
        with open(files.path_to_sync("large"), "w") as file:
            file.write("x" * 100_000)

    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
    worker.run()
    """
    with orchestrator() as dev:
        program = Program(BEGIN + script, dev.url)
        until(lambda: dev.workers() or program.process.poll() is not None)
        codes = [dev.error(name)["code"] for name in ("write", "own")] if program.process.poll() is None else []
        program.signal(signal.SIGTERM)
        ended, output = program.end()
    assert (codes, ended) == (["RESOURCE_EXHAUSTED_ERROR"] * 2, 0), output


def _makes_process_1() -> bool:
    if shutil.which("unshare") is None:
        return False
    return subprocess.run(["unshare", "--pid", "--fork", "true"], capture_output=True).returncode == 0


@pytest.mark.skipif(not _makes_process_1(), reason="needs the right to make a namespace of processes")
def test_further_signals_end_process_1_with_its_last_lines():
    script = """
    import logging
    logging.basicConfig(level=logging.INFO, stream=sys.stdout)
    worker = Worker()

    @worker.task("hang")
    def hang(params, send_progress):
        send_progress(0.5, "it runs")
        while True:
            try:
                time.sleep(1)
            except BaseException:
                pass

    worker.run()
    """
    with orchestrator() as dev:
        environment = {
            **os.environ,
            "ORCHESTRATOR_URL": dev.url,
            "WORKER_TOKEN": "a-token",
            "HEARTBEAT_INTERVAL": "0.1",
        }
        outer = subprocess.Popen(
            ["unshare", "--pid", "--fork", sys.executable, "-c", textwrap.dedent(BEGIN + script)],
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        children = f"/proc/{outer.pid}/task/{outer.pid}/children"
        try:
            job = dev.submit("hang")
            until(lambda: dev.task(job).get("progress"))
            with open(children) as listed:
                process = int(listed.read().split()[0])
            # Signals that are sent at once may become one.
            until(lambda: outer.poll() is not None or os.kill(process, signal.SIGTERM))
            output, _ = outer.communicate(timeout=LIMIT)
        finally:
            outer.kill()
            outer.communicate()
    assert outer.returncode == 128 + signal.SIGTERM, output
    assert "task started task=hang" in output, output
