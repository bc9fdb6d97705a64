"""A scripted orchestrator: hands out the given tasks, answers everything, and keeps what it was sent.

It runs in any interpreter without further packages, so that the same program can be run with this package and with the
existing ones, and their requests compared.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

LIMIT = 60.0
"""The time limit of every wait, in seconds."""


@dataclass
class Request:
    """A request of a worker."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any


@dataclass
class Wire:
    """The orchestrator's side. ``version`` is that of its registration answer; without one it is of the older
    generation."""

    version: str | None = None
    requests: list[Request] = field(default_factory=list)
    url: str = ""

    def __post_init__(self) -> None:
        self._tasks: list[tuple[str | None, dict[str, Any]]] = []
        self._websockets: list[tuple[str, Any]] = []
        self._changed = threading.Condition()
        self._closed = False

    def give(self, name: str, params: Any = None, *, worker: str | None = None, **members: Any) -> str:
        """Queues a task, for any worker or for one with this id, and returns the task's id."""
        with self._changed:
            number = len([one for one in self.requests if one.path.endswith("/result")]) + len(self._tasks)
            task_id = members.pop("task_id", f"task-{name}-{number}")
            job_id = members.pop("job_id", f"job-{name}-{number}")
            task = {"task_id": task_id, "job_id": job_id, "type": name, "params": {} if params is None else params}
            self._tasks.append((worker, {**task, "tracing_context": {}, **members}))
            self._changed.notify_all()
        return str(task_id)

    def release(self) -> None:
        """Answers the polls that wait, and those that follow, at once."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def of(self, method: str, ending: str) -> list[Request]:
        """The requests with this method whose paths end in this text."""
        with self._changed:
            return [one for one in self.requests if one.method == method and one.path.endswith(ending)]

    def until(self, found: Callable[[], Any], what: str = "", limit: float = LIMIT) -> Any:
        """Waits until requests fulfil a condition, and returns its value."""
        deadline = time.monotonic() + limit
        while True:
            value = found()
            if value:
                return value
            if time.monotonic() > deadline:
                seen = [f"{one.method} {one.path}" for one in self.requests]
                raise AssertionError(f"{what or 'it'} did not happen in {limit} s; seen: {seen[-20:]}")
            with self._changed:
                self._changed.wait(0.05)

    def result(self, task_id: str, limit: float = LIMIT) -> dict[str, Any]:
        """Waits for the result of a task."""

        def found() -> Any:
            return next((one.body for one in self.of("POST", "/result") if one.body["task_id"] == task_id), None)

        result: dict[str, Any] = self.until(found, f"the result of {task_id}", limit)
        return result

    def registrations(self) -> list[dict[str, Any]]:
        return [one.body for one in self.of("POST", "/register")]

    def heartbeats(self) -> list[dict[str, Any]]:
        with self._changed:
            return [one.body for one in self.requests if one.method == "PATCH" and one.body is not None]

    def events(self) -> list[dict[str, Any]]:
        return [one.body for one in self.of("POST", "/events")]

    def frames(self) -> list[dict[str, Any]]:
        """What came over websockets."""
        with self._changed:
            return [one.body for one in self.requests if one.method == "WS"]

    def websockets(self) -> list[tuple[str, Any]]:
        """The websockets that were opened: their paths, and where to write to them."""
        with self._changed:
            return list(self._websockets)

    def command(self, worker: str, command: Mapping[str, Any], limit: float = LIMIT) -> None:
        """Waits for the websocket of a worker, and sends a command. The address of 1.0b4 names no worker: all such
        websockets get it."""

        def found() -> Any:
            return [one for path, one in self.websockets() if path.rstrip("/").endswith((f"/{worker}", "/ws"))]

        for websocket in self.until(found, f"a websocket of {worker}", limit):
            write_frame(websocket, 1, json.dumps(command).encode())

    def registered(self, limit: float = LIMIT) -> dict[str, Any]:
        """Waits for the first registration."""
        first: dict[str, Any] = self.until(lambda: (self.registrations() or [None])[0], "a registration", limit)
        return first

    def _record(self, request: Request) -> None:
        with self._changed:
            self.requests.append(request)
            self._changed.notify_all()

    def _next_task(self, worker: str) -> dict[str, Any] | None:
        """Waits up to 1 s for a task."""
        deadline = time.monotonic() + 1
        with self._changed:
            while True:
                mine = (n for n, (to, _) in enumerate(self._tasks) if to in (None, worker))
                number = next(mine, None)
                if number is not None:
                    return self._tasks.pop(number)[1]
                left = deadline - time.monotonic()
                if self._closed or left <= 0:
                    return None
                self._changed.wait(left)

    def _websocket(self, path: str, headers: dict[str, str], reader: Any, writer: Any) -> None:
        """Reads the frames of a websocket until it ends."""
        with self._changed:
            self._websockets.append((path, writer))
            self._changed.notify_all()
        while (frame := read_frame(reader)) is not None:
            kind, data = frame
            if kind == 1:
                self._record(Request("WS", path, headers, json.loads(data)))
            elif kind == 9:
                write_frame(writer, 10, data)
            elif kind == 8:
                write_frame(writer, 8, data)
                return

    def _answer(self, request: Request) -> tuple[int, Any]:
        self._record(request)
        path = request.path.partition("?")[0]
        if path.endswith("/tasks/next"):
            task = self._next_task(path.split("/")[-3])
            return (204, None) if task is None else (200, task)
        if path.endswith("/register"):
            answer = {"status": "registered"}
            return 200, answer if self.version is None else {**answer, "version": self.version}
        if path.endswith("/events"):
            return 200, {"status": "event_accepted"}
        if path.endswith("/skills/call"):
            return 200, {"status": "success", "data": {"called": request.body}}
        if request.method == "PATCH":
            return 200, {"status": "ok"}
        if path.endswith("/result"):
            return 200, {"status": "ok" if self.version is None else "accepted"}
        return 404, {"error": f"no such path: {path}"}


def read_frame(reader: Any) -> tuple[int, bytes] | None:
    """Reads a frame that is not fragmented (RFC 6455, 5.2): its kind and its data; ``None`` at the end."""
    head = reader.read(2)
    if len(head) < 2:
        return None
    length = head[1] & 0x7F
    if length == 126:
        length = struct.unpack(">H", reader.read(2))[0]
    elif length == 127:
        length = struct.unpack(">Q", reader.read(8))[0]
    mask = reader.read(4) if head[1] & 0x80 else bytes(4)
    data = reader.read(length)
    return head[0] & 0x0F, bytes(byte ^ mask[n % 4] for n, byte in enumerate(data))


def write_frame(writer: Any, kind: int, data: bytes) -> None:
    length = bytes([len(data)]) if len(data) < 126 else b"\x7e" + struct.pack(">H", len(data))
    writer.write(bytes([0x80 | kind]) + length + data)
    writer.flush()


@contextmanager
def wire(version: str | None = None) -> Iterator[Wire]:
    """Runs a scripted orchestrator until the end of the block."""
    one = Wire(version)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            if self.headers.get("Upgrade", "").lower() == "websocket":
                self._upgrade()
                return
            length = int(self.headers.get("Content-Length") or 0)
            raw = self.rfile.read(length) if length else b""
            request = Request(self.command, self.path, dict(self.headers), json.loads(raw) if raw else None)
            status, answer = one._answer(request)
            body = b"" if answer is None else json.dumps(answer).encode()
            try:
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                if status != 204:
                    self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
            except OSError:
                self.close_connection = True

        def _upgrade(self) -> None:
            key = self.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
            self.send_response(101)
            self.send_header("Upgrade", "websocket")
            self.send_header("Connection", "Upgrade")
            self.send_header("Sec-WebSocket-Accept", base64.b64encode(hashlib.sha1(key.encode()).digest()).decode())
            self.end_headers()
            self.close_connection = True
            with suppress(OSError):
                one._websocket(self.path, dict(self.headers), self.rfile, self.wfile)

        do_GET = do_POST = do_PATCH = _serve  # noqa: N815

        def log_message(self, *_: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        # Many workers connect at once; a connection that does not fit is left without an answer.
        request_queue_size = 1024

        def handle_error(self, *_: Any) -> None:
            pass

    server = Server(("127.0.0.1", 0), Handler)
    one.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield one
    finally:
        one.release()
        server.shutdown()
        server.server_close()
        thread.join()


class Running:
    """A program that is a worker, in a process of its own. ``script`` is its text, or the arguments of Python."""

    def __init__(self, script: str | Sequence[str], url: str, python: str = sys.executable, **variables: str) -> None:
        arguments = ["-c", script] if isinstance(script, str) else script
        self._ended: tuple[int, str] | None = None
        self._output = tempfile.TemporaryFile("w+")  # noqa: SIM115
        # The sources of this package, if it is not installed, are for this interpreter only.
        kept = ("PATH", "HOME", "TMPDIR", *(["PYTHONPATH"] if python == sys.executable else []))
        environment = {
            **{name: os.environ[name] for name in kept if name in os.environ},
            "PYTHONUNBUFFERED": "1",
            "ORCHESTRATOR_URL": url,
            "WORKER_ID": "w1",
            "WORKER_TOKEN": "a-token",
            "WORKER_PORT": "0",
            "WORKER_HOST": "127.0.0.1",
            **variables,
        }
        self.process = subprocess.Popen(
            [python, *arguments], env=environment, stdout=self._output, stderr=subprocess.STDOUT, text=True
        )

    def output(self) -> str:
        if self._ended is not None:
            return self._ended[1]
        # The program writes at the position that it shares with this file, so that reading must not move it.
        file = self._output.fileno()
        return os.pread(file, os.fstat(file).st_size, 0).decode(errors="replace")

    def end(self, limit: float = LIMIT) -> tuple[int, str]:
        """Sends SIGTERM, waits for the end, and returns the exit code and the output."""
        if self._ended is not None:
            return self._ended
        if self.process.poll() is None:
            self.process.terminate()
        try:
            code = self.process.wait(limit)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        self._ended = code, self.output()
        self._output.close()
        return self._ended


@contextmanager
def running(script: str | Sequence[str], url: str, python: str = sys.executable, **variables: str) -> Iterator[Running]:
    """Runs a program until the end of the block. A failure shows its output."""
    one = Running(script, url, python, **variables)
    try:
        yield one
    except BaseException as error:
        _, output = one.end(10)
        error.add_note(f"the output of the program:\n{output[-8000:]}")
        raise
    one.end()


def results(
    script: str,
    tasks: Sequence[tuple[str, Any] | tuple[str, Any, Mapping[str, Any]]],
    *,
    python: str = sys.executable,
    version: str | None = None,
    limit: float = LIMIT,
    **variables: str,
) -> tuple[list[dict[str, Any]], Wire, str]:
    """Runs a program with these tasks; returns their results, the orchestrator, and the program's output."""
    with wire(version) as one:
        ids = [
            one.give(task[0], task[1], task_id=f"t{n}", job_id=f"j{n}", **dict(task[2] if len(task) > 2 else {}))
            for n, task in enumerate(tasks)
        ]
        program = Running(script, one.url, python, **variables)
        try:
            return [one.result(task_id, limit) for task_id in ids], one, program.output()
        except AssertionError as error:
            error.add_note(program.output()[-8000:])
            raise
        finally:
            program.end(10)
