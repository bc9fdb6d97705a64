"""The error codes of failures, and types for arguments that users pass.

``avtomatika_worker.types`` is the older name of this module.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from .errors import ParamValidationError

__all__ = [
    "CONTRACT_VIOLATION_ERROR",
    "DEPENDENCY_ERROR",
    "DEPENDENCY_MISSING_ERROR",
    "INTEGRITY_MISMATCH_ERROR",
    "INTERNAL_ERROR",
    "INVALID_INPUT_ERROR",
    "PERMANENT_ERROR",
    "RESOURCE_EXHAUSTED_ERROR",
    "SECURITY_ERROR",
    "TIMEOUT_ERROR",
    "TRANSIENT_ERROR",
    "CapacityChecker",
    "Middleware",
    "ParamValidationError",
]

TRANSIENT_ERROR = "TRANSIENT_ERROR"
"""The failure may pass: the task is dispatched again."""
PERMANENT_ERROR = "PERMANENT_ERROR"
"""The failure will not pass: the job is quarantined."""
INVALID_INPUT_ERROR = "INVALID_INPUT_ERROR"
"""The parameters are invalid: the job fails."""
TIMEOUT_ERROR = "TIMEOUT_ERROR"
"""The task took too long."""
RESOURCE_EXHAUSTED_ERROR = "RESOURCE_EXHAUSTED_ERROR"
"""Memory, disk or another resource ran out."""
INTEGRITY_MISMATCH_ERROR = "INTEGRITY_MISMATCH_ERROR"
"""A file differs from its announced metadata."""
SECURITY_ERROR = "SECURITY_ERROR"
"""A signature is missing or invalid, or a policy was violated."""
DEPENDENCY_ERROR = "DEPENDENCY_ERROR"
"""A dependency of the task failed."""
DEPENDENCY_MISSING_ERROR = "DEPENDENCY_MISSING_ERROR"
"""A dependency of the task is missing."""
CONTRACT_VIOLATION_ERROR = "CONTRACT_VIOLATION_ERROR"
"""A message does not match its schema."""
INTERNAL_ERROR = "INTERNAL_ERROR"
"""A bug in the worker or the orchestrator."""

CapacityChecker: TypeAlias = Callable[[str], bool]
"""A function that gets the name of a task, and returns whether the worker can accept one more task of this name."""

Middleware: TypeAlias = (
    Callable[[dict[str, Any], Callable[[], Awaitable[Any]]], Awaitable[Any]]
    | Callable[[dict[str, Any], Callable[[], Any]], Any]
)
"""A function that wraps a task: it gets the context and the next handler, and returns the result."""
