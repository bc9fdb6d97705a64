"""The exceptions of files and of the storage. Each is also the exception of Python that a program would expect."""

from __future__ import annotations

from typing import Any

from .errors import IntegrityMismatchError, PermanentError, TaskError, of_code

__all__ = ["ForbiddenNameError", "IntegrityError", "NoStorageError", "ObjectNotFoundError", "UnusableNameError"]


class ForbiddenNameError(PermanentError, PermissionError):
    """A name leads out of the directory."""


class UnusableNameError(PermanentError, OSError, ValueError):
    """A name or an address cannot be used: it is that of a directory, not of a file, or it is not valid."""


class ObjectNotFoundError(PermanentError, FileNotFoundError):
    """The storage has no such object, or no such bucket."""


class NoStorageError(PermanentError, RuntimeError):
    """There is no storage: ``S3_ENDPOINT_URL`` is not set."""


class IntegrityError(IntegrityMismatchError, ValueError):
    """A file differs from its announced metadata."""

    def __init__(
        self,
        message: object = "",
        details: dict[str, Any] | None = None,
        *,
        code: str | None = None,
    ) -> None:
        super().__init__(message, code=code, details=details)


_KINDS: dict[object, type[TaskError]] = {
    "security": ForbiddenNameError,
    "unusable_name": UnusableNameError,
    "object_not_found": ObjectNotFoundError,
    "no_storage": NoStorageError,
    "integrity": IntegrityError,
}


def of_failure(code: str, message: str, details: str | None) -> TaskError:
    """Returns the exception for a failure of the core; ``details`` is JSON text."""
    error = of_code(code, message, details)
    kind = _KINDS.get((error.details or {}).get("type"))
    return error if kind is None else kind(message, code=code, details=error.details)
