"""Runs a group of cases with one interpreter, and returns what each worker sent."""

from __future__ import annotations

import json
import pathlib
import re
import time
from collections.abc import Callable, Mapping, Sequence, Set
from contextlib import suppress
from typing import Any

from wire import Running, Wire, wire

from side_by_side.case import Case

HARNESS = (pathlib.Path(__file__).parent / "harness.py").read_text()

WAIT = 30.0
"""The time limit for the results of a group."""

SETTLE = 1.6
"""How long events and heartbeats are waited for that may still come, which is longer than between two heartbeats."""

VOLATILE = {"s3_config_hash", "timestamp", "nonce", "event_id", "signature", "execution_time_seconds"}
"""Members whose values differ from one run to the next. Only their types are compared."""

SETS = {"hot_cache", "hot_skills"}
"""Lists whose order has no meaning."""

MEASURED = frozenset({"cpu_load_percent", "ram_used_gb", "load_percent", "ram_gb"})
"""Members that are measured. Only their types are compared."""

Sent = dict[str, Any]
"""What one worker sent: for each kind of request its bodies."""


def observe(
    cases: Sequence[Case], version: str, python: str, folder: pathlib.Path, storage: Mapping[str, str]
) -> dict[str, Sent]:
    """Runs the cases with the variables of a storage, if there are any."""
    folder.mkdir(parents=True)
    file = folder / "cases.json"
    file.write_text(json.dumps([_described(case, version) for case in cases]))
    variables = {
        "CASES": str(file),
        "TASK_FILES_DIR": str(folder / "files"),
        "WORKER_BLOB_CACHE_DIR": str(folder / "cache"),
        "HEARTBEAT_INTERVAL": "1",
        "WORKER_ENABLE_WEBSOCKETS": "true",
        "LOG_LEVEL": "WARNING",
        **storage,
    }
    with wire(None if version == "1.0b4" else "1.0b17") as one:
        program = Running(HARNESS, one.url, python, **variables)
        try:
            _await_heartbeats(one, cases, program)
            _await_websockets(one, program)
            for case in cases:
                for command in case.commands:
                    one.command(case.id, command, WAIT)
                _give(one, case)
            _cancel(one, cases)
            output = _await_results(one, cases, version, program)
            failures = _failures(program)
        finally:
            program.process.kill()
            program.end()
    (folder / "output").write_text(output)
    return {case.id: _sent(one, case, failures.get(case.id), str(folder)) for case in cases}


def _described(case: Case, version: str) -> dict[str, Any]:
    module = f"program_{case.id.replace('-', '_')}"
    variables = {"WORKER_ID": case.id, **case.variables}
    return {"id": case.id, "module": module, "source": case.source(version), "variables": variables}


def _give(one: Wire, case: Case) -> None:
    for number, task in enumerate(case.tasks):
        members = dict(task[2]) if len(task) > 2 else {}
        ids = {"task_id": f"{case.id}-t{number}", "job_id": f"{case.id}-j{number}"}
        one.give(task[0], task[1], worker=case.id, **{**ids, **members})


def _cancel(one: Wire, cases: Sequence[Case]) -> None:
    for case in cases:
        if case.cancelled:
            task = f"{case.id}-t0"
            running = lambda task=task: any(task in (body.get("current_tasks") or ()) for body in one.heartbeats())
            with suppress(AssertionError):
                one.until(running, f"the start of {task}", WAIT)
                one.command(case.id, {"command": "cancel_task", "task_id": task, "job_id": f"{case.id}-j0"}, 1)


def _failures(program: Running) -> dict[str, list[str]]:
    """The cases whose programs have failed, and why."""
    lines = re.findall(r"^FAILED (\[.*\])$", program.output(), re.MULTILINE)
    return dict(json.loads(line) for line in lines)


def _await(one: Wire, missing: Callable[[], set[str]], program: Running) -> None:
    """Waits until nothing is missing, except from programs that have failed. What is missing in the end is a difference
    like any other."""
    with suppress(AssertionError):
        one.until(lambda: program.process.poll() is not None or missing() <= set(_failures(program)), limit=WAIT)


def _await_heartbeats(one: Wire, cases: Sequence[Case], program: Running) -> None:
    """Waits for the first heartbeats: whether they name a task does not depend on the time then."""
    expected = {case.id for case in cases}
    _await(one, lambda: expected - {body["worker_id"] for body in one.heartbeats() if isinstance(body, dict)}, program)


def _await_websockets(one: Wire, program: Running) -> None:
    """Waits until each worker that has sent a heartbeat has a websocket: without one, 1.0b4 drops progress. They are
    counted, since the address of 1.0b4 names no worker."""

    def open_everywhere() -> bool:
        workers = {body["worker_id"] for body in one.heartbeats() if isinstance(body, dict)}
        return program.process.poll() is not None or len(one.websockets()) >= len(workers)

    with suppress(AssertionError):
        one.until(open_everywhere, limit=WAIT)


def _await_results(one: Wire, cases: Sequence[Case], version: str, program: Running) -> str:
    expected = {f"{case.id}-t{n}" for case in cases for n, _ in enumerate(case.tasks) if version not in case.unanswered}

    def missing() -> set[str]:
        left = expected - {each.body["task_id"] for each in one.of("POST", "/result") if isinstance(each.body, dict)}
        return {task.rpartition("-t")[0] for task in left}

    def late() -> set[str]:
        last = {body["worker_id"]: body for body in one.heartbeats() if isinstance(body, dict)}
        return {case.id for case in cases if case.late and last.get(case.id, {}).get("current_tasks")}

    _await(one, missing, program)
    _await(one, late, program)
    time.sleep(SETTLE)
    return program.output()


def _sent(one: Wire, case: Case, failure: list[str] | None, folder: str) -> Sent:
    def mine(body: Any) -> bool:
        of_task = str(body.get("task_id")).rpartition("-t")[0] if isinstance(body, dict) else ""
        return isinstance(body, dict) and case.id in (body.get("worker_id"), of_task)

    measured = frozenset({"ram_gb"}) if case.measured else MEASURED
    volatile = {folder: "<folder>", one.url: "<url>"}

    def of(method: str, ending: str) -> list[Any]:
        return [normal(each.body, volatile, measured) for each in one.of(method, ending) if mine(each.body)]

    def calls() -> list[Any]:
        return [
            normal(each.body, volatile, measured)
            for each in one.of("POST", "/skills/call")
            if _header(each, "x-worker-id") == case.id
        ]

    tokens = [_header(each, "x-worker-token") for each in one.of("POST", "/register") if mine(each.body)]
    registrations, heartbeats = of("POST", "/register"), of("PATCH", f"/{case.id}")
    sent: Sent = {
        "failure": failure,
        "registration": (registrations or [None])[0],
        # On a busy machine, the first heartbeat may be sent before the usage is measured.
        "heartbeat": {**heartbeats[0], "usage": next(filter(None, (body.get("usage") for body in heartbeats)), None)}
        if heartbeats
        else None,
    }
    # 1.0b20 omits the status if it is the default.
    results = [{"status": "success", **body} for body in of("POST", "/result")]
    sent["results"] = {body["task_id"].rpartition("-")[2]: body for body in results}
    sent["events"] = [*of("POST", "/events"), *of("WS", "")]
    sent["calls"] = calls()
    sent["token"] = (tokens or [None])[0]
    if case.statuses:
        sent["statuses"] = _changes([_accepting(body) for body in heartbeats])
    if case.late:
        sent["last registration"] = (registrations or [None])[-1]
        # The usage is sent when it has changed.
        sent["last heartbeat"] = {**(heartbeats or [{}])[-1], "usage": None}
    return sent


def _accepting(heartbeat: Mapping[str, Any]) -> list[Any]:
    accepted = heartbeat.get("available_skills", heartbeat.get("supported_tasks"))
    return [heartbeat["status"], len(heartbeat.get("current_tasks") or ()) > 0, accepted or []]


def _changes(values: Sequence[Any]) -> list[Any]:
    """The values without those that repeat the one before."""
    return [value for number, value in enumerate(values) if number == 0 or values[number - 1] != value]


def _header(request: Any, name: str) -> str:
    return {key.lower(): value for key, value in request.headers.items()}.get(name, "")


def normal(value: Any, volatile: Mapping[str, str], measured: Set[str], name: str = "") -> Any:
    """The value without what differs from one run to the next."""
    if isinstance(value, dict):
        return {key: normal(one, volatile, measured, key) for key, one in value.items()}
    if isinstance(value, list):
        values = [normal(one, volatile, measured) for one in value]
        return sorted(values) if name in SETS else values
    if value is not None and (name in VOLATILE or name in measured):
        return f"<{'number' if isinstance(value, int | float) else 'text'}>"
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str):
        for text, mark in volatile.items():
            value = value.replace(text, mark)
        return re.sub(r"0x[0-9a-f]+", "0x…", value)
    return value
