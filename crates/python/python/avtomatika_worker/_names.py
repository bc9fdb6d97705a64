"""Further names of ``avtomatika_worker.worker``, which the existing SDK has there and programs import from there."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__all__ = ["find"]

_CONSTANTS = {
    "COMMAND_CANCEL_TASK": "cancel_task",
    "ERROR_CODE_CONTRACT_VIOLATION": "CONTRACT_VIOLATION_ERROR",
    "ERROR_CODE_INTEGRITY_MISMATCH": "INTEGRITY_MISMATCH_ERROR",
    "ERROR_CODE_INVALID_INPUT": "INVALID_INPUT_ERROR",
    "ERROR_CODE_PERMANENT": "PERMANENT_ERROR",
    "ERROR_CODE_TRANSIENT": "TRANSIENT_ERROR",
    "EVENT_TYPE_PROGRESS": "progress",
    "HB_RESP_CANCEL_TASKS": "cancel_task_ids",
    "HB_RESP_REQUIRE_FULL_SYNC": "require_full_sync",
    "MSG_TYPE_PROGRESS": "progress_update",
    "TASK_STATUS_CANCELLED": "cancelled",
    "TASK_STATUS_FAILURE": "failure",
    "TASK_STATUS_SUCCESS": "success",
    "WORKER_STATUS_DRAINING": "draining",
}

_HOMES = {
    "_blueprint": ("SkillBlueprint",),
    "_client": ("OrchestratorClient",),
    "config": ("WorkerConfig",),
    "errors": ("ParamValidationError",),
    "extraction": (
        "worker_extract_json_schema",
        "worker_extract_output_schema_from_func",
        "worker_extract_schema_from_func",
    ),
    "logging": ("clear_context", "set_context", "setup_logging"),
    "observability": ("ObservabilityManager",),
    "s3": ("S3Manager",),
    "task_files": ("TaskFiles",),
    "typing": ("CapacityChecker", "Middleware"),
    "validators": ("is_valid_identifier", "validate_identifier"),
}


def find(module: str, name: str) -> Any:
    """Returns the value of a name of the module ``avtomatika_worker.worker``."""
    if name in _CONSTANTS:
        return _CONSTANTS[name]
    if name == "logger":
        from logging import getLogger

        return getLogger(module)
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f".{home}", __package__), name)
    if not name.startswith("_"):
        # All messages. `TaskError` is one of them there, not the exception.
        from . import models

        if name in models.__all__:
            return getattr(models, name)
    raise AttributeError(f"module {module!r} has no attribute {name!r}")
