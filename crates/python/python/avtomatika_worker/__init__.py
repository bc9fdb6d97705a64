"""The worker side of the Avtomatika task orchestrator: Python handlers on a core written in Rust.

::

    from avtomatika_worker import Worker

    worker = Worker(worker_type="image-processing")

    @worker.task("resize_image")
    async def resize_image(params: dict, task_id: str):
        return {"data": {"width": params["width"]}}

    if __name__ == "__main__":
        worker.run_with_health_check()
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .worker import Worker

if TYPE_CHECKING:
    from ._bridge import Stopped, WorkerError
    from ._offers import CancellationToken
    from ._threads import TaskCancelled, shielded
    from .config import WorkerConfig
    from .errors import (
        ConfigError,
        IntegrityMismatchError,
        InvalidInputError,
        ParamValidationError,
        PermanentError,
        ResourceExhaustedError,
        TaskError,
        TaskTimeoutError,
        TransientError,
    )
    from .task_files import TaskFiles

__all__ = [
    "CancellationToken",
    "ConfigError",
    "IntegrityMismatchError",
    "InvalidInputError",
    "ParamValidationError",
    "PermanentError",
    "ResourceExhaustedError",
    "Stopped",
    "TaskCancelled",
    "TaskError",
    "TaskFiles",
    "TaskTimeoutError",
    "TransientError",
    "Worker",
    "WorkerConfig",
    "WorkerError",
    "shielded",
]

# The modules of the other names. They are imported on first use, so that importing the package is fast.
_HOMES = {
    "CancellationToken": "_offers",
    "Stopped": "_bridge",
    "TaskCancelled": "_threads",
    "TaskFiles": "task_files",
    "WorkerConfig": "config",
    "WorkerError": "_bridge",
    "shielded": "_threads",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f".{_HOMES.get(name, 'errors')}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
