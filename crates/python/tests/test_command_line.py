"""The command `avtomatika`, as it comes with the package."""

from __future__ import annotations

import json
import os
import pathlib
import signal
import subprocess
import sys
import sysconfig

from wire import LIMIT

COMMAND = pathlib.Path(sysconfig.get_path("scripts")) / "avtomatika"

WORKER = """
import os
from avtomatika_worker import Worker

worker = Worker()


@worker.task("shout")
async def shout(params, **kwargs):
    return {"data": {"text": params["text"].upper(), "parent": os.getppid()}}


if __name__ == "__main__":
    worker.run()
"""


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([COMMAND, *arguments], capture_output=True, text=True, timeout=LIMIT)


def test_says_what_it_is_and_what_is_wrong():
    version = run("--version")
    assert (version.returncode, version.stderr) == (0, "")
    assert version.stdout.startswith("avtomatika ")
    wrong = run("dev", "--port", "many")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "many" in wrong.stderr
    nobody = run("tasks", "--server", "http://127.0.0.1:1")
    assert (nobody.returncode, nobody.stdout) == (69, "")
    assert "avtomatika dev" in nobody.stderr


def test_is_also_a_module():
    module = [sys.executable, "-m", "avtomatika_worker._command_line", "--version"]
    assert subprocess.run(module, capture_output=True, text=True, timeout=LIMIT).stdout == run("--version").stdout


def test_a_worker_runs_under_dev_and_ends_with_it(tmp_path: pathlib.Path):
    (tmp_path / "my_worker.py").write_text(WORKER)
    # This folder must not be taken for the package when the command starts itself once more.
    (tmp_path / "avtomatika_worker").mkdir()
    dev = subprocess.Popen(
        [COMMAND, "dev", "--json", "--port", "0", "--s3-port", "0", "--", sys.executable, "-P", "my_worker.py"],
        cwd=tmp_path,
        env={**os.environ, "WORKER_HOST": "127.0.0.1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert dev.stdout is not None
    try:
        server = json.loads(dev.stdout.readline())["url"]
        done = run("submit", "shout", "text=hello", "--wait", "--server", server)
        assert (done.returncode, json.loads(done.stdout)["text"]) == (0, "HELLO"), done.stderr
        supervisor = pathlib.Path("/proc") / str(json.loads(done.stdout)["parent"])
        dev.send_signal(signal.SIGINT)
        assert dev.wait(LIMIT) == 0
        assert not supervisor.exists()
    finally:
        dev.kill()
        dev.wait()
        dev.stdout.close()
