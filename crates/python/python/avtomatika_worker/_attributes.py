"""The attributes of a configuration: their types, and the dictionary that ``vars`` shows."""

from __future__ import annotations

from typing import Any

__all__ = ["Attributes", "Variables", "attributes"]


class Attributes:
    """The options of a worker with their types."""

    # Identity
    WORKER_ID: str
    WORKER_TYPE: str
    WORKER_HOSTNAME: str
    WORKER_IP_ADDRESS: str
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
    GPU_ID: str
    RAM_GB: float | None
    WORKER_DEVICES: list[dict[str, Any]]
    INSTALLED_SOFTWARE: dict[str, str]
    INSTALLED_MODELS: list[dict[str, Any]]
    INSTALLED_ARTIFACTS: list[dict[str, Any]]
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
    HOSTNAME: str
    IP_ADDRESS: str
    SECRET_KEY: str
    SHUTDOWN_TIMEOUT: float
    # Attributes of 1.0b20 that the core does not know
    HEARTBEAT_COOLDOWN: float
    POLL_BACKOFF_FACTOR: float
    POLL_BACKOFF_INITIAL: float
    POLL_BACKOFF_MAX: float
    RATE_LIMIT_BACKOFF_FLOOR: float
    REGISTRATION_RETRY_INITIAL_DELAY: float
    REGISTRATION_RETRY_MAX_DELAY: float
    WORKER_ENABLE_METRICS: bool
    WORKER_SKILLS_DIR: str


attributes = vars(Attributes)["__dict__"].__get__
"""Returns the dictionary of an instance's own attributes, which ``WorkerConfig.__dict__`` hides."""


class Variables(dict[str, Any]):
    """The attributes of a configuration. Changes are made to the configuration, too."""

    def __init__(self, config: Attributes, values: dict[str, Any]) -> None:
        super().__init__(values)
        self._config = config

    def __setitem__(self, name: str, value: Any) -> None:
        setattr(self._config, name, value)
        super().__setitem__(name, value)

    def __delitem__(self, name: str) -> None:
        delattr(self._config, name)
        super().__delitem__(name)

    def update(self, *others: Any, **named: Any) -> None:
        for name, value in dict(*others, **named).items():
            self[name] = value
