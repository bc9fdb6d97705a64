"""The analysis of a handler's signature: the arguments it asks for."""

from __future__ import annotations

import dis
import functools
import inspect
import sys
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any

from ._injected import kind_of
from ._logging import LOG
from .errors import PermanentError
from .params import ParamsReader, load, reader

__all__ = ["MISSING", "Plan", "analyse", "nearest"]

OFFERED = frozenset(
    {
        "task_id",
        "job_id",
        "task_name",
        "priority",
        "tracing_context",
        "deadline",
        "metadata",
        "security",
        "send_progress",
        "send_event",
        "emit_event",
        "add_to_hot_cache",
        "remove_from_hot_cache",
        "add_to_hot_skills",
        "remove_from_hot_skills",
        "cancellation_token",
        "task_files",
    }
)
"""The names of the arguments that a worker offers besides ``params``. A first argument with one of these names does not
get the parameters."""

FILES = "task_files"
"""The name under which the files are offered."""

# How similar a name is to that of an offered argument which it probably means, and which it surely means.
_SIMILAR, _MISSPELT = 0.6, 0.85

MISSING: Any = object()
"""Stands for parameters that a middleware has removed."""


class Plan:
    """The way to call a handler.

    ``arguments(params, offered)`` returns the positional and the keyword arguments of ``func``; ``params_reader``
    converts the JSON text of the parameters to ``params``.
    """

    __slots__ = (
        "_annotation",
        "_is_positional",
        "_params",
        "_reader",
        "_required",
        "_scope",
        "files",
        "func",
        "injected",
        "is_async",
        "is_wrapped",
        "name",
        "reads_all",
        "takes_all",
        "unprovided",
        "wanted",
    )

    def __init__(self, func: Callable[..., Any]) -> None:
        self.func = func
        self.name: str = getattr(func, "__qualname__", None) or type(func).__qualname__
        self.is_async: bool = _is_async(func)
        parameters = _parameters(func)
        self._scope = Scope(func)
        outer = _named_by_wrapper(func)
        self._params = _params_parameter(parameters, self._scope) or _params_parameter(outer or [], self._scope)
        self._is_positional: bool = self._params is not None and _is_positional(func, self._params)
        own = self._params.name if self._params else None
        if outer is not None:
            annotations = {one.name: one.annotation for one in parameters}
            # The first one gets the parameters, whatever its name is.
            rest = outer[1:] if self._is_positional else outer
            parameters = [one.replace(annotation=annotations.get(one.name, one.annotation)) for one in rest]
        self.files: tuple[str, ...] = tuple(
            parameter.name
            for parameter in parameters
            if parameter.name != own and (parameter.name == FILES or _is_files(self._scope, parameter.annotation))
        )
        """The arguments that get the task's files."""
        kinds = ((one.name, _injected(self._scope, one.annotation)) for one in parameters if one.name != own)
        self.injected: dict[str, str] = {name: kind for name, kind in kinds if kind is not None}
        """The arguments that get another object by their annotations, with its class."""
        self.takes_all: bool = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
        """Whether the handler takes ``**kwargs``, and so gets all offered arguments."""
        self.reads_all: bool = self.takes_all and _reads_keywords(func)
        """Whether it may look at them: many handlers have ``**kwargs`` only because others need it."""
        named = [
            parameter
            for parameter in parameters
            if parameter.name != own and parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
        ]
        self.wanted: frozenset[str] = frozenset(parameter.name for parameter in named)
        """The names of the handler's arguments, except for the one that gets the parameters."""
        # Arguments are passed by name, so an argument that is positional-only gets none.
        unreachable = [one for one in parameters if one.kind is one.POSITIONAL_ONLY and one.name != own]
        required = tuple(one.name for one in (*unreachable, *named) if one.default is one.empty)
        provided = {*OFFERED, *self.files, *self.injected}.difference(one.name for one in unreachable)
        self.unprovided: tuple[str, ...] = tuple(name for name in required if name not in provided)
        """The arguments without a default that the worker does not offer."""
        self.is_wrapped: bool = _is_wrapped(func)
        """Whether a decorator around the handler can pass it arguments of its own."""
        self._required = tuple(name for name in required if not (self.is_wrapped and name in self.unprovided))
        self._annotation = self._params.annotation if self._params else inspect.Parameter.empty
        self._reader: ParamsReader | None = None
        _warn_of_generators(func, self.name)
        for parameter in unreachable:
            if parameter.default is parameter.empty or parameter.name in OFFERED:
                LOG.warning(
                    "the argument `%s` of the handler `%s` is positional-only and gets no value, expected one that can be "
                    "passed by name",
                    parameter.name,
                    self.name,
                )
        self._warn_of_misspelt_params()
        self._try_to_resolve()

    @property
    def is_plain(self) -> bool:
        """Whether the handler takes its parameters as the first argument, and asks only for arguments that are always
        offered."""
        return self._is_positional and not self.files and OFFERED.issuperset(self._required)

    @property
    def params_reader(self) -> ParamsReader:
        """The function that converts JSON text to the annotated type. It raises ``ParamValidationError``."""
        self.prepare()
        return typing.cast(ParamsReader, self._reader)

    def read(self, raw: bytes) -> Any:
        """Converts JSON text to the annotated type. Raises ``ParamValidationError``."""
        return (self._reader or self.params_reader)(raw)

    def converts_to(self, kind: Any) -> bool:
        """Returns whether the parameters are converted to this class; ``None`` is no class."""
        return kind is not None and bool(self._scope.resolved(self._annotation, quietly=True) == kind)

    def prepare(self) -> None:
        """Resolves an annotation whose names were not defined when the handler was registered. If they still are not, the
        parameters are passed unchecked, and the log says so."""
        if self._reader is None:
            try:
                self._reader = self._made_reader()
            except Exception as error:  # evaluating an annotation may raise anything
                LOG.warning("the parameters of the handler `%s` are passed unchecked: %s", self.name, error)
                self._reader = load

    def arguments(self, params: Any, offered: Mapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Returns the positional and the keyword arguments of the handler. ``params`` may be ``MISSING``."""
        keywords = self.bind(offered)
        own = self._params
        if params is MISSING:
            if own is not None and own.default is own.empty and own.kind is not own.VAR_POSITIONAL:
                raise self._unprovided((own.name,))
            return (), keywords
        if own is None:
            if self.takes_all:
                keywords.setdefault("params", params)
            return (), keywords
        if self._is_positional:
            return (params,), keywords
        keywords[own.name] = params
        return (), keywords

    def invoke(self, params: Any, offered: Mapping[str, Any]) -> Any:
        """Calls the handler, and returns its result or an awaitable."""
        arguments, keywords = self.arguments(params, offered)
        return self.func(*arguments, **keywords)

    def bind(self, offered: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the offered arguments that the handler names, or all of them when it takes ``**kwargs``. The parameters
        are not among them."""
        if self.takes_all:
            own = self._params.name if self._params else None
            keywords = {name: value for name, value in offered.items() if name != own}
        else:
            keywords = {name: offered[name] for name in self.wanted if name in offered}
        missing = [name for name in self._required if name not in keywords]
        if missing:
            raise self._unprovided(missing)
        return keywords

    def _unprovided(self, missing: Iterable[str]) -> PermanentError:
        names = ", ".join(f"`{name}`" for name in missing)
        return PermanentError(f"the handler `{self.name}` asks for {names}, which no middleware has provided")

    def _warn_of_misspelt_params(self) -> None:
        own = self._params
        near = nearest(own.name, surely=True) if own is not None and own.name != "params" else None
        if own is not None and near not in (None, "params"):
            LOG.warning(
                "the argument `%s` of the handler `%s` gets the parameters, since it is the first; is it `%s`?",
                own.name,
                self.name,
                near,
            )

    def _made_reader(self) -> ParamsReader:
        return reader(self._scope.resolved(self._annotation), self._scope.names)

    def _try_to_resolve(self) -> None:
        # The annotation may name a class that is defined further down: `prepare` tries again.
        with suppress(Exception):
            self._reader = self._made_reader()


def analyse(func: Callable[..., Any]) -> Plan:
    """Examines a handler. Raises ``TypeError`` when it cannot be used as one."""
    return Plan(func)


def nearest(name: str, *, surely: bool) -> str | None:
    """Returns the argument that a misspelt name means, if there is one."""
    from difflib import get_close_matches

    found = get_close_matches(name, sorted({*OFFERED, "params"}), n=1, cutoff=_MISSPELT if surely else _SIMILAR)
    return found[0] if found else None


def _is_wrapped(func: Any) -> bool:
    while isinstance(func, functools.partial):
        func = func.func
    return hasattr(func, "__wrapped__") or hasattr(type(func).__call__, "__wrapped__")


def _parameters(func: Callable[..., Any]) -> list[inspect.Parameter]:
    if not callable(func):
        raise TypeError(f"a handler must be a function, got `{type(func).__name__}`")
    try:
        return list(inspect.signature(func).parameters.values())
    except ValueError:
        # A function of an extension module without a signature.
        return [inspect.Parameter("params", inspect.Parameter.POSITIONAL_ONLY)]


def _of_wrapper(func: Callable[..., Any]) -> list[inspect.Parameter] | None:
    """Returns the arguments of a decorator's wrapper; None if they are unknown, as for ``functools.cache``."""
    try:
        return list(inspect.signature(func, follow_wrapped=False).parameters.values())
    except ValueError:
        return None


def _named_by_wrapper(func: Callable[..., Any]) -> list[inspect.Parameter] | None:
    """Returns the arguments of a wrapper around a handler that takes only those it names; None if there is no such."""
    outer = _of_wrapper(func) if _is_wrapped(func) else None
    return None if outer is None or any(one.kind is one.VAR_KEYWORD for one in outer) else outer


def _is_async(func: Any) -> bool:
    while isinstance(func, functools.partial):
        func = func.func
    if isinstance(func, type):
        # Calling a class makes an instance.
        return False
    # The wrapped function does not count: the wrapper may block until it has ended. If the wrapper only returns the
    # coroutine, that coroutine is awaited.
    return inspect.iscoroutinefunction(func) or inspect.iscoroutinefunction(getattr(func, "__call__", None))  # noqa: B004


# What a function uses to look at its variables without naming them: itself, or what it calls, with its frame.
_LOOKS = frozenset(
    {
        *("breakpoint", "dir", "embed", "eval", "exec", "interact", "locals", "set_trace", "start_ipython", "vars"),
        *("_current_frames", "_getframe", "currentframe", "exc_info", "getinnerframes", "getouterframes", "stack", "trace"),
        *("__traceback__", "ag_frame", "cr_frame", "f_back", "f_locals", "gi_frame", "tb_frame", "walk_stack", "walk_tb"),
    }
)


def _reads_keywords(func: Any) -> bool:
    """Whether the code of a function with ``**kwargs`` may read them. Those it does not read need not be made."""
    code = getattr(func, "__code__", None)
    if _is_watched():
        return True
    if type(func) is not types.FunctionType or code is None or not code.co_flags & inspect.CO_VARKEYWORDS:
        return True
    has_more = bool(code.co_flags & inspect.CO_VARARGS)
    name = code.co_varnames[code.co_argcount + code.co_kwonlyargcount + has_more]
    named = (one.argval for one in dis.get_instructions(code))
    return _looks(code) or any(name in one if isinstance(one, tuple) else one == name for one in named)


def _looks(code: types.CodeType) -> bool:
    """Whether a function, or one inside it, may look at variables without naming them."""
    inner = (one for one in code.co_consts if isinstance(one, types.CodeType))
    return not _LOOKS.isdisjoint(code.co_names) or any(_looks(one) for one in inner)


def _is_watched() -> bool:
    """Whether there is a debugger, which shows variables, or another tool that may."""
    if sys.gettrace() is not None:
        return True
    if sys.version_info >= (3, 12):
        return sys.monitoring.get_tool(sys.monitoring.DEBUGGER_ID) is not None
    return False


def _warn_of_generators(func: Any, name: str) -> None:
    # The wrapped function does not count: the wrapper may make a result of what it yields.
    if inspect.isgeneratorfunction(func) or inspect.isasyncgenfunction(func):
        LOG.warning(
            "the handler `%s` is a generator, expected a function that returns its result: its tasks will fail", name
        )


def _params_parameter(parameters: list[inspect.Parameter], scope: Scope) -> inspect.Parameter | None:
    """Returns the argument named `params`, else the first positional one unless it is one of the offered arguments."""
    for parameter in parameters:
        if parameter.name == "params" and parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            if parameter.kind is parameter.POSITIONAL_OR_KEYWORD and parameter is not parameters[0]:
                # It is not the first one, so it is passed by name.
                return parameter.replace(kind=parameter.KEYWORD_ONLY)
            return parameter
    first = parameters[0] if parameters else None
    if first is None:
        return None
    if first.kind is first.VAR_POSITIONAL:
        # With `**kwargs`, the parameters are passed by name.
        return None if any(one.kind is one.VAR_KEYWORD for one in parameters) else first
    if first.kind not in (first.POSITIONAL_ONLY, first.POSITIONAL_OR_KEYWORD):
        return None
    is_other = first.name in OFFERED or _is_files(scope, first.annotation) or _injected(scope, first.annotation)
    return None if is_other else first


def _is_positional(func: Callable[..., Any], own: inspect.Parameter) -> bool:
    """Returns whether the parameters are passed by position. A decorator with ``functools.wraps`` may take everything by
    name only."""
    if own.kind is own.KEYWORD_ONLY:
        return False
    if own.name != "params" or own.kind is not own.POSITIONAL_OR_KEYWORD:
        return True
    outer = _of_wrapper(func)
    if outer is None:
        return True
    if any(one.name == own.name and (place > 0 or one.kind is one.KEYWORD_ONLY) for place, one in enumerate(outer)):
        return False
    takes_more = bool(outer) and outer[-1].kind is inspect.Parameter.VAR_KEYWORD
    takes_first = bool(outer) and outer[0].kind in (own.POSITIONAL_ONLY, own.POSITIONAL_OR_KEYWORD)
    return takes_first or not takes_more


def _injected(scope: Scope, annotation: Any) -> str | None:
    if annotation is inspect.Parameter.empty:
        return None
    return kind_of(annotation, functools.partial(scope.resolved, quietly=True))


def _is_files(scope: Scope, annotation: Any) -> bool:
    if isinstance(annotation, str) and annotation.rpartition(".")[2] == "TaskFiles":
        # The class may be imported for type checkers only.
        return True
    module = sys.modules.get("avtomatika_worker.task_files")
    if module is None or annotation is inspect.Parameter.empty:
        return False
    resolved = scope.resolved(annotation, quietly=True)
    members = typing.get_args(resolved) or (resolved,)
    return any(isinstance(member, type) and issubclass(member, module.TaskFiles) for member in members)


class Scope:
    """The names that a handler's annotations may use: those of its module, of its closure, and of the functions that it
    is defined in, as long as these run."""

    def __init__(self, func: Any) -> None:
        while isinstance(func, functools.partial):
            func = func.func
        inner = inspect.unwrap(func)
        inner = getattr(inner, "__func__", inner)
        if not hasattr(inner, "__globals__"):
            inner = getattr(type(inner).__call__, "__func__", type(inner).__call__)
        self.globals: dict[str, Any] = getattr(inner, "__globals__", {})
        self.names: dict[str, Any] = _enclosing(self.globals)
        code = getattr(inner, "__code__", None)
        cells = zip(code.co_freevars, inner.__closure__ or (), strict=False) if code else ()
        for name, cell in cells:
            try:
                self.names[name] = cell.cell_contents
            except ValueError:
                # Not assigned yet.
                continue

    def resolved(self, annotation: Any, *, quietly: bool = False) -> Any:
        """Returns an annotation as a type. An unresolvable one raises ``TypeError``, or is ``Any`` if ``quietly``."""
        if annotation is inspect.Parameter.empty:
            return Any
        one = types.SimpleNamespace(__annotations__={"it": annotation})
        try:
            return typing.get_type_hints(one, self.globals, self.names, include_extras=True)["it"]
        except Exception as error:  # evaluating an annotation may raise anything
            if quietly or isinstance(error, SyntaxError) or not _has_text(annotation):
                # The annotation is not a type but perhaps a remark for people, so nothing is checked.
                return Any
            raise TypeError(f"the annotation `{annotation}` of `params` cannot be resolved: {error}") from None


def _has_text(annotation: Any) -> bool:
    if isinstance(annotation, (str, typing.ForwardRef)):
        return True
    return any(_has_text(argument) for argument in typing.get_args(annotation))


def _enclosing(names: dict[str, Any]) -> dict[str, Any]:
    """Returns the local variables of the module's functions that are running: a class may be local to one of them."""
    scopes: list[dict[str, Any]] = []
    frame: types.FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_globals is names and frame.f_locals is not frame.f_globals:
            scopes.append(frame.f_locals)
        frame = frame.f_back
    found: dict[str, Any] = {}
    for scope in reversed(scopes):
        found.update((name, value) for name, value in scope.items() if _is_for_annotations(value))
    return found


def _is_for_annotations(value: Any) -> bool:
    """Returns whether a value may be part of an annotation; other values are not kept alive."""
    return isinstance(value, (type, types.ModuleType)) or type(value).__module__ in ("typing", "types")
