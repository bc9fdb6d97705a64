"""The ways to start a worker are those of the existing packages."""

import socket
import sys
import urllib.request

import pytest
from peers import existing
from wire import Running, wire

PROGRAM = """
from avtomatika_worker import Worker

worker = Worker(worker_type="started")


@(getattr(worker, "task", None) or worker.skill)("work")
async def work(params, **kwargs):
    return {"data": {"n": params["n"]}}


if __name__ == "__main__":
    import asyncio
    import sys

    way = sys.argv[1]
    asyncio.run(worker.main()) if way == "main" else getattr(worker, way)()
"""

WAYS = {
    "run": ["run"],
    "run_with_health_check": ["run_with_health_check"],
    "main": ["main"],
}

COMMAND = ["-m", "avtomatika_worker", "run", "--app", "started_worker:worker"]


def packages(*versions):
    return pytest.mark.parametrize("package", ["ours", *versions])


def serves(arguments, package, tmp_path, is_checked):
    """Starts a program, gives it a task, and asks for its health."""
    (tmp_path / "started_worker.py").write_text(PROGRAM)
    python = sys.executable if package == "ours" else existing(package)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    # The folder of a program is where Python looks for modules; with `-m` it is the current one.
    start = ["-c", f"import os; os.chdir({str(tmp_path)!r}); os.execv({python!r}, {[python, *arguments]!r})"]
    with wire(None if package == "1.0b4" else "1.0b17") as orchestrator:
        program = Running(start, orchestrator.url, python, WORKER_PORT=str(port))
        try:
            orchestrator.until(lambda: orchestrator.registrations() or program.process.poll() is not None)
            assert program.process.poll() is None, "the program has ended"
            assert orchestrator.registered()["worker_type"] == "started"
            assert orchestrator.result(orchestrator.give("work", {"n": 1}))["data"] == {"n": 1}
            if is_checked:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=10) as answer:
                    assert (answer.status, answer.read()) == (200, b"OK")
        except BaseException as error:
            error.add_note(program.output()[-4000:] if package == "ours" else "")
            raise
        finally:
            program.process.kill()
            program.end()


@packages("1.0b4", "1.0b20")
@pytest.mark.parametrize("way", WAYS)
def test_from_a_program(way, package, tmp_path):
    serves(["started_worker.py", *WAYS[way]], package, tmp_path, way == "run_with_health_check")


@packages("1.0b20")
def test_from_the_command_line(package, tmp_path):
    serves(COMMAND, package, tmp_path, True)


@packages("1.0b20")
def test_the_command_line_names_an_app_that_is_missing(package, tmp_path):
    program = Running(COMMAND, "http://127.0.0.1:9", sys.executable if package == "ours" else existing(package))
    try:
        assert program.process.wait(60) == 1
        assert "started_worker" in program.output()
    finally:
        program.process.kill()
        program.end()
