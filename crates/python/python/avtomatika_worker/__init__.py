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

from .worker import Worker

# As in `typing`, whose import would take most of the time of importing this package.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ._blueprint import SkillBlueprint
    from ._bridge import Stopped, WorkerError
    from ._client import OrchestratorClient
    from ._offers import CancellationToken
    from ._threads import TaskCancelled, shielded
    from ._version import __version__ as __version__
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
    from .logging import setup_logging
    from .models import DeviceUsage, ResourcesUsage, SkillInfo
    from .observability import ObservabilityManager
    from .task_files import TaskFiles
    from .validators import is_valid_identifier, validate_identifier

__all__ = [
    "CancellationToken",
    "ConfigError",
    "DeviceUsage",
    "IntegrityMismatchError",
    "InvalidInputError",
    "ObservabilityManager",
    "OrchestratorClient",
    "ParamValidationError",
    "PermanentError",
    "ResourceExhaustedError",
    "ResourcesUsage",
    "SkillBlueprint",
    "SkillInfo",
    "Stopped",
    "TaskCancelled",
    "TaskError",
    "TaskFiles",
    "TaskTimeoutError",
    "TransientError",
    "Worker",
    "WorkerConfig",
    "WorkerError",
    "is_valid_identifier",
    "setup_logging",
    "shielded",
    "validate_identifier",
]

# The modules of the other names. They are imported on first use, so that importing the package is fast.
_HOMES = {
    "CancellationToken": "_offers",
    "DeviceUsage": "models",
    "ObservabilityManager": "observability",
    "OrchestratorClient": "_client",
    "ResourcesUsage": "models",
    "SkillBlueprint": "_blueprint",
    "SkillInfo": "models",
    "Stopped": "_bridge",
    "TaskCancelled": "_threads",
    "TaskFiles": "task_files",
    "WorkerConfig": "config",
    "WorkerError": "_bridge",
    "__version__": "_version",
    "is_valid_identifier": "validators",
    "setup_logging": "logging",
    "shielded": "_threads",
    "validate_identifier": "validators",
}

# Modules that the existing SDK imports with the package.
_MODULES = ("config", "logging", "observability", "s3", "task_files", "types")


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        from importlib import import_module

        return import_module(f".{name}", __name__)
    if name not in __all__ and name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f".{_HOMES.get(name, 'errors')}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
