"""The tables of `docs/migrating.md`, and the mark for the tests of their rows."""

from __future__ import annotations

import pathlib
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from avtomatika_worker import Worker
from avtomatika_worker.testing import TestRun, TestWorker
from support import Beside, beside, config
from wire import Wire, wire

TEXT = (pathlib.Path(__file__).parents[3] / "docs" / "migrating.md").read_text()

AREAS = {
    "config": ("Requirements", "Configuration"),
    "files": ("Files and S3",),
    "handlers": ("Handlers and parameters", "Middleware"),
    "results": ("Results", "Progress, events and calls"),
    "running": ("Running",),
    "skills": ("Skills and blueprints",),
}
"""The sections whose rows are tested in `test_migrating_….py`."""

_Test = TypeVar("_Test", bound=Callable[..., Any])


def table(section: str) -> list[list[str]]:
    """The cells of the rows of a section's table."""
    text = re.split(r"\n##+ ", TEXT.partition(f"# {section}\n")[2])[0]
    rows = [[cell.strip() for cell in line[2:-2].split(" | ")] for line in text.splitlines() if line.startswith("| ")]
    return rows[1:]


class Area:
    """The rows whose tests are in one file."""

    def __init__(self, name: str) -> None:
        self._cells = [cells[0] for section in AREAS[name] for cells in table(section)]
        self._tested: list[str] = []

    def row(self, words: str) -> Callable[[_Test], _Test]:
        """Marks a test of the row whose first cell begins with these words."""

        def mark(test: _Test) -> _Test:
            self._tested.append(words)
            return test

        return mark

    def check(self) -> None:
        """Fails if a row has no test, or if a test names no row."""
        assert self._cells
        assert [cell for cell in self._cells if not any(cell.startswith(words) for words in self._tested)] == []
        assert [words for words in self._tested if sum(cell.startswith(words) for cell in self._cells) != 1] == []


def run(handler: Callable[..., Any], params: Any = None, middleware: Any = (), **task: Any) -> TestRun:
    """Runs one task of this handler without an orchestrator."""
    worker = Worker()
    worker.task("work")(handler)
    for one in middleware:
        worker.add_middleware(one)
    return TestWorker(worker).run("work", {} if params is None else params, **task)


def of_data(data: Any) -> TestRun:
    """Runs a handler that returns this."""

    async def handler(params: Any, **kwargs: Any) -> Any:
        return data

    return run(handler)


@contextmanager
def connected(worker: Worker, version: str | None = "1.0b17", **attributes: Any) -> Iterator[tuple[Wire, Beside]]:
    """Runs a worker beside the test, with a scripted orchestrator, and waits until it has registered."""
    with wire(version) as one:
        quick: Mapping[str, Any] = vars(config(one.url))
        for name in ("HEARTBEAT_INTERVAL", "ORCHESTRATORS", "WORKER_HEARTBEAT_DEBOUNCE_DELAY", "WORKER_TOKEN"):
            setattr(worker.config, name, quick[name])
        for name, value in attributes.items():
            setattr(worker.config, name, value)
        with beside(worker) as other:
            one.registered()
            try:
                yield one, other
            finally:
                # The shutdown would wait for polls that are open.
                worker.drain()
                one.release()
