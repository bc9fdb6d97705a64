"""The log that ``run`` sets up if the program has not."""

from __future__ import annotations

import datetime
import json
import re
import signal
from typing import Any

from support import Program, orchestrator, until

PROGRAM = """
    import asyncio, logging, sys
    from avtomatika_worker import Worker

    log, library = logging.getLogger("mine"), logging.getLogger("a.library")
    worker = Worker()

    @worker.task("work")
    async def work(params):
        log.info("info of mine")
        library.warning("warning of a library")
        logging.getLogger("avtomatika_worker.addition").info("info of an addition", extra={"count": 3})
        return {"data": {}}

    @worker.task("raises")
    async def raises(params):
        raise RuntimeError("as planned")
"""

RUN = """
    worker.run()
    log.info("after the run")
    assert logging.root.level == logging.WARNING and not logging.root.handlers
"""


def output(script: str, code: int = 0, **variables: str) -> str:
    with orchestrator() as dev:
        program = Program(PROGRAM + script, dev.url, **{"LOG_LEVEL": "", **variables})
        until(lambda: dev.workers() or program.process.poll() is not None)
        if program.process.poll() is None:
            dev.data("work")
            dev.error("raises")
            program.signal(signal.SIGTERM)
        ended, written = program.end()
    assert ended == code, written
    return written


def test_the_worker_writes_its_informational_lines_by_default():
    log = output(RUN)
    assert re.search(r"^[\d-]+ [\d:,]+ INFO task ended task=work outcome=success .*task_id=", log, re.MULTILINE), log
    assert " WARNING warning of a library" in log and " INFO info of an addition" in log, log
    # These are as without a worker.
    assert "info of mine" not in log and "after the run" not in log, log


def test_a_level_that_is_set_counts_for_the_whole_program():
    log = output(RUN, LOG_LEVEL="INFO")
    assert " INFO info of mine" in log and " INFO task ended" in log and "after the run" not in log, log
    log = output(RUN, LOG_LEVEL="WARNING")
    assert "info of mine" not in log and "INFO" not in log and " WARNING warning of a library" in log, log


def test_a_program_that_sets_up_its_log_gets_every_line_once():
    early = 'logging.basicConfig(level=logging.INFO, format="mine: %(message)s")\n'
    late = f"""
    @worker.on_startup
    def begins():
        {early}
    worker.run()
    """
    for script in (f"\n    {early}    worker.run()\n", late):
        for variables in ({}, {"LOG_LEVEL": "info", "LOG_FORMAT": "json"}):
            log = output(script, **variables)
            assert log.count("info of mine") == 1 and log.count("task ended task=work") == 1, log
            assert "mine: task ended task=work" in log and "mine: info of mine" in log, log


def by_message(log: str) -> dict[str, dict[str, Any]]:
    return {line["message"]: line for line in map(json.loads, log.splitlines())}


def test_what_the_program_adds_to_its_records_is_in_the_line():
    add = """
    usual = logging.getLogRecordFactory()

    def factory(*arguments, **more):
        record = usual(*arguments, **more)
        record.region = "eu"
        return record

    logging.setLogRecordFactory(factory)
    worker.run()
    """
    line = by_message(output(add, LOG_FORMAT="json"))["warning of a library"]
    assert list(line) == ["timestamp", "level", "message", "region", "target"] and line["region"] == "eu"


def test_json_has_the_shape_of_the_core():
    lines = by_message(output(RUN, LOG_FORMAT="json", LOG_LEVEL="info"))
    ended = lines["task ended"]
    assert list(ended) == ["timestamp", "level", "message", "task", "outcome", "seconds", "target", "spans"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", ended["timestamp"])
    written = datetime.datetime.fromisoformat(ended["timestamp"])
    assert abs(datetime.datetime.now(datetime.UTC) - written) < datetime.timedelta(minutes=5)
    assert (ended["level"], ended["target"]) == ("INFO", "avtomatika_worker::execution")
    (span,) = ended["spans"]
    assert sorted(span) == ["job_id", "name", "orchestrator", "task_id"] and span["name"] == "task"
    assert lines["the worker has stopped"]["clean"] is True
    assert type(next(line["running"] for line in lines.values() if "running" in line)) is int
    # Lines of the Python half, and of others.
    raised = lines["the handler raised"]
    assert (raised["level"], raised["task"], raised["spans"][0]["name"]) == ("ERROR", "raises", "task")
    assert raised["spans"][0]["task_id"] != span["task_id"] and "as planned" in raised["traceback"]
    assert "task_id" not in raised and "task_id" not in ended
    library = lines["warning of a library"]
    assert (library["level"], library["target"]) == ("WARN", "a.library")
    assert lines["info of an addition"]["count"] == 3
