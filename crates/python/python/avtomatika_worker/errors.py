"""The exceptions that a handler raises to fail its task, and the one for an invalid configuration."""

from __future__ import annotations

from typing import Any, ClassVar

__all__ = [
    "ConfigError",
    "IntegrityMismatchError",
    "InvalidInputError",
    "ParamValidationError",
    "PermanentError",
    "ResourceExhaustedError",
    "TaskError",
    "TaskTimeoutError",
    "TransientError",
]


class TaskError(Exception):
    """A failure with a code, which decides how the orchestrator treats the job. Any other exception counts as a transient
    failure.

    ``details`` is a dictionary for programs. ``code`` may be a code of your own.
    """

    default_code: ClassVar[str] = "TRANSIENT_ERROR"

    def __init__(self, message: object = "", *, code: str | None = None, details: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code: str = self.default_code if code is None else code
        self.message: str = str(message)
        self.details: dict[str, Any] | None = details

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuilt, (type(self), self.args, self.__dict__)


def _rebuilt(kind: type[TaskError], args: tuple[Any, ...], state: dict[str, Any]) -> TaskError:
    """Makes a pickled error again, for example one from a pool of processes."""
    error = kind.__new__(kind, *args)
    Exception.__init__(error, *args)
    error.__dict__.update(state)
    return error


class TransientError(TaskError):
    """A failure that may pass: the task is dispatched again, up to 3 times."""


class PermanentError(TaskError):
    """A failure that will not pass: the job is quarantined."""

    default_code: ClassVar[str] = "PERMANENT_ERROR"


class InvalidInputError(TaskError):
    """The parameters are invalid: the job fails."""

    default_code: ClassVar[str] = "INVALID_INPUT_ERROR"


class ParamValidationError(InvalidInputError):
    """The parameters do not match the handler's annotation. ``details["problems"]`` lists the path and the problem of
    each mismatch."""


class TaskTimeoutError(TaskError):
    """The task took too long: it is dispatched again."""

    default_code: ClassVar[str] = "TIMEOUT_ERROR"


class ResourceExhaustedError(TaskError):
    """Memory, disk or another resource ran out: the task is dispatched again."""

    default_code: ClassVar[str] = "RESOURCE_EXHAUSTED_ERROR"


class IntegrityMismatchError(TaskError):
    """A file differs from its announced metadata."""

    default_code: ClassVar[str] = "INTEGRITY_MISMATCH_ERROR"


class ConfigError(ValueError):
    """The configuration is invalid. ``problems`` has one text for each invalid option."""

    def __init__(self, problems: list[str] | tuple[str, ...] | str) -> None:
        self.problems: list[str] = [problems] if isinstance(problems, str) else list(problems)
        super().__init__("the configuration is wrong: " + "; ".join(self.problems))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.problems,)


def of_code(code: str, message: str, details: str | None) -> TaskError:
    """Returns the exception for a code; ``details`` is JSON text."""
    import json

    kinds = (PermanentError, InvalidInputError, TaskTimeoutError, ResourceExhaustedError, IntegrityMismatchError)
    kind = next((kind for kind in kinds if kind.default_code == code), TransientError)
    return kind(message, code=code, details=None if details is None else json.loads(details))
