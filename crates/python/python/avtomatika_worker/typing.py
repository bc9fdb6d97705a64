"""The codes that a failure can have, and the types of what users pass in.

``avtomatika_worker.types`` is the same under its older name.
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
"""May pass: the task is dispatched again."""
PERMANENT_ERROR = "PERMANENT_ERROR"
"""Will not pass: the job is quarantined."""
INVALID_INPUT_ERROR = "INVALID_INPUT_ERROR"
"""The parameters are wrong: the job fails."""
TIMEOUT_ERROR = "TIMEOUT_ERROR"
"""It took too long."""
RESOURCE_EXHAUSTED_ERROR = "RESOURCE_EXHAUSTED_ERROR"
"""Memory, disk or another resource ran out."""
INTEGRITY_MISMATCH_ERROR = "INTEGRITY_MISMATCH_ERROR"
"""A file is not the one that was announced."""
SECURITY_ERROR = "SECURITY_ERROR"
"""A signature is missing or wrong, or a policy was broken."""
DEPENDENCY_ERROR = "DEPENDENCY_ERROR"
"""What the task depends on failed."""
DEPENDENCY_MISSING_ERROR = "DEPENDENCY_MISSING_ERROR"
"""What the task depends on is not there."""
CONTRACT_VIOLATION_ERROR = "CONTRACT_VIOLATION_ERROR"
"""A message does not obey its schema."""
INTERNAL_ERROR = "INTERNAL_ERROR"
"""A mistake in the worker or the orchestrator."""

CapacityChecker: TypeAlias = Callable[[str], bool]
"""Is asked whether a task, given by its name, can be accepted now."""

Middleware: TypeAlias = (
    Callable[[dict[str, Any], Callable[[], Awaitable[Any]]], Awaitable[Any]]
    | Callable[[dict[str, Any], Callable[[], Any]], Any]
)
"""Wraps a task: gets the context and the next handler, returns the result."""
