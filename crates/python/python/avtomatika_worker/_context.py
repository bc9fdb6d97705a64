"""The context that middleware gets, whose rarely used members are made when they are read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, KeysView
from functools import cached_property, wraps
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .config import WorkerConfig

__all__ = ["Context", "Tools"]


class Tools:
    """The objects that the handlers and the middleware of all tasks of a run share."""

    def __init__(self, config: WorkerConfig, worker_type: str | None) -> None:
        self._config = config
        self._worker_type = worker_type

    @cached_property
    def s3_manager(self) -> Any:
        """An ``avtomatika_worker.s3.S3Manager``."""
        return import_module(".s3", __package__).S3Manager(self._config)

    @cached_property
    def observability(self) -> Any:
        """An ``avtomatika_worker.observability.ObservabilityManager``, enabled by ``WORKER_ENABLE_METRICS``."""
        from ._version import __version__

        config, manager = self._config, import_module(".observability", __package__).ObservabilityManager
        if not config.WORKER_ENABLE_METRICS:
            return manager(enabled=False)
        return manager(
            True, "avtomatika-worker", config.WORKER_ID, self._worker_type or config.WORKER_TYPE, __version__
        )


_TOOLS = ("s3_manager", "observability")


class Context(dict[str, Any]):
    """A dictionary that also has the members of ``Tools``, each of which is made when its value is read."""

    __slots__ = ("_open", "_tools")

    def __init__(self, tools: Tools, members: dict[str, Any]) -> None:
        super().__init__(members)
        self._tools = tools
        # The members that are not made yet.
        self._open: tuple[str, ...] = _TOOLS

    def __missing__(self, key: str) -> Any:
        if key not in self._open:
            raise KeyError(key)
        value = getattr(self._tools, key)
        self[key] = value
        return value

    def __setitem__(self, key: str, value: Any) -> None:
        if key in self._open:
            self._open = tuple(name for name in self._open if name != key)
        dict.__setitem__(self, key, value)

    def __delitem__(self, key: str) -> None:
        if key in self._open:
            self._open = tuple(name for name in self._open if name != key)
        else:
            dict.__delitem__(self, key)

    def pop(self, key: str, *default: Any) -> Any:
        if key in self._open:
            self.__missing__(key)
        return dict.pop(self, key, *default)

    def setdefault(self, key: str, default: Any = None) -> Any:
        if key in self._open:
            self.__missing__(key)
        return dict.setdefault(self, key, default)

    def get(self, key: str, default: Any = None) -> Any:
        return self[key] if key in self else default  # noqa: SIM401 - `get` of a dictionary does not make a value

    def __contains__(self, key: object) -> bool:
        return dict.__contains__(self, key) or key in self._open

    def __len__(self) -> int:
        return dict.__len__(self) + len(self._open)

    def __iter__(self) -> Iterator[str]:
        return iter([*dict.__iter__(self), *self._open])

    # `dict(context)` and `**context` use `keys` and then read each value.
    def keys(self) -> Any:
        return KeysView(self)


def _complete(name: str) -> Callable[..., Any]:
    """Returns a method of dictionaries that makes all members first."""
    plain = getattr(dict, name)

    @wraps(plain)
    def call(self: Context, *arguments: Any, **named: Any) -> Any:
        for key in self._open:
            self.__missing__(key)
        return plain(self, *arguments, **named)

    return call


for _name in ("values", "items", "copy", "popitem", "update", "clear"):
    setattr(Context, _name, _complete(_name))
for _name in ("__eq__", "__or__", "__ror__", "__ior__", "__reversed__"):
    setattr(Context, _name, _complete(_name))
