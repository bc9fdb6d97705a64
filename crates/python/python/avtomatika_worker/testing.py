"""Tools for testing a worker: without a server, or with an orchestrator inside the test process.

::

    from avtomatika_worker.testing import TestWorker

    def test_resize():
        run = TestWorker(worker).run("resize_image", {"width": 640})
        assert run.status == "success"
        assert run.data == {"width": 640}

Parameters, schemas, arguments, middleware and results are processed as in production. Only the orchestrator and the storage are
missing: the result has the progress and the events that would have been sent, and ``s3://`` addresses are passed on
unchanged.

For pytest there is the fixture ``dev_orchestrator``, an orchestrator for one test::

    def test_all_of_it(dev_orchestrator):
        with dev_orchestrator.running(worker):
            assert dev_orchestrator.run("resize_image", {"width": 640})["data"] == {"width": 640}

The fixture ``local_s3`` is an S3 storage for one test: call ``local_s3.configure(worker)`` before the worker runs.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any

from . import _limits, _native
from ._execution import Ended, Execution, execution
from ._first_step import plainly
from ._folder import Folder
from ._logging import LOG
from ._serving import routes, spec
from ._threads import Threads
from .outcome import to_json

if TYPE_CHECKING:
    from ._limits import Limit
    from ._route import Route
    from .worker import Worker

__all__ = ["DevOrchestrator", "LocalS3", "TestRun", "TestWorker"]


class TestRun:
    """The outcome of a task. What an outcome does not have is ``None``; for type checkers it may be anything, since a test
    knows what it expects."""

    __test__ = False

    def __init__(self, ended: Ended, stub: _StubTask) -> None:
        status, data, error, further = ended
        self.status: str = status
        """The status: ``success``, ``failure``, ``cancelled``, or one of the handler's own."""
        self.data: dict[str, Any] | Any = None if data is None else json.loads(data)
        """The data, as the orchestrator would have received it."""
        metadata, costs = further or (None, None)
        self.metadata: dict[str, Any] | Any = json.loads(metadata or b"null") or None
        """The metadata of the result."""
        self.costs: dict[str, Any] | Any = json.loads(costs or b"null") or None
        """The costs that the handler returned; in production the run time is one of them."""
        self.error_code: str | Any = None if error is None else error[0]
        self.error_message: str | Any = None if error is None else error[1]
        self.error_details: dict[str, Any] | Any = None
        if error is not None and error[2] is not None:
            self.error_details = json.loads(error[2])
        self.progress: list[tuple[float, str]] = stub.progress
        """All progress that the handler sent. In production, an orchestrator gets at most 10 messages per second, and the
        last one."""
        self.events: list[tuple[str, Any]] = stub.events
        """The types and payloads of the events that the handler sent."""
        self.files: dict[str, bytes] = stub.folder.content()
        """The content of the files in the task's directory at the end, by name."""

    def __repr__(self) -> str:
        if self.error_code is not None:
            return f"<TestRun {self.status}: {self.error_code}: {self.error_message}>"
        return f"<TestRun {self.status}: {self.data}>"


class TestWorker:
    """Runs tasks of a worker, one at a time, without an orchestrator. Start-up hooks are not called.

    The hot cache is kept from task to task; everything else is new for each task.
    """

    __test__ = False

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._hot: set[str] = set(worker.get_hot_cache())
        self._numbers = itertools.count(1)

    @property
    def hot_cache(self) -> set[str]:
        """The models that are reported as loaded."""
        return set(self._hot)

    def run(self, name: str, params: Mapping[str, Any] | None = None, **task: Any) -> TestRun:
        """Runs a task with these parameters on a new event loop.

        ``task`` may set ``task_id``, ``job_id``, ``priority``, ``tracing_context``, ``deadline``, ``metadata`` and
        ``security``, as well as ``cancelled_after``: the number of seconds after which the task is cancelled. The time
        limit of the task and its deadline end it as in production. Raises ``KeyError`` when the worker has no such task.
        """
        if asyncio._get_running_loop() is not None:
            raise RuntimeError("an event loop already runs in this thread: use `await tester.run_async(…)`")
        return asyncio.run(self.run_async(name, params, **task))

    async def run_async(
        self,
        name: str,
        params: Mapping[str, Any] | None = None,
        *,
        cancelled_after: float | None = None,
        **task: Any,
    ) -> TestRun:
        """Runs a task like ``run``, on the current event loop."""
        registered = self._worker._registered()
        known = {route.name: route for route in routes(registered)}
        if name not in known:
            raise KeyError(f"there is no task `{name}`; the worker has: {', '.join(sorted(known)) or 'no tasks'}")
        route = known[name]
        route.plan.prepare()
        raw = json.dumps({} if params is None else params).encode()
        stub = _StubTask(name, next(self._numbers), self._hot, task)
        timeout = registered.tasks[name].options.get("timeout")
        if timeout is None:
            timeout = registered.config.WORKER_TASK_TIMEOUT
        limit = _limits.first(timeout, stub.deadline, cancelled_after)
        schemas = _native.EnforcedSchemas(spec(registered.tasks[name], route, registered.limits))
        try:
            return TestRun(await _checked(route, stub, raw, limit, schemas), stub)
        finally:
            stub.folder.remove()


async def _checked(
    route: Route, stub: _StubTask, raw: bytes, limit: Limit | None, schemas: _native.EnforcedSchemas
) -> Ended:
    """Runs a task between the checks of its schemas."""
    if limit is not None and limit.seconds <= 0:
        return limit.outcome
    refused = schemas.check_params(raw)
    if refused is not None:
        return "failure", None, refused, None
    ended = await _ended(route, stub, raw, limit)
    refused = schemas.check_outcome((None, *ended))
    return ended if refused is None else ("failure", ended[1], refused, ended[3])


async def _ended(route: Route, stub: _StubTask, raw: bytes, limit: Limit | None) -> Ended:
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Ended] = loop.create_future()
    threads = Threads(1)
    due = float("inf") if limit is None else loop.time() + limit.seconds

    def finish(_: Execution, ended: Ended) -> None:
        # Called on the loop or on a thread. A handler that has blocked the loop may have ended before it was told to.
        try:
            loop.call_soon_threadsafe(settle, ended if limit is None or loop.time() < due else limit.outcome)
        except RuntimeError:
            # The loop was closed: nothing waits for the outcome.
            return

    def settle(ended: Ended) -> None:
        if not future.done():
            future.set_result(ended)

    def stop(outcome: Ended) -> None:
        stub.is_cancelled = True
        running.cancel()
        timers.append(loop.call_later(_limits.GRACE, settle, outcome))

    running = execution(route, stub, 0, raw, finish)  # type: ignore[arg-type]
    running.start(threads, loop, plainly(loop))
    timers = [] if limit is None else [loop.call_later(limit.seconds, stop, limit.outcome)]
    try:
        return await future
    finally:
        threads.close()
        for timer in timers:
            timer.cancel()


class _StubTask:
    """Stands in for a task of the core: has its properties, and keeps the messages that it is given to send."""

    def __init__(self, name: str, number: int, hot: set[str], task: Mapping[str, Any]) -> None:
        known = ("task_id", "job_id", "priority", "tracing_context", "deadline", "metadata", "security")
        unknown = ", ".join(f"`{key}`" for key in task if key not in known)
        if unknown:
            raise TypeError(f"a task has no {unknown}, expected one of: {', '.join(known)}, cancelled_after")
        self.name = name
        self.task_id: str = task.get("task_id", f"task-{number}")
        self.job_id: str = task.get("job_id", f"job-{number}")
        self.priority: float = task.get("priority", 0)
        self.tracing_context: dict[str, str] = dict(task.get("tracing_context") or {})
        self.deadline: float | None = task.get("deadline")
        self._metadata: Mapping[str, Any] | None = task.get("metadata")
        self._security: Mapping[str, Any] | None = task.get("security")
        self.is_cancelled = False
        self.progress: list[tuple[float, str]] = []
        self.events: list[tuple[str, Any]] = []
        self.folder = Folder(self.task_id)
        self._hot = hot

    def offer(self, values: Sequence[str], calls: object, names: Sequence[str]) -> dict[str, Any]:
        known = self._values()
        return {**{name: known[name] for name in values}, **{name: getattr(calls, name) for name in names}}

    def _values(self) -> dict[str, Any]:
        return {
            "task_id": self.task_id,
            "job_id": self.job_id,
            "task_name": self.name,
            "priority": self.priority,
            "tracing_context": self.tracing_context,
            "deadline": self.deadline,
            "metadata": None if self._metadata is None else to_json(self._metadata),
            "security": None if self._security is None else to_json(self._security),
        }

    def send_progress(self, progress: float, message: str) -> None:
        self.progress.append((min(max(progress, 0.0), 1.0), message))

    def send_event(self, event_type: str, payload: bytes, *_: Any) -> bool:
        self.events.append((event_type, json.loads(payload)))
        return True

    def call_skill(self, name: str, params: bytes) -> _StubSkillCall:
        return _StubSkillCall(name, params)

    def add_to_hot_cache(self, model: str) -> None:
        self._hot.add(model)

    def remove_from_hot_cache(self, model: str) -> None:
        self._hot.discard(model)

    def files(self) -> Folder:
        return self.folder


class _StubSkillCall:
    """Answers the call of a skill as the existing SDK does in tests."""

    def __init__(self, name: str, params: bytes) -> None:
        self._answer = {"status": "success", "data": {"mocked": True, "skill": name, "params": json.loads(params)}}

    def wait(self) -> bytes:
        return json.dumps(self._answer).encode()

    def cancel(self) -> None:
        pass


class DevOrchestrator:
    """An orchestrator inside the process, for tests and development. Its state is lost when it ends.

    ``settings`` may set ``token``, ``poll_hold``, ``worker_ttl``, ``max_retries``, ``retry_delay`` and ``task_timeout``;
    times are in seconds.
    """

    def __init__(self, address: str = "127.0.0.1:0", **settings: Any) -> None:
        self._native = _native.DevOrchestrator(address, **settings)
        # By default, the orchestrator accepts any token.
        self._token: str = settings.get("token") or "development"

    @property
    def url(self) -> str:
        """The address for workers and browsers."""
        return self._native.url

    def submit(
        self,
        name: str,
        params: Mapping[str, Any] | None = None,
        *,
        priority: float | None = None,
        timeout: float | None = None,
    ) -> str:
        """Submits a task, and returns the id of its job. ``timeout`` is its time limit in seconds."""
        raw = json.dumps({} if params is None else params, allow_nan=False).encode()
        return self._native.submit(name, raw, priority=priority, timeout=timeout)

    def wait(self, job_id: str, seconds: float = 30.0) -> dict[str, Any]:
        """Waits until a task has ended, and returns its state. Raises ``TimeoutError`` after ``seconds``."""
        return json.loads(self._native.wait(job_id, seconds))  # type: ignore[no-any-return]

    def run(self, name: str, params: Mapping[str, Any] | None = None, *, seconds: float = 30.0) -> dict[str, Any]:
        """Submits a task, waits until it has ended, and returns its state."""
        return self.wait(self.submit(name, params), seconds)

    def task(self, job_id: str) -> dict[str, Any] | None:
        """Returns the current state of a task, or None if there is no such task."""
        view = self._native.task(job_id)
        return None if view is None else json.loads(view)

    def cancel(self, job_id: str) -> None:
        """Cancels a waiting task; asks the worker to stop a running one."""
        self._native.cancel(job_id)

    def workers(self) -> list[dict[str, Any]]:
        """Returns the workers that are registered and not silent."""
        return json.loads(self._native.workers())  # type: ignore[no-any-return]

    @contextmanager
    def running(self, worker: Worker, seconds: float = 30.0) -> Iterator[Worker]:
        """Runs a worker with this orchestrator until the end of the ``with`` block, on a thread of its own. ``seconds``
        limits the time for the worker to register, and the time for it to end."""
        config = worker.config
        before = config.ORCHESTRATORS_CONFIG
        config.ORCHESTRATORS_CONFIG = [{"url": self.url, "token": self._token}]
        thread = _Running(worker)
        thread.start()
        try:
            thread.wait_for(lambda: any(shown["worker_id"] == config.WORKER_ID for shown in self.workers()), seconds)
            yield worker
        finally:
            thread.end(seconds)
            config.ORCHESTRATORS_CONFIG = before

    def shutdown(self) -> None:
        """Stops the orchestrator. Does nothing the second time."""
        self._native.shutdown()

    def __enter__(self) -> DevOrchestrator:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.shutdown()


class LocalS3:
    """An S3 storage inside the process, for tests and development. Its state is lost when it ends.

    It has the bucket that results are uploaded to by default, and the ``buckets``.
    """

    def __init__(self, *buckets: str) -> None:
        self._native = _native.LocalS3(list(buckets))

    @property
    def variables(self) -> dict[str, str]:
        """The environment variables for a worker that uses this storage."""
        return dict(self._native.variables)

    def configure(self, worker: Worker) -> None:
        """Sets the worker's options to use this storage."""
        for name, value in self._native.variables:
            setattr(worker.config, name, value)

    def create_bucket(self, name: str) -> None:
        """Creates a bucket."""
        self._native.create_bucket(name)

    def put(self, uri: str, content: bytes) -> None:
        """Stores an object at ``s3://bucket/key``."""
        self._native.put(*_located(uri), content)

    def get(self, uri: str) -> bytes:
        """Returns the content of an object. Raises ``FileNotFoundError``."""
        return self._native.get(*_located(uri))

    def keys(self, uri: str) -> list[str]:
        """Returns the addresses of all objects that begin with ``uri``, in order."""
        bucket, prefix = _located(uri)
        return [f"s3://{bucket}/{key}" for key in self._native.keys(bucket, prefix)]

    def shutdown(self) -> None:
        """Stops the storage. Does nothing the second time."""
        self._native.shutdown()

    def __enter__(self) -> LocalS3:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.shutdown()


def _located(uri: str) -> tuple[str, str]:
    scheme, _, rest = uri.partition("://")
    bucket, _, key = rest.partition("/")
    if scheme != "s3" or not bucket:
        raise ValueError(f"the address is `{uri}`, expected `s3://bucket/key`")
    return bucket, key


class _Running(threading.Thread):
    """A thread that runs a worker."""

    def __init__(self, worker: Worker) -> None:
        super().__init__(name="avtomatika-test-worker", daemon=True)
        self._worker = worker
        self._error: BaseException | None = None

    def run(self) -> None:
        try:
            asyncio.run(self._worker.main())
        except BaseException as error:
            self._error = error

    def wait_for(self, is_there: Callable[[], bool], seconds: float) -> None:
        pause = threading.Event()
        for _ in range(int(seconds / 0.01) + 1):
            if not self.is_alive() or is_there():
                break
            pause.wait(0.01)
        else:
            raise TimeoutError(f"the worker has not registered in {seconds} s")
        if self._error is not None:
            raise self._error

    def end(self, seconds: float) -> None:
        self._worker.drain()
        self.join(seconds)
        if self.is_alive():
            raise TimeoutError(f"the worker has not ended in {seconds} s")
        if self._error is not None:
            LOG.error("the worker of a test failed", exc_info=self._error)
