"""Everything that a program registers with a worker: tasks, skills, middleware, hooks."""

from __future__ import annotations

from ._skill import Skills
from .validators import validate_identifier

# As in `typing`, whose import would take most of the time of importing this package.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any, TypeVar

    from ._blueprint import SkillBlueprint
    from ._bridge import Run
    from ._registered import Registered, RegisteredTask
    from ._route import Step
    from .middleware import Middleware

    _Function = TypeVar("_Function", bound=Callable[..., Any])

__all__ = ["Registry"]


class Registry(Skills):
    """What is registered with a worker."""

    def __init__(self, limits: Mapping[str, int], skill_info_class: type[Any] | None) -> None:
        from threading import RLock

        self._limits = limits
        self._info_class = skill_info_class
        self._tasks: dict[str, RegisteredTask] = {}
        self._middleware: list[Step] = []
        self._commands: dict[str, Callable[..., Any]] = {}
        self._ignored: list[Callable[[str, str, str], Any]] = []
        self._startup: list[Callable[[], Any]] = []
        self._shutdown: list[Callable[[], Any]] = []
        self._usage_checker: Callable[[], Any] | None = None
        self._run: Run | None = None
        # Held while a task or a middleware is added, and while a run is made of all that is registered.
        self._adding = RLock()

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
        worker runs, it registers with its orchestrators again. A second handler of a name replaces the first; if the
        worker runs, the options of the first stay in force until it is started again. Raises ``ValueError`` for an
        invalid name or option.

        A handler that asks for an argument which the worker does not offer is an error at start, unless there is
        middleware or a decorator with ``functools.wraps``, which may provide it.

        ``task_type`` names the group whose limit the task shares; ``timeout`` is the time limit in seconds. All other
        arguments are sent to newer orchestrators, which may check tasks against the schemas. The worker checks them,
        too: parameters that do not fit ``input_schema`` end the task with ``INVALID_INPUT_ERROR`` before middleware and
        handler run, and data that does not fit ``output_schema`` with ``CONTRACT_VIOLATION_ERROR``. A failure's data is
        not checked. A schema that is not a valid JSON Schema is not checked, and the log says so. The default of
        ``description`` is the handler's docstring. ``events`` maps the types of the events that the handler sends to
        their JSON Schemas.
        """
        from ._task_options import check, texts

        validate_identifier(name, "task name")
        if task_type:
            validate_identifier(task_type, f"type of the task `{name}`")
        options = {
            "task_type": task_type or None,
            "timeout": timeout,
            "description": description,
            "version": version,
            "input_schema": input_schema,
            "output_schema": output_schema,
            "output_statuses": texts(output_statuses),
            "events": events,
        }

        check(name, options)

        def register(func: _Function) -> _Function:
            self._register(name, func, options)
            return func

        return register

    def include_blueprint(self, blueprint: SkillBlueprint) -> None:
        """Registers the skills of a blueprint."""
        from ._blueprint import SkillBlueprint

        if not isinstance(blueprint, SkillBlueprint):
            raise TypeError(f"a blueprint is a `{type(blueprint).__name__}`, expected a `SkillBlueprint`")
        for name, func, options in blueprint._skills:
            self._register(name, func, options)

    def add_middleware(self, middleware: Middleware) -> None:
        """Puts a middleware around every task, including tasks registered later. The middleware added first is the
        outermost. If the worker runs, it counts for tasks that arrive from now on. See ``avtomatika_worker.middleware``."""
        from .middleware import step

        added = step(middleware)
        with self._adding:
            self._middleware.append(added)
            run = self._run
            if run is not None:
                run.set_middleware(self._middleware)

    def on_command(self, command_name: str) -> Callable[[_Function], _Function]:
        """Registers a function for a command that orchestrators send over the websocket
        (``WORKER_ENABLE_WEBSOCKETS``).

        It is called with the command, for one command after another: ``command``, ``task_id``, ``job_id``, ``params`` and
        ``metadata`` are its attributes, and its members as a dictionary. A ``def`` function is called on a thread.
        """
        if not isinstance(command_name, str):
            # A decorator without parentheses would not register its function.
            raise TypeError(f"the name of a command must be text, got `{type(command_name).__name__}`")

        def register(func: _Function) -> _Function:
            _check_function(f"the function for the command `{command_name}`", func, "command")
            self._commands[command_name] = func
            return func

        return register

    def on_ignored_result(self, hook: _Function) -> _Function:
        """Registers a function for results that an orchestrator answers with ``ignored``, since the effects of such a
        task may have to be undone. It is called with the ids of the task and its job, and with the reason, in addition
        to the warning in the log. A ``def`` function is called on a thread."""
        _check_function("the hook for ignored results", hook, "task_id", "job_id", "reason")
        self._refuse_while_it_runs("a hook")
        self._ignored.append(hook)
        return hook

    def on_startup(self, hook: _Function) -> _Function:
        """Registers a function to call before the worker registers with orchestrators, for example to load a model. A
        ``def`` function is called on a thread. An exception in it ends the run, and ``run`` or ``main``
        raises it. A signal ends both the function and the worker."""
        _check_function("the start-up hook", hook)
        self._refuse_while_it_runs("a start-up hook")
        self._startup.append(hook)
        return hook

    def on_shutdown(self, hook: _Function) -> _Function:
        """Registers a function to call after all tasks have ended. Several are called in the reverse order of their
        registration. Together they may take the rest of ``WORKER_SHUTDOWN_TIMEOUT``, but at least 1 s."""
        _check_function("the shutdown hook", hook)
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
        if checker is not None:
            _check_function("the usage checker", checker)
        self._usage_checker = checker
        if self._run is not None:
            from ._serving import set_usage_checker

            set_usage_checker(self._run, checker)

    def _registered(self) -> Registered:
        """A snapshot of everything registered so far."""
        raise NotImplementedError

    def _register(self, name: str, func: Callable[..., Any], options: dict[str, Any]) -> None:
        from ._registered import RegisteredTask
        from .signature import analyse

        task = RegisteredTask(name, analyse(func), options)
        with self._adding:
            run = self._run
            if run is not None:
                from ._serving import add

                add(run, self._registered(), task)
            elif name in self._tasks:
                from ._logging import LOG

                LOG.warning("two handlers are registered for the task `%s`: the one registered last is used", name)
            self._tasks[name] = task

    def _refuse_while_it_runs(self, what: str) -> None:
        if self._run is not None:
            raise RuntimeError(f"{what} cannot be added to a running worker")


def _check_function(what: str, func: Any, *arguments: str) -> None:
    from ._user_function import check_function

    check_function(what, func, *arguments)
