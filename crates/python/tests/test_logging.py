"""The core's log lines, as Python's ``logging`` receives them."""

from __future__ import annotations

import logging

from avtomatika_worker import TransientError, Worker, _native
from support import beside, config, orchestrator, until

FORGED = "a\n2026-01-01T00:00:00Z ERROR forged\x1b[2J"


def test_a_line_of_the_core_is_one_line_without_secrets(caplog):
    caplog.set_level(logging.DEBUG, "avtomatika_worker")
    with orchestrator() as dev:
        secret = {"ORCHESTRATOR_SECRET_KEY": "key-secret-1", "REQUIRE_TASK_SIGNATURE": False}
        worker = Worker(config=config(dev.url, **secret))

        @worker.task("fails")
        async def fails(params):
            raise TransientError(params["message"])

        with beside(worker):
            error = dev.error("fails", {"message": f"key-secret-1 {FORGED}"})
            until(lambda: any("task ended" in record.getMessage() for record in caplog.records))
    assert error["message"] == f"*** {FORGED}"
    lines = [record.getMessage() for record in caplog.records]
    assert any(r"task ended: *** a\n2026-01-01T00:00:00Z ERROR forged\u{1b}[2J" in line for line in lines), lines
    assert not any("\n" in line or "\x1b" in line or "key-secret-1" in line for line in lines), lines
    members = [str(value) for record in caplog.records for value in record.__dict__.values()]
    assert not any("key-secret-1" in member for member in members)


def test_a_text_for_a_log_is_one_line():
    assert _native.one_line("plain ü") == "plain ü"
    assert _native.one_line("a\tb\r\n") == r"a\tb\r\n"
