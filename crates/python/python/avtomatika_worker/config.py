"""The configuration of a worker: the environment, overridden by attributes set in code."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from . import _native
from .errors import ConfigError

__all__ = ["ConfigError", "WorkerConfig"]

_ALIASES = {
    # The attributes of 1.0b4.
    "ENABLE_WEBSOCKETS": "WORKER_ENABLE_WEBSOCKETS",
    "HEARTBEAT_DEBOUNCE_DELAY": "WORKER_HEARTBEAT_DEBOUNCE_DELAY",
    # The attributes of 1.0b20.
    "SECRET_KEY": "ORCHESTRATOR_SECRET_KEY",
    "SHUTDOWN_TIMEOUT": "WORKER_SHUTDOWN_TIMEOUT",
}


class WorkerConfig:
    """All options of a worker, as attributes with the names of the environment variables.

    Creating it reads the environment once, and never fails: invalid variables are reported by ``validate()``, and when
    the worker runs. Setting an attribute overrides its variable; an invalid value raises ``ConfigError``, which names the
    expected values. ``None`` or an empty text restores the default of an option. Times are in seconds.

    Attributes cannot be set while a worker runs with the configuration.
    """

    _native_config: _native.Config
    # Lists and dictionaries that were read, and may be changed in place, with their JSON at that time.
    _lent: dict[str, tuple[Any, str]]
    # The number of workers that run with this configuration.
    _loaned: int

    # Identity
    WORKER_ID: str
    WORKER_TYPE: str
    # Orchestrators
    ORCHESTRATOR_URL: str | None
    ORCHESTRATORS_CONFIG: list[dict[str, Any]]
    MULTI_ORCHESTRATOR_MODE: str
    WORKER_TOKEN: str
    WORKER_INDIVIDUAL_TOKEN: str | None
    # Security
    TLS_CA_PATH: str | None
    TLS_CERT_PATH: str | None
    TLS_KEY_PATH: str | None
    ORCHESTRATOR_SECRET_KEY: str | None
    REQUIRE_TASK_SIGNATURE: bool
    # Proxies
    HTTP_PROXY: str | None
    HTTPS_PROXY: str | None
    NO_PROXY: str | None
    # Capacity
    MAX_CONCURRENT_TASKS: int
    WORKER_CAPACITY_REPORTING: str
    WORKER_TASK_TIMEOUT: float | None
    COST_PER_SKILL: dict[str, float]
    CPU_CORES: int
    GPU_MODEL: str | None
    GPU_VRAM_GB: float
    INSTALLED_SOFTWARE: dict[str, str]
    INSTALLED_MODELS: list[dict[str, Any]]
    # Heartbeats and commands
    HEARTBEAT_INTERVAL: float
    WORKER_HEARTBEAT_DEBOUNCE_DELAY: float
    WORKER_TELEMETRY_DEADBAND: float
    WORKER_TELEMETRY_FORCE_INTERVAL: float
    WORKER_ENABLE_WEBSOCKETS: bool
    STRICT_EVENT_VALIDATION: bool
    # Polling
    TASK_POLL_TIMEOUT: float
    TASK_POLL_ERROR_DELAY: float
    IDLE_POLL_DELAY: float
    WORKER_MAX_POLLERS: int
    # Results
    RESULT_MAX_RETRIES: int
    RESULT_RETRY_INITIAL_DELAY: float
    WORKER_RESULT_MAX_AGE: float
    RESULT_RESEND_AMBIGUOUS: bool
    WORKER_OUTBOX_DIR: str | None
    # Shutdown
    WORKER_SHUTDOWN_TIMEOUT: float
    WORKER_SHUTDOWN_POLLS: str
    # Files
    TASK_FILES_DIR: str
    S3_ENDPOINT_URL: str | None
    S3_ACCESS_KEY: str | None
    S3_SECRET_KEY: str | None
    S3_DEFAULT_BUCKET: str
    S3_REGION: str
    WORKER_BLOB_CACHE_DIR: str | None
    WORKER_BLOB_CACHE_SIZE: int
    # Health server
    WORKER_HOST: str
    WORKER_PORT: int
    # Log
    LOG_FORMAT: str
    LOG_LEVEL: str
    # Other names of some of these
    ENABLE_WEBSOCKETS: bool
    HEARTBEAT_DEBOUNCE_DELAY: float
    SECRET_KEY: str | None
    SHUTDOWN_TIMEOUT: float

    def __init__(self) -> None:
        self._make(_native.Config({_readable(name): _readable(value) for name, value in os.environ.items()}))

    def _make(self, native: _native.Config) -> None:
        object.__setattr__(self, "_native_config", native)
        object.__setattr__(self, "_lent", {})
        object.__setattr__(self, "_loaned", 0)

    @property
    def ORCHESTRATORS(self) -> list[dict[str, Any]]:
        """The orchestrators in use, with their tokens: those of ``ORCHESTRATORS_CONFIG``, else the one of
        ``ORCHESTRATOR_URL``. Setting it has the same effect as setting ``ORCHESTRATORS_CONFIG``."""
        return self._lend("ORCHESTRATORS", self._native_config.orchestrators)  # type: ignore[no-any-return]

    @ORCHESTRATORS.setter
    def ORCHESTRATORS(self, value: list[dict[str, Any]]) -> None:
        self._set("ORCHESTRATORS", value)

    @property
    def EXTRA_CAPABILITIES(self) -> dict[str, Any]:
        """Additional capabilities that orchestrators are sent: ``WORKER_EXTRA_RACK=7`` becomes ``{"rack": 7}``."""
        return self._lend("EXTRA_CAPABILITIES", self._native_config.extra)  # type: ignore[no-any-return]

    @EXTRA_CAPABILITIES.setter
    def EXTRA_CAPABILITIES(self, value: dict[str, Any]) -> None:
        self._set("EXTRA_CAPABILITIES", value)

    def validate(self) -> None:
        """Raises ``ConfigError`` with all problems, if there are any. Reads the files of certificates and keys."""
        problems = self._native.problems()
        if problems:
            raise ConfigError(problems)

    @property
    def _native(self) -> _native.Config:
        """The native configuration, with all values that were changed in place."""
        for name, (value, before) in list(self._lent.items()):
            after = _as_text(name, value)
            if after != before:
                self._write(name, after)
                self._lent[name] = (value, after)
        return self._native_config

    def _borrow(self) -> None:
        """Prevents changes until ``_give_back`` has been called as many times."""
        object.__setattr__(self, "_loaned", self._loaned + 1)

    def _give_back(self) -> None:
        object.__setattr__(self, "_loaned", self._loaned - 1)

    def _get(self, name: str) -> Any:
        if name == "WORKER_ID":
            # The generated id, if none is set.
            return self._native_config.worker_id()
        value = self._native_config.get(name)
        return self._lend(name, lambda: value) if isinstance(value, bytes) else value

    def _lend(self, name: str, read: Any) -> Any:
        if name not in self._lent:
            import json

            value = json.loads(read())
            self._lent[name] = (value, _as_text(name, value))
        return self._lent[name][0]

    def _set(self, name: str, value: Any) -> None:
        if self._loaned:
            raise RuntimeError(f"`{name}` cannot be set while a worker runs with this configuration")
        text = _as_text(name, value)
        self._write(name, text)
        # `ORCHESTRATORS` depends on the other options of orchestrators and tokens.
        self._lent.clear() if "ORCHESTRATOR" in name or "TOKEN" in name else self._lent.pop(name, None)

    def _write(self, name: str, text: str) -> None:
        try:
            if name == "EXTRA_CAPABILITIES":
                self._native_config.set_extra(text or "{}")
            else:
                self._native_config.set("ORCHESTRATORS_CONFIG" if name == "ORCHESTRATORS" else name, text)
        except ValueError as error:
            raise ConfigError(str(error)) from None

    # Hidden from type checkers, which would otherwise accept any attribute.
    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            # Called for attributes that do not exist only.
            raise AttributeError(_unknown(name), name=name, obj=self)

        def __setattr__(self, name: str, value: Any) -> None:
            if not isinstance(getattr(type(self), name, None), property) or name == "_native":
                raise AttributeError(_unknown(name), name=name, obj=self)
            object.__setattr__(self, name, value)

        def __delattr__(self, name: str) -> None:
            raise AttributeError(
                f"`{name}` cannot be deleted; set it to `None` to restore its default", name=name, obj=self
            )

    def __copy__(self) -> WorkerConfig:
        other = type(self).__new__(type(self))
        other._make(self._native.copy())
        return other

    def __deepcopy__(self, memo: dict[int, Any]) -> WorkerConfig:
        return self.__copy__()

    def __reduce__(self) -> Any:
        raise TypeError("a `WorkerConfig` holds secrets and cannot be pickled; create one where it is needed")

    def __repr__(self) -> str:
        """Shows the options that are set, without secrets."""
        shown = ", ".join(
            f"{name}={value if value is not None else 'None'}"
            for name, value, source in self._native_config.effective()
            if source != "default"
        )
        return f"WorkerConfig({shown})"


def _unknown(name: str) -> str:
    from difflib import get_close_matches

    names = [known for known, value in vars(WorkerConfig).items() if isinstance(value, property) and known[0] != "_"]
    nearest = get_close_matches(name.upper(), names, n=1, cutoff=0)
    return f"there is no option `{name}`; the closest name is `{nearest[0]}`"


def _readable(text: str) -> str:
    """Replaces the bytes of a variable that are not UTF-8, so that the text is reported as invalid."""
    return text if text.isascii() else os.fsencode(text).decode(errors="replace")


def _as_text(name: str, value: Any) -> str:
    """Returns a value as the text of its variable."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return int.__repr__(value)
    if isinstance(value, float):
        return float.__repr__(value)
    if isinstance(value, os.PathLike):
        return os.fsdecode(value)
    if isinstance(value, (dict, list, tuple)):
        import json

        try:
            return json.dumps(value, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise ConfigError(f"`{name}` is not JSON: {error}") from None
    if hasattr(value, "total_seconds"):
        return float.__repr__(value.total_seconds())
    kind = type(value).__name__
    raise ConfigError(f"`{name}` is of the type `{kind}`, expected text, a number, a boolean, a list or a dictionary")


def _make_attributes() -> None:
    """Makes a property for each row of the table, so that no option is listed twice."""

    def attribute(name: str, documentation: str) -> property:
        return property(
            lambda config: config._get(name), lambda config, value: config._set(name, value), doc=documentation
        )

    for variable, _, default, accepts, meaning in _native.options():
        setattr(WorkerConfig, variable, attribute(variable, f"{meaning} Default: {default}. Accepts {accepts}."))
    for alias, variable in _ALIASES.items():
        setattr(WorkerConfig, alias, attribute(variable, f"Another name for ``{variable}``."))


_make_attributes()
