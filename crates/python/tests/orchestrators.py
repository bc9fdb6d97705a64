"""The real orchestrators, each in a process of its own."""

from __future__ import annotations

import json
import os
import pathlib
import socket
import subprocess
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from peers import orchestrator
from support import LIMIT

VERSIONS = ("1.0b12", "1.0b30")

PROGRAMS = pathlib.Path(__file__).parents[2] / "e2e" / "orchestrators"

WORKER_TOKEN = "token-of-the-worker"

_CLIENT_TOKEN = "token-of-the-client"

_ENDS = {"finished", "failed", "quarantined", "cancelled", "error"}


class Orchestrator:
    """A running orchestrator, with its API for clients."""

    def __init__(self, url: str) -> None:
        self.url = url

    def submit(self, task: str, params: Mapping[str, Any], blueprint: str = "generic") -> str:
        """Submits a job of one task, and returns its id."""
        body = json.dumps({"initial_data": {"task": task, "params": params}})
        return str(self._request(f"/jobs/{blueprint}", body.encode())["job_id"])

    def job(self, job: str) -> dict[str, Any]:
        """What is known of a job now."""
        view: dict[str, Any] = self._request(f"/jobs/{job}")
        return view

    def ended(self, job: str) -> dict[str, Any]:
        """Waits for the end of a job, and returns all that is known of it."""
        deadline = time.monotonic() + LIMIT
        while True:
            view = self.job(job)
            if view["status"] in _ENDS:
                return view
            assert time.monotonic() < deadline, f"the job has not ended: {view}"
            time.sleep(0.02)

    def finished(self, job: str) -> dict[str, Any]:
        """Waits until a job is finished, and returns the data of its task."""
        view = self.ended(job)
        assert view["status"] == "finished", view
        data: dict[str, Any] = view["state_history"]
        return data

    def worker(
        self,
        name: str,
        is_alive: Callable[[], bool],
        wanted: Callable[[dict[str, Any]], Any] = lambda view: view.get("status") == "idle",
    ) -> dict[str, Any]:
        """Waits until a worker is known and as wanted, and returns what is known of it."""
        deadline = time.monotonic() + LIMIT
        while True:
            workers: list[dict[str, Any]] = self._request("/workers")
            found = [view for view in workers if view["worker_id"] == name and wanted(view)]
            if found:
                return found[0]
            assert is_alive(), "the worker's process has ended"
            assert time.monotonic() < deadline, f"the worker {name} is not as wanted: {workers}"
            time.sleep(0.02)

    def _request(self, path: str, body: bytes | None = None) -> Any:
        headers = {"X-Client-Token": _CLIENT_TOKEN, "Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.url}/api/v1{path}", body, headers)
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.loads(answer.read())


@contextmanager
def running_orchestrator(version: str, **variables: str) -> Iterator[Orchestrator]:
    """Runs an orchestrator of this version until the end of the block."""
    python = orchestrator(version)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        clients = f'[client_test]\ntoken = "{_CLIENT_TOKEN}"\nplan = "premium"\nmonthly_attempts = 100000000\n'
        (pathlib.Path(folder) / "clients.toml").write_text(clients)
        environment = {
            "PATH": os.environ["PATH"],
            "API_HOST": "127.0.0.1",
            "API_PORT": str(port),
            "CLIENTS_CONFIG_PATH": "clients.toml",
            "CLIENT_TOKEN": _CLIENT_TOKEN,
            "DETAILED_API_RESPONSES": "true",
            "GLOBAL_WORKER_TOKEN": WORKER_TOKEN,
            "ORCHESTRATOR_SECRET_KEY": "key-of-the-orchestrator",
            "RATE_LIMITING_ENABLED": "false",
            "WATCHER_INTERVAL_SECONDS": "1",
            "WORKER_POLL_TIMEOUT_SECONDS": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONUNBUFFERED": "1",
            **variables,
        }
        program = PROGRAMS / f"avtomatika_{version.replace('.', '_')}.py"
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        with subprocess.Popen([python, program], env=environment, cwd=folder, text=True, **pipes) as process:
            try:
                seen = []
                for line in process.stdout:
                    seen.append(line)
                    if line.startswith("READY "):
                        break
                else:
                    raise AssertionError(f"the orchestrator does not start: {''.join(seen)}")
                # A full pipe would stop it.
                threading.Thread(target=process.stdout.read, daemon=True).start()
                yield Orchestrator(f"http://127.0.0.1:{port}")
            finally:
                process.kill()
