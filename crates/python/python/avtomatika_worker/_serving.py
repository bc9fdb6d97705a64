"""A worker's run on an event loop: from its start-up hooks to its shutdown hooks."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import count
from time import monotonic
from typing import TYPE_CHECKING, Any

from . import _native
from ._bridge import Run, Stopped, WorkerError
from ._context import Tools
from ._hooks import call, shut_down
from ._logging import LOG
from ._route import Route

if TYPE_CHECKING:
    from ._hooks import Startup
    from ._registered import Registered, RegisteredTask

__all__ = ["add", "close_if_abandoned", "make", "routes", "serve", "set_usage_checker", "spec"]

# The time that shutdown hooks get in any case, in seconds, however long the rest of the shutdown has taken.
_MIN_SHUTDOWN = 1.0


# The members of a task's description that have other names for users.
_FIELDS = {
    "limit_group": "task_type",
    "time_limit": "timeout",
    "enforces_input": "input_schema",
    "enforces_output": "output_schema",
    "extra": "further fields",
}


async def serve(registered: Registered, run: Run, startup: Startup, health_check: bool) -> Stopped:
    """Runs a worker until it was stopped and everything has ended. The caller closes ``run``."""
    cause = await startup.call(registered.hooks.startup)
    if cause is not None:
        return Stopped(cause, [], [], [])
    run.start(health_check)
    cancellations, first = await _until_ended(run)
    left = registered.config.WORKER_SHUTDOWN_TIMEOUT - (monotonic() - first if cancellations else 0.0)
    await shut_down(registered.hooks.shutdown, max(left, _MIN_SHUTDOWN))
    if cancellations:
        # A cancelled coroutine has to raise this at its end.
        raise asyncio.CancelledError
    return run.ended.result()


async def _until_ended(run: Run) -> tuple[int, float]:
    """Waits for the end of the run; returns the number of cancellations meanwhile, and the time of the first."""
    cancellations, first = 0, 0.0
    while True:
        try:
            await asyncio.shield(run.ended)
            return cancellations, first
        except asyncio.CancelledError:
            if run.ended.cancelled():
                raise
            cancellations += 1
            if cancellations == 1:
                first = monotonic()
                run.drain("cancelled")
            elif cancellations == 2:
                run.native.cancel()
            else:
                raise


def routes(registered: Registered, tools: Tools | None = None) -> list[Route]:
    """Returns the route of every task, in the order of registration. All have the same tools, by default new ones."""
    if tools is None:
        tools = Tools(registered.config, registered.worker_type)
    return [_route(registered, task, tools) for task in registered.tasks.values()]


def _route(registered: Registered, task: RegisteredTask, tools: Tools) -> Route:
    return Route(task.name, task.plan, registered.hooks.middleware, tools)


def make(registered: Registered, hot_cache: Iterable[str]) -> Run:
    """Makes a run with a worker of the core. Starts nothing."""
    from .config import WorkerConfig

    tools = Tools(registered.config, registered.worker_type)
    known = routes(registered, tools)
    for route in known:
        # Now all names in annotations are defined.
        route.plan.prepare()
    hooks, config = registered.hooks, registered.config
    if hooks.startup or type(config).validate is not WorkerConfig.validate:
        # The hooks may take minutes, so problems are reported before they are called. A subclass may check more.
        config.validate()
    if registered.worker_type is not None and not isinstance(registered.worker_type, str):
        raise WorkerError(f"`worker_type` is `{registered.worker_type!r}`, expected text", 2)
    native_config = config._native
    checker, usage = hooks.capacity_checker, hooks.usage_checker
    try:
        native = _native.Worker(
            native_config,
            [spec(registered.tasks[route.name], route, registered.limits) for route in known],
            worker_type=registered.worker_type,
            max_concurrent_tasks=registered.max_concurrent_tasks,
            limits=dict(registered.limits),
            skill_dependencies=dict(registered.skill_dependencies),
            capacity_checker=None if checker is None else _Checker(checker),
            usage_checker=None if usage is None else _usage_checker(usage),
            reports_ignored=bool(hooks.ignored),
        )
    except ValueError as error:
        raise WorkerError(str(error), 2) from None
    for model in hot_cache:
        native.add_to_hot_cache(model)
    slots = registered.max_concurrent_tasks or native_config.get("MAX_CONCURRENT_TASKS")
    on_ignored = partial(_call_ignored_hooks, hooks.ignored) if hooks.ignored else None
    # A command may be registered while the worker runs.
    on_command = partial(_obey, hooks.commands, count(1))
    if config.WORKER_ENABLE_METRICS:
        # Sets up OpenTelemetry before the start-up hooks are called.
        _ = tools.observability
    return Run(native, known, tools, slots, on_command, on_ignored)


def add(run: Run, registered: Registered, task: RegisteredTask) -> None:
    """Adds a task to a run, and tells orchestrators, or replaces the handler of the task of this name."""
    route = _route(registered, task, run.tools)
    route.plan.prepare()
    described = spec(task, route, registered.limits)
    if run.replace(route):
        old = registered.tasks[task.name]
        before = spec(old, _route(registered, old, run.tools), registered.limits)
        changed = sorted({_FIELDS.get(key, key) for key in before if described[key] != before[key]} - {"on_thread"})
        names = ", ".join(f"`{name}`" for name in changed)
        later = f"; {names} take effect when the worker is started again" if names else ""
        LOG.warning("a second handler is registered for the task `%s`, and replaces the first%s", task.name, later)
    elif not run.add(route, described):
        LOG.warning("the task `%s` is not offered to orchestrators: the worker is shutting down", task.name)


def set_usage_checker(run: Run, check: Callable[[], Any] | None) -> None:
    """Sets the function that measures how busy the machine is, in place of that of the run."""
    run.native.set_usage_checker(None if check is None else _usage_checker(check))


def _usage_checker(check: Callable[[], Any]) -> Callable[[], bytes | None]:
    from ._usage import UsageChecker

    return UsageChecker(check)


def spec(task: RegisteredTask, route: Route, limits: Mapping[str, int]) -> dict[str, Any]:
    """The options of a task, as the core takes them."""
    from . import schemas

    options = task.options
    _check_arguments(route)
    input_schema, output_schema, description, version = schemas.of(route.plan.func)
    if not options.get("infers"):
        # 1.0b30 checks tasks against schemas before a worker gets them, and quarantines those that do not match. Handlers
        # registered with `task` may rely on the worker's own error, or on a model that converts values.
        input_schema = output_schema = None

    def text(schema: Any, otherwise: bytes | None) -> str | None:
        if schema is not None:
            return json.dumps(schema)
        return None if otherwise is None else otherwise.decode()

    return {
        "name": route.name,
        "on_thread": not route.is_on_loop,
        "limit_group": task.group if task.group in limits else options.get("task_type"),
        "time_limit": options.get("timeout"),
        "description": options.get("description") or description,
        "version": options.get("version") or version,
        "input_schema": text(options.get("input_schema"), input_schema),
        "output_schema": text(options.get("output_schema"), output_schema),
        # A schema made of annotations is not enforced: the handler's own conversion may accept more.
        "enforces_input": options.get("input_schema") is not None
        and not task.plan.converts_to(options.get("input_class")),
        "enforces_output": options.get("output_schema") is not None,
        "output_statuses": None if options.get("output_statuses") is None else list(options["output_statuses"]),
        "events": [(kind, json.dumps(schema)) for kind, schema in (options.get("events") or {}).items()],
        "extra": json.dumps(options["extra"]) if options.get("extra") else None,
    }


def _check_arguments(route: Route) -> None:
    """Refuses a handler that asks for arguments which it never gets. Middleware, or a decorator around the handler, may
    provide any argument: then one whose name is nearly that of an offered one is logged."""
    from .signature import nearest

    plan, may_be_provided = route.plan, bool(route.middleware) or route.plan.is_wrapped
    for name in plan.unprovided:
        near = nearest(name, surely=may_be_provided)
        hint = f"; the nearest is `{near}`" if near else ""
        message = f"the handler `{plan.name}` of the task `{route.name}` asks for `{name}`, which the worker does not offer{hint}"
        if not may_be_provided:
            raise WorkerError(message, 2)
        if near:
            LOG.once(message)


def close_if_abandoned(run: Run) -> bool:
    """Closes a run whose event loop was closed, and returns whether it was. Raises ``RuntimeError`` in a process that
    was forked from the one of the run."""
    if run.process != os.getpid():
        raise RuntimeError(
            f"this worker runs in process {run.process}, but this is process {os.getpid()}, forked from it: the worker's "
            "threads exist only in the parent; make a separate worker in this process, or start processes with `spawn`"
        )
    if not run.loop.is_closed():
        return False
    # Coroutines of a closed loop never continue.
    run.close()
    return True


class _Checker:
    """The user's capacity check. An exception in it counts as yes, and is logged once for each task."""

    def __init__(self, check: Callable[[str], Any]) -> None:
        self._check = check
        self._logged: set[str] = set()

    def __call__(self, name: str) -> bool:
        try:
            return bool(self._check(name))
        except Exception:
            if name not in self._logged:
                self._logged.add(name)
                LOG.warning(
                    "`capacity_checker` raised for the task `%s`; this counts as accepted, and is logged only once",
                    name,
                    exc_info=True,
                )
            return True


async def _obey(commands: Mapping[str, Callable[..., Any]], unknown: Iterator[int], command: _native.Command) -> None:
    """Calls the function that is registered for a command."""
    func = commands.get(command.name)
    if func is None:
        number = next(unknown)
        # Logs the 1st, the 10th, the 100th and so on: one example and the order of magnitude are enough.
        if str(number).strip("0") == "1":
            LOG.warning("unknown command `%.100s` ignored", _native.one_line(command.name), fields={"unknown": number})
        return
    from ._command import WorkerCommand

    fields = WorkerCommand(
        command=command.name,
        task_id=command.task_id,
        job_id=command.job_id,
        params=None if command.params is None else json.loads(command.params),
        metadata=None if command.metadata is None else json.loads(command.metadata),
    )
    try:
        await call(partial(func, fields))
    except Exception:
        LOG.exception("the handler of the command `%s` raised", command.name)


async def _call_ignored_hooks(hooks: Sequence[Callable[..., Any]], task_id: str, job_id: str, reason: str) -> None:
    """Calls the hooks for a result that an orchestrator ignored."""
    for hook in hooks:
        try:
            await call(partial(hook, task_id, job_id, reason))
        except Exception:
            LOG.exception("the hook for ignored results raised")
