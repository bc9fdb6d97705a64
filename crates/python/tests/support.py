"""Runs a worker beside the test, on a thread and a loop of its own, with a development orchestrator."""

from __future__ import annotations

import asyncio
import json
import os
import pathlib
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from avtomatika_worker import Worker, WorkerConfig, _native

LIMIT = 60.0
"""The time limit of every wait, in seconds. It only ends a test that hangs: a promise in wall time is
measured with a `Stopwatch`."""


class Stopwatch:
    """Measures seconds, without those for which threads of this process waited for a processor."""

    def __init__(self) -> None:
        self._start, self._held_up = time.monotonic(), held_up()

    def took(self) -> float:
        return time.monotonic() - self._start - (held_up() - self._held_up)


def held_up() -> float:
    """The seconds for which the threads of this process were ready to run and did not, as Linux counts them."""
    waits = 0
    for thread in pathlib.Path("/proc/self/task").glob("*/schedstat"):
        with suppress(OSError):  # The thread has ended meanwhile.
            waits += int(thread.read_text().split()[1])
    return waits / 1e9


class Orchestrator:
    """The development orchestrator."""

    def __init__(self, **settings: Any) -> None:
        self.native = _native.DevOrchestrator(**settings)
        self.url = self.native.url

    def submit(self, name: str, params: Any = None, **options: Any) -> str:
        return self.native.submit(name, json.dumps({} if params is None else params).encode(), **options)

    def result(self, job: str) -> dict[str, Any]:
        return json.loads(self.native.wait(job, LIMIT))

    def run(self, name: str, params: Any = None, **options: Any) -> dict[str, Any]:
        """Submits a task, waits until it has ended, and returns its state."""
        return self.result(self.submit(name, params, **options))

    def data(self, name: str, params: Any = None, **options: Any) -> Any:
        view = self.run(name, params, **options)
        assert view["status"] == "finished", view
        return view.get("data")

    def error(self, name: str, params: Any = None, **options: Any) -> dict[str, Any]:
        view = self.run(name, params, **options)
        assert "error" in view, view
        return view["error"]

    def task(self, job: str) -> dict[str, Any]:
        return json.loads(self.native.task(job) or "null")

    def workers(self) -> list[dict[str, Any]]:
        return json.loads(self.native.workers())

    def cancel(self, job: str) -> None:
        self.native.cancel(job)


@contextmanager
def orchestrator(**settings: Any) -> Iterator[Orchestrator]:
    one = Orchestrator(max_retries=0, **settings)
    try:
        yield one
    finally:
        one.native.shutdown()


def config(url: str, **attributes: Any) -> WorkerConfig:
    """Returns a configuration with shorter times than the defaults."""
    made = WorkerConfig()
    quick = {
        "ORCHESTRATOR_URL": url,
        "WORKER_TOKEN": "a-token",
        "HEARTBEAT_INTERVAL": 0.1,
        "WORKER_HEARTBEAT_DEBOUNCE_DELAY": 0.02,
        "TASK_POLL_ERROR_DELAY": 0.05,
    }
    for name, value in {**quick, **attributes}.items():
        setattr(made, name, value)
    return made


class Beside:
    """A worker that runs on a thread of its own, beside the test."""

    def __init__(self, worker: Worker, run: Callable[..., Any] = asyncio.run) -> None:
        self.worker = worker
        self.loop: asyncio.AbstractEventLoop | None = None
        self.stopped: Any = None
        self.error: BaseException | None = None
        self._run = run
        self.thread = threading.Thread(target=self._work, daemon=True)
        self.thread.start()

    def _work(self) -> None:
        async def main() -> None:
            self.loop = asyncio.get_running_loop()
            self.stopped = await self.worker.main()

        try:
            self._run(main())
        except BaseException as error:
            self.error = error

    def join(self, limit: float = LIMIT) -> None:
        self.thread.join(limit)
        assert not self.thread.is_alive(), f"the worker has not ended in {limit} s"


@contextmanager
def beside(worker: Worker, run: Callable[..., Any] = asyncio.run) -> Iterator[Beside]:
    """Runs a worker, and drains it at the end: every test includes that this works."""
    one = Beside(worker, run)
    try:
        yield one
    finally:
        until(lambda: worker._run is not None or not one.thread.is_alive())
        worker.drain()
        one.join()
    if one.error is not None:
        raise one.error


def until(check: Callable[[], Any], limit: float = LIMIT) -> Any:
    """Checks a condition repeatedly until it holds, for changes without a signal."""
    deadline = time.monotonic() + limit
    while True:
        value = check()
        if value:
            return value
        assert time.monotonic() < deadline, f"not in {limit} s"
        time.sleep(0.01)


def _default_signals() -> None:
    # The tests may run in the background or under `nohup`, where some are ignored.
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


class Program:
    """A script in a process of its own, with the usual signals."""

    def __init__(self, script: str, url: str, **variables: str) -> None:
        environment = {
            **os.environ,
            "ORCHESTRATOR_URL": url,
            "WORKER_TOKEN": "a-token",
            "HEARTBEAT_INTERVAL": "0.1",
            "WORKER_HOST": "127.0.0.1",
            "WORKER_PORT": "0",
            # Most tests look at what the program itself writes.
            "LOG_LEVEL": "warning",
            **variables,
        }
        self.process = subprocess.Popen(
            [sys.executable, "-X", "faulthandler", "-W", "always::ResourceWarning", "-c", textwrap.dedent(script)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=os.path.dirname(__file__),
            preexec_fn=_default_signals,
        )

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def end(self, limit: float = LIMIT) -> tuple[int, str]:
        """Waits for the end, and returns the exit code and the output."""
        try:
            output, _ = self.process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            self.process.kill()
            output, _ = self.process.communicate()
            raise AssertionError(f"the program has not ended in {limit} s; its output:\n{output}") from None
        return self.process.returncode, output
