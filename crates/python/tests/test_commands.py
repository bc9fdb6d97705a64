"""Commands for hooks of the user, pushed over the websocket by a minimal server."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import logging
import threading
from typing import Any

from avtomatika_worker import Worker
from support import LIMIT, beside, config, until


class Server:
    """A server on a thread of its own that registers every worker, has no tasks, and pushes commands."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.url = ""
        self._sockets: list[asyncio.StreamWriter] = []
        ready = threading.Event()

        async def serve() -> None:
            server = await asyncio.start_server(self._connection, "127.0.0.1", 0)
            self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            ready.set()
            self._stop = asyncio.Event()
            await self._stop.wait()
            server.close()
            for writer in self._sockets:
                writer.close()

        self._thread = threading.Thread(target=lambda: self.loop.run_until_complete(serve()))
        self._thread.start()
        assert ready.wait(LIMIT)

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(LIMIT)
        for task in asyncio.all_tasks(self.loop):
            task.cancel()
        self.loop.run_until_complete(asyncio.sleep(0.05))
        self.loop.close()

    def push(self, command: dict[str, Any]) -> None:
        until(lambda: self._sockets)
        text = json.dumps(command).encode()
        length = bytes([len(text)]) if len(text) < 126 else b"\x7e" + len(text).to_bytes(2, "big")
        self.loop.call_soon_threadsafe(self._sockets[-1].write, b"\x81" + length + text)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                fields = dict(
                    line.lower().split(": ", 1) if ": " in line else (line, "")
                    for line in head.decode().split("\r\n")[1:]
                )
                original = {
                    line.split(": ", 1)[0].lower(): line.split(": ", 1)[1]
                    for line in head.decode().split("\r\n")[1:]
                    if ": " in line
                }
                await reader.readexactly(int(fields.get("content-length", 0)))
                if "sec-websocket-key" in fields:
                    salted = original["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
                    accept = base64.b64encode(hashlib.sha1(salted.encode()).digest())
                    writer.write(
                        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                        b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
                    )
                    self._sockets.append(writer)
                    await reader.read()
                    return
                if b"/tasks/next" in head:
                    await asyncio.sleep(0.5)
                    writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
                    continue
                body = json.dumps({"status": "ok", "version": "1.0b17"}).encode()
                writer.write(
                    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
                    % (len(body), body)
                )
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()


def test_commands_are_obeyed_one_after_the_other_by_their_name(caplog):
    server = Server()
    try:
        worker = Worker(config=config(server.url, WORKER_ENABLE_WEBSOCKETS=True))
        diary: list[Any] = []

        @worker.task("t")
        async def t(params):
            return None

        @worker.on_command("reload")
        async def reload(command: dict):
            diary.append("begins")
            await asyncio.sleep(0.2)
            diary.append(command)

        @worker.on_command("blocks")
        def blocks(command: dict):
            diary.append(threading.current_thread() is not threading.main_thread())

        @worker.on_command("raises")
        async def raises(command: dict):
            raise LookupError("no such model")

        with beside(worker):
            server.push({"command": "reload", "params": {"model": "a"}, "job_id": "j-1"})
            for _ in range(10):
                server.push({"command": "nobody knows it"})
            server.push({"command": "raises"})
            server.push({"command": "blocks"})
            until(lambda: len(diary) == 3)
    finally:
        server.close()
    fields = {"command": "reload", "task_id": None, "job_id": "j-1", "params": {"model": "a"}, "metadata": None}
    assert diary == ["begins", fields, True]
    said = [record.getMessage() for record in caplog.records]
    unknown = [record for record in caplog.records if "unknown command `nobody knows it`" in record.getMessage()]
    assert [record.levelname for record in unknown if record.levelno >= logging.WARNING] == ["WARNING"] * 2
    assert unknown[-1].getMessage().endswith("unknown=10")
    assert any("the handler of the command `raises` raised" in line for line in said)
