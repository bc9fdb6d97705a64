"""The class ``Worker``: what it is made of, and the functions that run it."""

from __future__ import annotations

import sys

from ._registry import Registry

# As in `typing`, whose import would take most of the time of importing this package.
TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from asyncio import AbstractEventLoop
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    from ._bridge import Stopped
    from ._hooks import Startup
    from ._registered import Registered
    from ._shutdown import ShutdownEvent
    from ._signals import Signals
    from .config import WorkerConfig

__all__ = ["Worker"]


class Worker(Registry):
    """Takes tasks from orchestrators and runs them.

    ``worker_type`` overrides ``WORKER_TYPE``, and ``max_concurrent_tasks`` overrides ``MAX_CONCURRENT_TASKS``.
    ``task_type_limits`` sets how many tasks of each ``task_type`` run at once; ``skill_type_limits`` is another name for
    it. ``skill_dependencies`` lists the models that each task needs. Without a ``config``, the worker reads the
    environment when it is created.

    ``capacity_checker`` is called with the name of a task before the worker reports its capacity to orchestrators, and
    returns whether the worker can take one more task of this name. It may block: it runs on a thread of its own. An
    exception in it counts as ``True``.

    ``skills_dir`` is a folder with Python files of skills, by default ``WORKER_SKILLS_DIR``: see ``load_skills``.
    ``skill_info_class`` is the class whose fields skills have, a subclass of ``SkillInfo``.

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
        skills_dir: str | os.PathLike[str] | None = None,
        skill_info_class: type[Any] | None = None,
        *,
        skill_type_limits: Mapping[str, int] | None = None,
    ) -> None:
        for name, value in (("http_session", http_session), ("clients", clients)):
            if value is not None:
                _say_once(f"`{name}` has no effect: the worker makes its own connections, see `ORCHESTRATORS_CONFIG`")
        from .config import WorkerConfig

        if not config:
            config = WorkerConfig()
        if not isinstance(config, WorkerConfig):
            raise TypeError(f"`config` is a `{type(config).__name__}`, expected a `WorkerConfig`")
        limits = {**(skill_type_limits or {}), **(task_type_limits or {})}
        limits = {group: _whole(f"the limit of `{group}`", limit, least=0) for group, limit in limits.items()}
        max_concurrent_tasks = _whole("max_concurrent_tasks", max_concurrent_tasks, least=0)
        if max_concurrent_tasks == 0:
            _say_once("`max_concurrent_tasks` is 0: the worker takes no tasks")
        super().__init__(limits, skill_info_class)
        self.config: WorkerConfig = config
        """The configuration."""
        self._worker_type = worker_type
        self._max_concurrent_tasks = max_concurrent_tasks
        # Programs read there what is in force. Another worker with this configuration keeps its own values.
        config._show("WORKER_TYPE", worker_type)
        config._show("MAX_CONCURRENT_TASKS", max_concurrent_tasks)
        self._skill_dependencies = {
            skill: [models] if isinstance(models, str) else list(models)
            for skill, models in (skill_dependencies or {}).items()
        }
        if capacity_checker is not None:
            from ._user_function import check_function

            check_function("`capacity_checker`", capacity_checker, "task_name")
        self._capacity_checker = capacity_checker
        self._skills_dir = skills_dir
        self._has_loaded_skills = False
        # What `main` is to do when `run` calls it, and how that ended.
        self._health_check: bool | None = None
        self._stopped: Stopped | None = None
        self._signals: Signals | None = None
        self._has_stopped = False
        # Whether the shutdown was asked for before there was a run, or since then.
        self._is_asked_to_stop = False
        # The loop of the run, from before its skills are loaded.
        self._loop: AbstractEventLoop | None = None
        self._hot: set[str] = set()

    async def load_skills(self, skills_dir: str | os.PathLike[str] | None = None) -> None:
        """Loads skills from the Python files of a folder, in the order of their names: registers the skills of their
        blueprints, and calls their functions ``setup(worker)``. Files whose names begin with ``_`` are left out, and an
        error in a file is logged.

        The first run begins with the configured folder (``skills_dir`` of the worker, ``WORKER_SKILLS_DIR``), or with
        the folder ``skills`` in the working directory if there is one; an empty text in ``config.WORKER_SKILLS_DIR``
        keeps it from searching. A signal ends the loading and the worker. The files are run with all rights of the
        program.
        """
        from ._skills_dir import load, load_configured

        if skills_dir is not None:
            await load(self, skills_dir)
        else:
            await load_configured(self, self.config, self._skills_dir)

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

    async def emit_event(self, event: Any) -> None:
        """Sends a ready-made event, a ``WorkerEventPayload`` or a dictionary like it, to all orchestrators that know
        events. An event without a signature is signed. One that cannot be sent is logged and dropped."""
        from ._events import emit

        emit(None if self._run is None else self._run.native, event)

    def add_to_hot_skills(self, item: str) -> None:
        """Does what ``add_to_hot_cache`` does."""
        self.add_to_hot_cache(item)

    def remove_from_hot_skills(self, item: str) -> None:
        """Does what ``remove_from_hot_cache`` does."""
        self.remove_from_hot_cache(item)

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
        health_check, self._health_check = self._health_check, None
        if health_check is None:
            return await self._serve(health_check=False, install_signal_handlers=install_signal_handlers)
        self._stopped = await self._serve(health_check=health_check, install_signal_handlers=True)
        return self._stopped

    def drain(self) -> None:
        """Begins the shutdown, as the first signal does, and does not wait for its end. Can be called from any
        thread. Has no effect on a worker that does not run yet; one that loads its skills ends when they are loaded."""
        if self._loop is not None:
            self._stop()

    def _stop(self) -> None:
        """Begins the shutdown of the run under way, else that of the next one."""
        self._is_asked_to_stop = True
        run = self._run
        if run is not None:
            run.drain("asked")

    def _block(self, health_check: bool) -> None:
        from ._signals import Signals

        # Before everything that takes time: a signal that comes meanwhile ends the worker like every other.
        with Signals() as signals:
            self._signals = signals
            try:
                self._block_with(signals, health_check)
            finally:
                self._signals = None

    def _block_with(self, signals: Signals, health_check: bool) -> None:
        import asyncio

        from ._bridge import WorkerError
        from ._executor import Executor
        from .errors import ConfigError

        if asyncio._get_running_loop() is not None:
            raise RuntimeError("an event loop already runs in this thread: use `await worker.main()`")
        end_log = None
        self._health_check, self._stopped = health_check, None
        try:
            end_log = self._set_up_log()
            with asyncio.Runner() as runner:
                executor = Executor()
                runner.get_loop().set_default_executor(executor)
                runner.run(self._run_main(signals))
                if not self._is_clean():
                    # Calls that outlast the time limit of the shutdown get no further time.
                    executor.patience = 0.0
        except (ConfigError, WorkerError) as error:
            print(f"error: {error}", file=sys.stderr)
            raise SystemExit(getattr(error, "exit_code", 2)) from None
        finally:
            self._health_check = None
            if end_log is not None:
                end_log()
        if not self._is_clean():
            raise SystemExit(1)

    async def _run_main(self, signals: Signals) -> None:
        """Calls ``main``, not ``_serve``: a subclass may put something around it, which a signal ends as well."""
        import asyncio

        from ._logging import LOG
        from ._signals import Listener

        loop, task, cause = asyncio.get_running_loop(), asyncio.current_task(), ""

        def first(name: str) -> None:
            nonlocal cause
            cause = name
            if task is not None:
                loop.call_soon_threadsafe(task.cancel)

        with signals.heard_by(loop, Listener(first, lambda: None, lambda: None)):
            try:
                if not cause:
                    await self.main()
            except asyncio.CancelledError:
                if not cause:
                    raise
            if cause:
                LOG.info("a signal was received while the worker did not run", fields={"cause": cause})

    def _is_clean(self) -> bool:
        """Returns whether ``run`` ended well. A ``main`` of a subclass may have run nothing."""
        return self._stopped is None or self._stopped.is_clean

    def _set_up_log(self) -> Callable[[], None] | None:
        """Sets up the log if the program has not set up ``logging``. Returns the function that ends it."""
        from . import _logging

        sources = {name: source for name, _, source in self.config._native.effective()}
        is_level_set = sources.get("LOG_LEVEL", "default") != "default"
        return _logging.set_up(self.config.LOG_LEVEL, self.config.LOG_FORMAT, is_level_set=is_level_set)

    async def _serve(self, health_check: bool, install_signal_handlers: bool) -> Stopped:
        from asyncio import get_running_loop
        from contextlib import ExitStack

        from ._hooks import Startup
        from ._logging import LOG
        from ._serving import close_if_abandoned
        from ._signals import Signals

        if self._run is not None:
            if not close_if_abandoned(self._run):
                raise RuntimeError("this worker is already running")
            self._run = None
            self.config._give_back()
        elif self._loop is not None and not self._loop.is_closed():
            # It loads its skills.
            raise RuntimeError("this worker is already running")
        if self._loop is not None:
            # What was asked of a run whose loop was closed.
            self._is_asked_to_stop = False
        self._loop = loop = get_running_loop()
        self._has_stopped = False
        startup = Startup()
        try:
            with ExitStack() as stack:
                if install_signal_handlers:
                    signals = self._signals or stack.enter_context(Signals())
                    for name in signals.replaced():
                        LOG.warning("the program's handler for %s is not called while the worker runs", name)
                    stack.enter_context(signals.heard_by(loop, startup.listener()))
                return await self._start(startup, health_check)
        finally:
            # If this loop was closed, another run may have begun.
            if self._loop is loop:
                self._loop = None
                self._is_asked_to_stop = False

    async def _start(self, startup: Startup, health_check: bool) -> Stopped:
        from ._bridge import Stopped
        from ._serving import make, serve

        if not self._has_loaded_skills:
            cause = await startup.call([self._load_skills])
            if cause is not None:
                self._has_stopped = True
                return Stopped(cause, [], [], [])
        with self._adding:
            registered = self._registered()
            run = make(registered, self._hot)
            self._run = run
        startup.set_run(run)
        registered.config._borrow()
        # Looked at after the run is set: `drain` does both in the other order.
        if self._is_asked_to_stop:
            run.drain("asked")
            startup.stop("asked to stop")
        try:
            return await serve(registered, run, startup, health_check)
        finally:
            run.close()
            # If the loop of this run was closed, another run may have begun.
            if self._run is run:
                self._hot = set(run.native.hot_cache())
                self._run = None
                self._has_stopped = True
                registered.config._give_back()

    async def _load_skills(self) -> None:
        await self.load_skills()
        self._has_loaded_skills = True

    def _registered(self) -> Registered:
        """A snapshot of everything registered so far."""
        from ._registered import Hooks, Registered

        hooks = Hooks(
            middleware=tuple(self._middleware),
            startup=tuple(self._startup),
            shutdown=tuple(self._shutdown),
            commands=self._commands,
            ignored=tuple(self._ignored),
            capacity_checker=self._checker(),
            usage_checker=self._usage_checker,
        )
        return Registered(
            tasks=dict(self._tasks),
            hooks=hooks,
            config=self.config,
            worker_type=self._worker_type,
            # The core has no limit 0: see `_checker`.
            max_concurrent_tasks=1 if self._max_concurrent_tasks == 0 else self._max_concurrent_tasks,
            limits={group: limit or 1 for group, limit in self._limits.items()},
            skill_dependencies=dict(self._skill_dependencies),
        )

    def _checker(self) -> Callable[[str], bool] | None:
        """The capacity check, which says no for tasks whose limit is 0, and for all tasks of a worker that takes none."""
        check, limits, tasks = self._capacity_checker, self._limits, self._tasks
        if self._max_concurrent_tasks == 0:
            return lambda name: False
        if 0 not in limits.values():
            return check
        return lambda name: limits.get(tasks[name].group or "") != 0 and (check is None or check(name))

    # Names that programs for the existing SDK use

    @property
    def _config(self) -> WorkerConfig:
        _say_once("`worker._config` is internal: use `worker.config`")
        return self.config

    @_config.setter
    def _config(self, config: WorkerConfig) -> None:
        _say_once("`worker._config` is internal: use `worker.config`")
        self.config = config

    @property
    def _shutdown_event(self) -> ShutdownEvent:
        from ._shutdown import ShutdownEvent

        _say_once("`worker._shutdown_event` is internal: use `worker.drain()`, or signals")
        return ShutdownEvent(self._is_stopping, self._stop, self._forget_stop)

    def _is_stopping(self) -> bool:
        run = self._run
        return self._is_asked_to_stop or (self._has_stopped if run is None else run.is_draining)

    def _forget_stop(self) -> None:
        if self._run is None:
            self._is_asked_to_stop = self._has_stopped = False


def _whole(name: str, value: Any, least: int = 1) -> Any:
    """Returns a limit as a whole number. The existing SDK takes other numbers, too."""
    if value is None or (type(value) is int and value >= least):
        return value
    try:
        # A positive fraction allows one task.
        whole = -int(-value // 1) if value >= 0 else -1
    except (TypeError, ValueError, OverflowError):
        whole = -1
    if whole < least:
        raise ValueError(f"{name} is `{value}`, expected a whole number, at least {least}")
    if type(value) is bool or whole != value:
        _say_once(f"{name} is `{value}`, which counts as {whole}: use a whole number")
    return whole


def _say_once(message: str) -> None:
    from ._logging import LOG

    LOG.once(message)


def __getattr__(name: str) -> Any:
    """Finds the names that this module of the existing SDK had."""
    if name.startswith("__"):
        # `import` looks for `__path__`.
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from ._names import find

    value = find(__name__, name)
    globals()[name] = value
    return value
