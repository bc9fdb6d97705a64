"""`avtomatika drill` on workers in Python: one of this package, and one of the existing package."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
from collections.abc import Iterable
from textwrap import dedent
from typing import Any

import pytest
from peers import existing

ROOT = pathlib.Path(__file__).parents[3]

WORKER = ROOT / "crates/python/examples/conformance_worker.py"

FILE = "s3://avtomatika-payloads/drill/sample.txt"

# The longest drill takes less than three minutes.
pytestmark = pytest.mark.timeout(240)


def program() -> str:
    """The command line. Skips the test if it is not built."""
    peers = os.environ.get("PEERS")
    target = pathlib.Path(peers).parent if peers else ROOT / "target"
    found = target / "debug" / "avtomatika"
    if not found.exists():
        missing = f"`{found}` is not built; run `cargo build --bin avtomatika`"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    return str(found)


class Drill:
    """A drill that has ended."""

    def __init__(self, python: str, *options: str, script: pathlib.Path = WORKER) -> None:
        environment = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
        command = [program(), "drill", "--json", *options, "--", python, str(script)]
        ended = subprocess.run(command, env=environment, capture_output=True, text=True)
        self.code, self.stdout, self.stderr = ended.returncode, ended.stdout, ended.stderr

    @property
    def report(self) -> dict[str, Any]:
        assert self.stdout, self.stderr
        return json.loads(self.stdout)

    def promises(self, verdict: str) -> dict[str, str]:
        """The promises with this verdict, with their reasons."""
        promises = self.report["promises"]
        return {one["name"]: one["reason"] for one in promises if one["verdict"] == verdict}


def only(names: Iterable[str]) -> list[str]:
    return [word for name in names for word in ("--only", name)]


def test_a_worker_of_this_package_keeps_every_promise():
    params = json.dumps({"input": FILE, "sleep": 0.6})
    drill = Drill(sys.executable, "--task", "read_input", "--params", params)
    assert drill.promises("broken") == {}, drill.stderr
    # A small disk cannot be mounted everywhere.
    assert set(drill.promises("skipped")) <= {"full_disk"}
    assert drill.code == 0


# What goes wrong in the existing package, by the promise that shows it. Whether it sends a thousand requests per second
# while they fail depends on chance: it does if its polls fail while a task runs.
BROKEN = {
    "deploy": "SIGTERM ended it at once",
    "forget": "it did not register again",
    "error_5xx": "got no result",
    "unauthorized": "got no result",
    "expired_token": "got no result",
    "too_many": "got no result",
    "garbage": "",
}
BY_CHANCE = {"refuse", "cut"}


def test_the_existing_package_breaks_the_promises_that_it_is_known_to_break():
    # Long enough for a result to be on its way in every fault.
    drill = Drill(existing("1.0b4"), "--task", "sleep", "--params", '{"seconds": 0.2}')
    broken = drill.promises("broken")
    assert set(broken) - BY_CHANCE == set(BROKEN), broken
    for name, reason in BROKEN.items():
        assert reason in broken[name], broken
    assert drill.code == 1
    assert drill.report["passed"] is False
    assert drill.report["seconds"] < 180


def test_a_cancellation_never_reaches_the_existing_package():
    params = json.dumps({"seconds": 3.5})
    drill = Drill(existing("1.0b4"), "--task", "sleep", "--params", params, *only(["cancel"]))
    assert "the task ran to its end" in drill.promises("broken")["cancel"]
    assert drill.code == 1


def test_the_storage_of_the_existing_package_never_works():
    params = json.dumps({"input": FILE})
    drill = Drill(existing("1.0b4"), "--task", "read_input", "--params", params, *only(["storage_slow"]))
    assert drill.code == 1
    assert drill.stdout == ""
    assert "the task `read_input` cannot be used: TRANSIENT_ERROR" in drill.stderr


TYPED = """
from pydantic import BaseModel, Field

from avtomatika_worker import Worker

worker = Worker()


class Size(BaseModel):
    width: int = Field(ge=16, multiple_of=10)
    mode: str = Field(default="fast", min_length=3)
    unit: str = Field(examples=["px"])


@worker.skill("resize")
async def resize(params: Size):
    if params.unit != "px":
        raise ValueError("the example was not taken")
    return {"data": {"width": params.width}}


worker.run()
"""


def test_parameters_are_made_and_checked_with_the_schema(tmp_path):
    script = tmp_path / "typed.py"
    script.write_text(dedent(TYPED))
    drill = Drill(sys.executable, *only(["stopped"]), script=script)
    assert list(drill.promises("held")) == ["stopped"], drill.stderr
    assert drill.report["task"] == "resize"
    wrong = Drill(sys.executable, "--task", "resize", "--params", '{"width": 12}', script=script)
    assert (wrong.code, wrong.stdout) == (2, "")
    assert "`--params` do not fit `resize`: `unit` is missing; `width` is `12`, expected at least 16" in wrong.stderr
