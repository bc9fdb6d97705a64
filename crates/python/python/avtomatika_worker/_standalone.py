"""Directories and the storage outside of a worker, one object for each configuration and process."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from . import _native

if TYPE_CHECKING:
    from .config import WorkerConfig

__all__ = ["Storage", "directory"]


class Storage:
    """The storage of a configuration, which is read on first use."""

    def __init__(self, config: WorkerConfig | None) -> None:
        self._config = config
        self._made: tuple[int, _native.Standalone] | None = None

    def native(self) -> _native.Standalone:
        """Returns the native object of this process: the threads of another process are not here."""
        process = os.getpid()
        if self._made is None or self._made[0] != process:
            self._made = process, _native.Standalone(None if self._config is None else _native_config(self._config))
        return self._made[1]


def _native_config(config: Any) -> _native.Config:
    native = getattr(config, "_native", None)
    if isinstance(native, _native.Config):
        return native
    # A program's own object with the options as attributes.
    values = {row[0]: getattr(config, row[0], None) for row in _native.options()}
    return _native.Config({name: str(value) for name, value in values.items() if isinstance(value, str | int | float)})


_none = Storage(None)


def directory(path: str, key_prefix: str = "", manager: Any = None) -> _native.TaskFiles:
    """Returns the files in a directory. Without the ``S3Manager`` of this package there is no storage: a program's own
    stand-in for it serves its tests."""
    storage = getattr(manager, "_storage", None)
    return (storage if isinstance(storage, Storage) else _none).native().directory(path, key_prefix)
