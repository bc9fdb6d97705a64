"""A worker: what it runs, and how."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, TypeVar, overload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ._bridge import Run, Stopped
    from ._route import Step
    from .config import WorkerConfig
    from .middleware import Middleware
    from .signature import Plan

__all__ = ["Worker"]

_Function = TypeVar("_Function", bound="Callable[..., Any]")


class _Registered:
    """A task with its handler."""

    __slots__ = ("name", "plan", "said")

    def __init__(self, name: str, plan: Plan, said: dict[str, Any]) -> None:
        self.name = name
        self.plan = plan
        self.said = said


class Worker:
    """Takes tasks from orchestrators and runs them.

    Without a ``config`` the environment is read, now. ``worker_type`` wins over ``WORKER_TYPE``,
    ``max_concurrent_tasks`` over ``MAX_CONCURRENT_TASKS``. ``task_type_limits`` says how many tasks of a ``task_type``
    run at once; ``skill_type_limits`` is another name of it. ``skill_dependencies`` says which models a task needs.
    ``capacity_checker`` is asked before orchestrators are told what the worker can take, with a task's name, whether one
    more of it fits; it may block, on a thread of its own, and an exception in it counts as yes.

    ``http_session`` and ``clients`` are accepted, and not used: the connections are the core's own.
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
                _warn(f"`{name}` is accepted and not used: the worker's connections are its own")
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
        self._tasks: dict[str, _Registered] = {}
        self._middleware: list[Step] = []
        self._commands: dict[str, Callable[..., Any]] = {}
        self._ignored: list[Callable[[str, str, str], Any]] = []
        self._startup: list[Callable[[], Any]] = []
        self._shutdown: list[Callable[[], Any]] = []
        self._hot: set[str] = set()
        self._run: Run | None = None

    # What it runs

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
        """Registers a handler, ``async def`` or ``def``, under a name: 1 to 128 characters of ``a-z A-Z 0-9 _ -``.

        ``task_type`` is the group whose limit the task shares, ``timeout`` how many seconds it may take. What follows is
        told to newer orchestrators, which may hold tasks to the schemas; the description is the handler's docstring
        where none is given. ``events`` maps the types of events that it sends to their JSON Schemas.
        """
        _named("a task", name)
        said = {
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
            self._register(name, func, said)
            return func

        return register

    @overload
    def skill(self, info: _Function) -> _Function: ...

    @overload
    def skill(self, info: Any = None, **said: Any) -> Callable[[_Function], _Function]: ...

    def skill(self, info: Any = None, **said: Any) -> Any:
        """``task`` by its newer name, with and without parentheses: the name is the function's where none is given.

        ``info`` is a name, or an object with the attributes that are told of a skill. ``type`` is the ``task_type``,
        ``events_schema`` are the ``events``. Schemas that are not given are made of the handler's annotations, and
        orchestrators may hold tasks to them before a worker sees them.
        """
        if callable(info) and not isinstance(info, type) and not hasattr(info, "name"):
            self._register(info.__name__, info, {"infers": True})
            return info
        if isinstance(info, str):
            said.setdefault("name", info)
        elif info is not None:
            for field in ("name", "type", *_TOLD, "events_schema"):
                if getattr(info, field, None) is not None:
                    said.setdefault(field, getattr(info, field))
        name = said.pop("name", None)
        said["infers"] = True
        said["task_type"] = said.pop("type", None) or said.get("task_type")
        said["events"] = said.pop("events_schema", None) or said.get("events")
        unknown = ", ".join(
            f"`{key}`" for key in said if key not in ("task_type", "timeout", "events", "infers", *_TOLD)
        )
        if unknown:
            _warn(f"of what is said of a skill this is not used: {unknown}")

        def register(func: _Function) -> _Function:
            self._register(name or func.__name__, func, said)
            return func

        return register

    def add_middleware(self, middleware: Middleware) -> None:
        """Puts a middleware around every task, those registered later too: see ``avtomatika_worker.middleware``. The
        first added is outermost."""
        from .middleware import step

        self._refuse_while_it_runs("a middleware")
        self._middleware.append(step(middleware))

    def on_command(self, command_name: str) -> Callable[[_Function], _Function]:
        """Registers what is done about a command of a name, pushed over the websocket (``WORKER_ENABLE_WEBSOCKETS``).

        It is called with a dictionary that has ``command``, ``task_id``, ``job_id``, ``params`` and ``metadata``; one
        command after the other, ``def`` on a thread.
        """
        _named("a command", command_name)

        def register(func: _Function) -> _Function:
            self._refuse_while_it_runs("a command")
            self._commands[command_name] = func
            return func

        return register

    def on_ignored_result(self, hook: _Function) -> _Function:
        """Registers what is done about a result that an orchestrator answers with ``ignored``, beside the warning in the
        log: what the task did may have to be undone. It is called with the task's id, its job's and the reason; ``def``
        on a thread."""
        self._refuse_while_it_runs("a hook")
        self._ignored.append(hook)
        return hook

    def on_startup(self, hook: _Function) -> _Function:
        """Registers what is done before the worker registers, such as loading a model; ``def`` on a thread. One that
        raises ends the run with its exception. A signal meanwhile ends it, and the worker."""
        self._refuse_while_it_runs("a start-up hook")
        self._startup.append(hook)
        return hook

    def on_shutdown(self, hook: _Function) -> _Function:
        """Registers what is done after the worker has drained. Several run in the opposite order; together they may take
        what is left of ``WORKER_SHUTDOWN_TIMEOUT``, and at least 1 s."""
        self._refuse_while_it_runs("a shutdown hook")
        self._shutdown.append(hook)
        return hook

    # Loaded models

    def add_to_hot_cache(self, model_name: str) -> None:
        """Says that a model is loaded now. Reported with the next heartbeat."""
        self._hot.add(model_name)
        if self._run is not None:
            self._run.native.add_to_hot_cache(model_name)

    def remove_from_hot_cache(self, model_name: str) -> None:
        """Says that a model is no longer loaded."""
        self._hot.discard(model_name)
        if self._run is not None:
            self._run.native.remove_from_hot_cache(model_name)

    def get_hot_cache(self) -> set[str]:
        """The models that are said to be loaded."""
        return set(self._run.native.hot_cache()) if self._run is not None else set(self._hot)

    add_to_hot_skills = add_to_hot_cache
    remove_from_hot_skills = remove_from_hot_cache
    get_hot_skills_state = get_hot_cache

    # How it runs

    def run(self) -> None:
        """Runs until SIGTERM or SIGINT. The first lets running tasks finish, for ``WORKER_SHUTDOWN_TIMEOUT``; the second
        cancels them; the third does what it does without us. Returns when everything that was begun was finished and
        acknowledged; else ``SystemExit`` with 1, or with 2 when the configuration is wrong."""
        self._block(health_check=False)

    def run_with_health_check(self) -> None:
        """As ``run``, and serves ``/health``, ``/ready`` and ``/metrics`` on ``WORKER_HOST:WORKER_PORT``."""
        self._block(health_check=True)

    async def main(self, *, install_signal_handlers: bool = False) -> Stopped:
        """Runs on the loop that it is awaited on, and says how it ended.

        Being cancelled is what the first signal is, and being cancelled again what the second is; ``CancelledError`` is
        raised at the end. Raises ``ConfigError`` when the configuration is wrong, ``WorkerError`` when it cannot run.
        """
        return await self._serve(health_check=False, install_signal_handlers=install_signal_handlers)

    def drain(self) -> None:
        """Begins the end, as the first signal does. Does not wait for it. From any thread."""
        if self._run is not None:
            self._run.native.drain_because("asked")

    def _block(self, health_check: bool) -> None:
        import asyncio

        from ._bridge import WorkerError
        from ._executor import Executor
        from .errors import ConfigError

        if asyncio._get_running_loop() is not None:
            raise RuntimeError("an event loop runs in this thread already: use `await worker.main()`")
        added = self._set_up_log()
        try:
            with asyncio.Runner() as runner:
                executor = Executor()
                runner.get_loop().set_default_executor(executor)
                stopped = runner.run(self._serve(health_check=health_check, install_signal_handlers=True))
                if not stopped.is_clean:
                    # What did not end in time has had its time.
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
        """Where a level or a form of the log was asked for, and the program has not said where it goes."""
        from . import _logging

        asked = {name for name, _, source in self.config._native.effective() if source != "default"}
        if not asked & {"LOG_LEVEL", "LOG_FORMAT"}:
            return None
        return _logging.set_up(self.config.LOG_LEVEL, self.config.LOG_FORMAT)

    async def _serve(self, health_check: bool, install_signal_handlers: bool) -> Stopped:
        from ._serving import serve

        return await serve(self, health_check, install_signal_handlers)

    def _register(self, name: str, func: Callable[..., Any], said: dict[str, Any]) -> None:
        from .signature import analyse

        self._refuse_while_it_runs("a task")
        if name in self._tasks:
            raise ValueError(f"two tasks are named `{name}`")
        self._tasks[name] = _Registered(name, analyse(func), said)

    def _refuse_while_it_runs(self, what: str) -> None:
        if self._run is not None:
            raise RuntimeError(f"{what} cannot be added to a worker that runs")


_TOLD = ("description", "version", "input_schema", "output_schema", "output_statuses")


def _whole(name: str, value: Any) -> Any:
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
        raise ValueError(f"{name} is `{value}`, expected a whole number, at least 1")
    return value


def _named(what: str, name: Any) -> None:
    """A decorator that was written without its parentheses would leave the handler out."""
    if not isinstance(name, str):
        raise TypeError(f"the name of {what} is text, got `{type(name).__name__}`")


def _warn(message: str) -> None:
    import warnings

    warnings.warn(message, UserWarning, stacklevel=3)
