"""A worker's run on an event loop: from its start-up hooks to its shutdown hooks."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from itertools import count
from time import monotonic
from typing import TYPE_CHECKING, Any

from . import _native
from ._bridge import Run, Stopped, WorkerError
from ._logging import LOG
from ._route import Route
from ._signals import Signals
from ._threads import Threads

if TYPE_CHECKING:
    from .worker import Worker

__all__ = ["obey", "routes", "serve", "tell_ignored"]

# However long the rest of the end has taken, hooks may take this long, in seconds.
_SHORTEST_SHUTDOWN = 1.0


async def serve(worker: Worker, health_check: bool, install_signal_handlers: bool) -> Stopped:
    """Runs a worker until it was told to stop and everything has ended."""
    _check_free(worker)
    run = _make(worker)
    worker._run = run
    worker.config._borrow()
    try:
        beginning = _Beginning(worker, run)
        signals = Signals(run.loop, beginning.drain, run.native.cancel)
        with signals if install_signal_handlers else nullcontext():
            cause = await beginning.hooks()
            if cause is not None:
                return Stopped(cause, [], [], [])
            run.start(health_check)
            told = await _until_ended(run)
            left = worker.config.WORKER_SHUTDOWN_TIMEOUT - (monotonic() - told[1] if told[0] else 0.0)
            await _shut_down(worker, max(left, _SHORTEST_SHUTDOWN))
    finally:
        run.close()
        # Unless its loop was closed, and the worker begun anew.
        if worker._run is run:
            worker._hot = set(run.native.hot_cache())
            worker._run = None
            worker.config._give_back()
    if told[0]:
        # Whoever cancelled it is told that it was.
        raise asyncio.CancelledError
    return run.ended.result()


class _Beginning:
    """The start-up hooks, which a signal ends: no task was taken yet."""

    def __init__(self, worker: Worker, run: Run) -> None:
        self._worker = worker
        self._run = run
        self._task = asyncio.current_task()
        self._cause: str | None = None
        self._is_over = False

    def drain(self, cause: str) -> None:
        """What the first signal does."""
        self._cause = cause
        self._run.native.drain_because(cause)
        self._run.loop.call_soon_threadsafe(self._cancel)

    def _cancel(self) -> None:
        if not self._is_over and self._task is not None:
            self._task.cancel()

    async def hooks(self) -> str | None:
        """Runs all of them, where they are: what they set in their context is there for handlers. Gives the signal that
        came meanwhile."""
        try:
            for hook in self._worker._startup:
                if self._cause is None:
                    await _call(hook)
        except asyncio.CancelledError:
            # Others may have cancelled it, too.
            if self._cause is None or self._task is None or self._task.uncancel() > 0:
                raise
        finally:
            self._is_over = True
        if self._cause is not None:
            LOG.info("the worker ends before its start-up hooks have cause=%s", self._cause)
        return self._cause


async def _until_ended(run: Run) -> tuple[int, float]:
    """Waits for the end; how often it was cancelled meanwhile, and when first."""
    told, first = 0, 0.0
    while True:
        try:
            await asyncio.shield(run.ended)
            return told, first
        except asyncio.CancelledError:
            if run.ended.cancelled():
                raise
            told += 1
            if told == 1:
                first = monotonic()
                run.native.drain_because("cancelled")
            elif told == 2:
                run.native.cancel()
            else:
                raise


def routes(worker: Worker) -> list[Route]:
    """All tasks as they are run, in the order they were registered in."""
    return [Route(task.name, task.plan, worker._middleware) for task in worker._tasks.values()]


def _make(worker: Worker) -> Run:
    """The core's worker for it, of which nothing runs yet."""
    known = routes(worker)
    _prepare(known)
    if worker._startup:
        # Before hooks, which may take minutes.
        worker.config.validate()
    if worker._worker_type is not None and not isinstance(worker._worker_type, str):
        raise WorkerError(f"`worker_type` is `{worker._worker_type!r}`, expected text", 2)
    config = worker.config._native
    checker = worker._capacity_checker
    try:
        native = _native.Worker(
            config,
            [_spec(worker, route) for route in known],
            worker_type=worker._worker_type,
            max_concurrent_tasks=worker._max_concurrent_tasks,
            limits=worker._limits,
            skill_dependencies=worker._skill_dependencies,
            capacity_checker=None if checker is None else _Checker(checker),
            has_commands=bool(worker._commands),
            tells_ignored=bool(worker._ignored),
        )
    except ValueError as error:
        raise WorkerError(str(error), 2) from None
    for model in worker._hot:
        native.add_to_hot_cache(model)
    slots = worker._max_concurrent_tasks or worker.config.MAX_CONCURRENT_TASKS
    on_ignored = partial(tell_ignored, worker._ignored) if worker._ignored else None
    return Run(
        native, known, slots, partial(obey, worker._commands, count(1)) if worker._commands else None, on_ignored
    )


def _prepare(known: list[Route]) -> None:
    """An annotation that cannot be resolved even now is told before a task comes."""
    for route in known:
        try:
            route.plan.prepare()
        except TypeError as error:
            raise WorkerError(f"the task `{route.name}`: {error}", 2) from None


def _spec(worker: Worker, route: Route) -> dict[str, Any]:
    """What the core is told of a task."""
    from . import schemas

    said = worker._tasks[route.name].said
    _check(route.name, said)
    input_schema, output_schema, description, version = schemas.of(route.plan.func)
    if not said.get("infers"):
        # 1.0b30 holds tasks to them before a worker sees them, and puts away what does not fit: those who rely on the
        # worker's own answer, or on a model that coerces, have not asked for that.
        input_schema = output_schema = None

    def text(schema: Any, otherwise: bytes | None) -> str | None:
        if schema is not None:
            return json.dumps(schema)
        return None if otherwise is None else otherwise.decode()

    return {
        "name": route.name,
        "on_thread": not route.is_on_loop,
        "limit_group": said.get("task_type"),
        "time_limit": said.get("timeout"),
        "description": said.get("description") or description,
        "version": said.get("version") or version,
        "input_schema": text(said.get("input_schema"), input_schema),
        "output_schema": text(said.get("output_schema"), output_schema),
        "output_statuses": None if said.get("output_statuses") is None else list(said["output_statuses"]),
        "events": [(kind, json.dumps(schema)) for kind, schema in (said.get("events") or {}).items()],
    }


def _check(name: str, said: Mapping[str, Any]) -> None:
    """What is said of a task is of the types it is to be of. What the core does not take of it, it says itself."""

    def expect(field: str, kinds: type | tuple[type, ...], expected: str) -> None:
        value = said.get(field)
        if value is not None and (isinstance(value, bool) or not isinstance(value, kinds)):
            raise WorkerError(f"the task `{name}`: its `{field}` is `{value!r}`, expected {expected}", 2)

    for field in ("task_type", "description", "version"):
        expect(field, str, "text")
    expect("timeout", (int, float), "seconds above 0")
    for field in ("input_schema", "output_schema", "events"):
        expect(field, Mapping, "a dictionary")
    statuses = said.get("output_statuses")
    if statuses is not None and (isinstance(statuses, str) or not all(isinstance(one, str) for one in statuses)):
        raise WorkerError(f"the task `{name}`: its `output_statuses` are `{statuses!r}`, expected a list of texts", 2)
    for field in ("input_schema", "output_schema", "events"):
        try:
            json.dumps(said.get(field))
        except (TypeError, ValueError) as error:
            raise WorkerError(f"the task `{name}`: its `{field}` is not JSON: {error}", 2) from None


def _check_free(worker: Worker) -> None:
    run = worker._run
    if run is None:
        return
    if run.process != os.getpid():
        raise RuntimeError(
            f"this worker runs in process {run.process}, and this is process {os.getpid()}, forked from it: its threads "
            "stayed there; make a worker of this process's own, or start processes by `spawn`"
        )
    if run.loop.is_closed():
        # Nobody will ever resume what ran there.
        run.close()
        worker._run = None
        worker.config._give_back()
        return
    raise RuntimeError("this worker runs already")


class _Checker:
    """The user's check of capacity: what it raises counts as yes, and is said once for each task."""

    def __init__(self, check: Callable[[str], Any]) -> None:
        self._check = check
        self._said: set[str] = set()

    def __call__(self, name: str) -> bool:
        try:
            return bool(self._check(name))
        except Exception:
            if name not in self._said:
                self._said.add(name)
                LOG.warning(
                    "`capacity_checker` raised for the task `%s`; it counts as accepted, and this is not said again",
                    name,
                    exc_info=True,
                )
            return True


async def _shut_down(worker: Worker, limit: float) -> None:
    """All hooks, however those before them end."""

    async def all_of_them() -> None:
        for hook in reversed(worker._shutdown):
            try:
                await _call(hook)
            except Exception:
                LOG.exception("a shutdown hook raised")

    if not worker._shutdown:
        return
    try:
        await asyncio.wait_for(all_of_them(), limit)
    except TimeoutError:
        LOG.error("the shutdown hooks did not end in %.1f s, and are given up", limit)


async def obey(commands: Mapping[str, Callable[..., Any]], unknown: Iterator[int], command: _native.Command) -> None:
    """Does what was registered for a command."""
    func = commands.get(command.name)
    if func is None:
        number = next(unknown)
        # A person needs to see one, and then how many there are.
        if str(number).strip("0") == "1":
            LOG.warning("unknown command `%.100s`, ignored unknown=%d", _native.one_line(command.name), number)
        return
    told = {
        "command": command.name,
        "task_id": command.task_id,
        "job_id": command.job_id,
        "params": None if command.params is None else json.loads(command.params),
        "metadata": None if command.metadata is None else json.loads(command.metadata),
    }
    try:
        await _call(partial(func, told))
    except Exception:
        LOG.exception("the handler of the command `%s` raised", command.name)


async def tell_ignored(hooks: Sequence[Callable[..., Any]], task_id: str, job_id: str, reason: str) -> None:
    """Does what was registered for results that are of no use."""
    for hook in hooks:
        try:
            await _call(partial(hook, task_id, job_id, reason))
        except Exception:
            LOG.exception("the hook for ignored results raised")


async def _call(func: Callable[[], Any]) -> Any:
    """Calls something of the user's: on the loop if it is ``async``, else on a thread."""
    import inspect

    inner = func.func if isinstance(func, partial) else func
    if inspect.iscoroutinefunction(inner) or inspect.iscoroutinefunction(getattr(inner, "__call__", None)):  # noqa: B004
        return await func()
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Any] = loop.create_future()
    threads = Threads(1)

    def job() -> None:
        try:
            value, error = func(), None
        except BaseException as raised:
            value, error = None, raised
        if not loop.is_closed():
            loop.call_soon_threadsafe(_settle, future, value, error)

    threads.submit(job)
    threads.close()
    result = await future
    return await result if inspect.isawaitable(result) else result


def _settle(future: asyncio.Future[Any], value: Any, error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(value)
    else:
        future.set_exception(RuntimeError(repr(error)) if isinstance(error, StopIteration) else error)
