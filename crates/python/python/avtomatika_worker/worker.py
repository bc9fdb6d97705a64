"""The class ``Worker``: its tasks and hooks, and the functions that run it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, TypeVar, overload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ._bridge import Run, Stopped
    from ._registered import Registered, RegisteredTask
    from ._route import Step
    from .config import WorkerConfig
    from .middleware import Middleware

__all__ = ["Worker"]

_Function = TypeVar("_Function", bound="Callable[..., Any]")


class Worker:
    """Takes tasks from orchestrators and runs them.

    ``worker_type`` overrides ``WORKER_TYPE``, and ``max_concurrent_tasks`` overrides ``MAX_CONCURRENT_TASKS``.
    ``task_type_limits`` sets how many tasks of each ``task_type`` run at once; ``skill_type_limits`` is another name for
    it. ``skill_dependencies`` lists the models that each task needs. Without a ``config``, the worker reads the
    environment when it is created.

    ``capacity_checker`` is called with the name of a task before the worker reports its capacity to orchestrators, and
    returns whether the worker can take one more task of this name. It may block: it runs on a thread of its own. An
    exception in it counts as ``True``.

    ``http_session`` and ``clients`` are accepted but not used: the core makes its own connections.
    """

    def __init__(
        self,
        worker_type: str | None = None,
        max_concurrent_tasks: int | None = None,
        task_type_limits: Mapping[str, int] | None = None,
        http_session: Any = None,
        skill_dependencies: Mapping[str, Iterable[str]] | None = None,
        config: WorkerConfig | None = None,
        capacity_checker: Callable[[str], bool] | None = None,
        clients: Any = None,
        *,
        skill_type_limits: Mapping[str, int] | None = None,
    ) -> None:
        for name, value in (("http_session", http_session), ("clients", clients)):
            if value is not None:
                _warn(f"`{name}` is accepted but not used: the worker makes its own connections")
        from .config import WorkerConfig

        if config is None:
            config = WorkerConfig()
        if not isinstance(config, WorkerConfig):
            raise TypeError(f"`config` is a `{type(config).__name__}`, expected a `WorkerConfig`")
        self.config: WorkerConfig = config
        """The configuration."""
        self._worker_type = worker_type
        self._max_concurrent_tasks = _whole("max_concurrent_tasks", max_concurrent_tasks)
        limits = {**(skill_type_limits or {}), **(task_type_limits or {})}
        self._limits = {group: _whole(f"the limit of `{group}`", limit) for group, limit in limits.items()}
        self._skill_dependencies = {skill: list(models) for skill, models in (skill_dependencies or {}).items()}
        self._capacity_checker = capacity_checker
        self._usage_checker: Callable[[], Any] | None = None
        self._tasks: dict[str, RegisteredTask] = {}
        self._middleware: list[Step] = []
        self._commands: dict[str, Callable[..., Any]] = {}
        self._ignored: list[Callable[[str, str, str], Any]] = []
        self._startup: list[Callable[[], Any]] = []
        self._shutdown: list[Callable[[], Any]] = []
        self._hot: set[str] = set()
        self._run: Run | None = None

    # Tasks and hooks

    def task(
        self,
        name: str,
        task_type: str | None = None,
        *,
        timeout: float | None = None,
        description: str | None = None,
        version: str | None = None,
        input_schema: Mapping[str, Any] | None = None,
        output_schema: Mapping[str, Any] | None = None,
        output_statuses: Iterable[str] | None = None,
        events: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> Callable[[_Function], _Function]:
        """Registers a handler, ``async def`` or ``def``, under a name of 1 to 128 characters ``a-z A-Z 0-9 _ -``. If the
        worker runs, it registers with its orchestrators again.

        ``task_type`` names the group whose limit the task shares; ``timeout`` is the time limit in seconds. All other
        arguments are sent to newer orchestrators, which may check tasks against the schemas. The default of
        ``description`` is the handler's docstring. ``events`` maps the types of the events that the handler sends to
        their JSON Schemas.
        """
        _check_name("a task", name)
        options = {
            "task_type": task_type,
            "timeout": timeout,
            "description": description,
            "version": version,
            "input_schema": input_schema,
            "output_schema": output_schema,
            "output_statuses": output_statuses,
            "events": events,
        }

        def register(func: _Function) -> _Function:
            self._register(name, func, options)
            return func

        return register

    @overload
    def skill(self, info: _Function) -> _Function: ...

    @overload
    def skill(self, info: Any = None, **options: Any) -> Callable[[_Function], _Function]: ...

    def skill(self, info: Any = None, **options: Any) -> Any:
        """The newer form of ``task``, with or without parentheses. The default of the name is that of the function.

        ``info`` is a name, or an object with the options of a skill as attributes. ``type`` stands for ``task_type``,
        and ``events_schema`` for ``events``. Schemas that are not given are made from the handler's annotations;
        orchestrators may check tasks against them before a worker gets them.
        """
        if callable(info) and not isinstance(info, type) and not hasattr(info, "name"):
            self._register(info.__name__, info, {"infers": True})
            return info
        if isinstance(info, str):
            options.setdefault("name", info)
        elif info is not None:
            for field in ("name", "type", *_DESCRIBED, "events_schema"):
                if getattr(info, field, None) is not None:
                    options.setdefault(field, getattr(info, field))
        name = options.pop("name", None)
        options["infers"] = True
        options["task_type"] = options.pop("type", None) or options.get("task_type")
        options["events"] = options.pop("events_schema", None) or options.get("events")
        unknown = ", ".join(
            f"`{key}`" for key in options if key not in ("task_type", "timeout", "events", "infers", *_DESCRIBED)
        )
        if unknown:
            _warn(f"these options of a skill are not used: {unknown}")

        def register(func: _Function) -> _Function:
            self._register(name or func.__name__, func, options)
            return func

        return register

    def add_middleware(self, middleware: Middleware) -> None:
        """Puts a middleware around every task, including tasks registered later. The middleware added first is the
        outermost. If the worker runs, it counts for tasks that arrive from now on. See ``avtomatika_worker.middleware``."""
        from .middleware import step

        self._middleware.append(step(middleware))
        if self._run is not None:
            self._run.set_middleware(self._middleware)

    def on_command(self, command_name: str) -> Callable[[_Function], _Function]:
        """Registers a function for a command that orchestrators send over the websocket
        (``WORKER_ENABLE_WEBSOCKETS``).

        It is called with a dictionary of ``command``, ``task_id``, ``job_id``, ``params`` and ``metadata``, for one
        command after another. A ``def`` function is called on a thread.
        """
        _check_name("a command", command_name)

        def register(func: _Function) -> _Function:
            self._commands[command_name] = func
            return func

        return register

    def on_ignored_result(self, hook: _Function) -> _Function:
        """Registers a function for results that an orchestrator answers with ``ignored``, since the effects of such a
        task may have to be undone. It is called with the ids of the task and its job, and with the reason, in addition
        to the warning in the log. A ``def`` function is called on a thread."""
        self._refuse_while_it_runs("a hook")
        self._ignored.append(hook)
        return hook

    def on_startup(self, hook: _Function) -> _Function:
        """Registers a function to call before the worker registers with orchestrators, for example to load a model. A
        ``def`` function is called on a thread. An exception in it ends the run, and ``run`` or ``main``
        raises it. A signal ends both the function and the worker."""
        self._refuse_while_it_runs("a start-up hook")
        self._startup.append(hook)
        return hook

    def on_shutdown(self, hook: _Function) -> _Function:
        """Registers a function to call after all tasks have ended. Several are called in the reverse order of their
        registration. Together they may take the rest of ``WORKER_SHUTDOWN_TIMEOUT``, but at least 1 s."""
        self._refuse_while_it_runs("a shutdown hook")
        self._shutdown.append(hook)
        return hook

    def set_usage_checker(self, checker: Callable[[], Any] | None) -> None:
        """Sets the function that measures how busy the machine is, in place of the worker's own measurement. It returns
        an object with ``cpu_load_percent``, ``ram_used_gb`` and ``devices_usage``, such as a ``ResourcesUsage``, a
        mapping with these keys, or ``None`` for no usage. ``None`` as the function restores the worker's own measurement.

        It is called before each heartbeat to a newer orchestrator, on a thread of its own, and can be replaced while the
        worker runs. A heartbeat waits for it for at most 250 ms, and then reports its last answer. An exception in it
        counts as no usage.
        """
        self._usage_checker = checker
        if self._run is not None:
            from ._serving import set_usage_checker

            set_usage_checker(self._run, checker)

    # Loaded models

    def add_to_hot_cache(self, model_name: str) -> None:
        """Reports with the next heartbeat that a model is loaded."""
        self._hot.add(model_name)
        if self._run is not None:
            self._run.native.add_to_hot_cache(model_name)

    def remove_from_hot_cache(self, model_name: str) -> None:
        """Reports with the next heartbeat that a model is no longer loaded."""
        self._hot.discard(model_name)
        if self._run is not None:
            self._run.native.remove_from_hot_cache(model_name)

    def get_hot_cache(self) -> set[str]:
        """Returns the models that are reported as loaded."""
        return set(self._run.native.hot_cache()) if self._run is not None else set(self._hot)

    add_to_hot_skills = add_to_hot_cache
    remove_from_hot_skills = remove_from_hot_cache
    get_hot_skills_state = get_hot_cache

    # Running

    def run(self) -> None:
        """Runs until SIGTERM or SIGINT.

        The first signal lets running tasks finish within ``WORKER_SHUTDOWN_TIMEOUT``, the second cancels them, and the
        third has its default effect. Returns when every task has finished and every result is acknowledged. Otherwise
        raises ``SystemExit`` with 1, or with 2 when the configuration is invalid.
        """
        self._block(health_check=False)

    def run_with_health_check(self) -> None:
        """Runs like ``run``, and serves ``/health``, ``/ready`` and ``/metrics`` on ``WORKER_HOST:WORKER_PORT``."""
        self._block(health_check=True)

    async def main(self, *, install_signal_handlers: bool = False) -> Stopped:
        """Runs on the current event loop, and returns how the worker ended.

        Cancelling it has the effect of the first signal, and cancelling it again has that of the second; at the end,
        ``CancelledError`` is raised. Raises ``ConfigError`` when the configuration is invalid, and ``WorkerError`` when the worker
        cannot run.
        """
        return await self._serve(health_check=False, install_signal_handlers=install_signal_handlers)

    def drain(self) -> None:
        """Begins the shutdown, as the first signal does, and does not wait for its end. Can be called from any
        thread."""
        if self._run is not None:
            self._run.native.drain_because("asked")

    def _block(self, health_check: bool) -> None:
        import asyncio

        from ._bridge import WorkerError
        from ._executor import Executor
        from .errors import ConfigError

        if asyncio._get_running_loop() is not None:
            raise RuntimeError("an event loop already runs in this thread: use `await worker.main()`")
        added = self._set_up_log()
        try:
            with asyncio.Runner() as runner:
                executor = Executor()
                runner.get_loop().set_default_executor(executor)
                stopped = runner.run(self._serve(health_check=health_check, install_signal_handlers=True))
                if not stopped.is_clean:
                    # Calls that outlast the time limit of the shutdown get no further time.
                    executor.patience = 0.0
        except (ConfigError, WorkerError) as error:
            print(f"error: {error}", file=sys.stderr)
            raise SystemExit(getattr(error, "exit_code", 2)) from None
        finally:
            if added is not None:
                from ._logging import LOGGER

                LOGGER.removeHandler(added)
        if not stopped.is_clean:
            raise SystemExit(1)

    def _set_up_log(self) -> Any:
        """Sets up the log if its level or format is configured, and the program has not set up ``logging``."""
        from . import _logging

        configured = {name for name, _, source in self.config._native.effective() if source != "default"}
        if not configured & {"LOG_LEVEL", "LOG_FORMAT"}:
            return None
        return _logging.set_up(self.config.LOG_LEVEL, self.config.LOG_FORMAT)

    async def _serve(self, health_check: bool, install_signal_handlers: bool) -> Stopped:
        from ._serving import close_if_abandoned, make, serve

        if self._run is not None:
            if not close_if_abandoned(self._run):
                raise RuntimeError("this worker is already running")
            self._run = None
            self.config._give_back()
        registered = self._registered()
        run = make(registered, self._hot)
        self._run = run
        self.config._borrow()
        try:
            return await serve(registered, run, health_check, install_signal_handlers)
        finally:
            run.close()
            # If the loop of this run was closed, another run may have begun.
            if self._run is run:
                self._hot = set(run.native.hot_cache())
                self._run = None
                self.config._give_back()

    def _registered(self) -> Registered:
        """A snapshot of everything registered so far."""
        from ._registered import Hooks, Registered

        hooks = Hooks(
            middleware=tuple(self._middleware),
            startup=tuple(self._startup),
            shutdown=tuple(self._shutdown),
            commands=self._commands,
            ignored=tuple(self._ignored),
            capacity_checker=self._capacity_checker,
            usage_checker=self._usage_checker,
        )
        return Registered(
            tasks=dict(self._tasks),
            hooks=hooks,
            config=self.config,
            worker_type=self._worker_type,
            max_concurrent_tasks=self._max_concurrent_tasks,
            limits=dict(self._limits),
            skill_dependencies=dict(self._skill_dependencies),
        )

    def _register(self, name: str, func: Callable[..., Any], options: dict[str, Any]) -> None:
        from ._registered import RegisteredTask
        from .signature import analyse

        if name in self._tasks:
            raise ValueError(f"two tasks are named `{name}`")
        self._tasks[name] = RegisteredTask(name, analyse(func), options)
        if self._run is not None:
            from ._serving import add

            try:
                add(self._run, self._registered(), name)
            except BaseException:
                del self._tasks[name]
                raise

    def _refuse_while_it_runs(self, what: str) -> None:
        if self._run is not None:
            raise RuntimeError(f"{what} cannot be added to a running worker")


# The options of a skill that are sent to orchestrators unchanged.
_DESCRIBED = ("description", "version", "input_schema", "output_schema", "output_statuses")


def _whole(name: str, value: Any) -> Any:
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
        raise ValueError(f"{name} is `{value}`, expected a whole number, at least 1")
    return value


def _check_name(what: str, name: Any) -> None:
    """Refuses a name that is not text: a decorator without parentheses would not register its handler."""
    if not isinstance(name, str):
        raise TypeError(f"the name of {what} must be text, got `{type(name).__name__}`")


def _warn(message: str) -> None:
    import warnings

    warnings.warn(message, UserWarning, stacklevel=3)
