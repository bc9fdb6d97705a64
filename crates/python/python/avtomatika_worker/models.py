"""The messages between workers and orchestrators, as objects: what a program hands to the worker, or gets from it.

All of them compare by their values, cannot be changed, and take their fields by position or by name. A subclass with
further annotated fields needs no decorator::

    class RenderSkill(SkillInfo):
        engine: str = "cycles"
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Iterator, Mapping
from copy import copy
from types import UnionType
from typing import TYPE_CHECKING, Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints
from weakref import WeakKeyDictionary

from . import _matching

if TYPE_CHECKING:
    from typing import dataclass_transform
else:
    # What it leaves at the class is of no use when the program runs.
    def dataclass_transform(**_: Any) -> Any:
        return lambda kind: kind


__all__ = [
    "DeviceUsage",
    "FileMetadata",
    "GPUInfo",
    "HardwareDevice",
    "Heartbeat",
    "InstalledArtifact",
    "InstalledModel",
    "Model",
    "ProgressUpdatePayload",
    "Resources",
    "ResourcesUsage",
    "SecurityContext",
    "SkillInfo",
    "TaskError",
    "TaskPayload",
    "TaskResult",
    "TokenResponse",
    "WorkerCapabilities",
    "WorkerCommand",
    "WorkerEventPayload",
    "WorkerRegistration",
    "fields",
    "from_dict",
    "replace",
    "to_dict",
]

_M = TypeVar("_M", bound="Model")


@dataclass_transform(frozen_default=True)
class Model:
    """A message. Its subclasses are dataclasses."""

    def __init_subclass__(cls, *, kw_only: bool = False, **_: Any) -> None:
        # The existing SDK's classes take further options of this kind, which change nothing of what is sent.
        super().__init_subclass__()
        for name in inspect.get_annotations(cls):
            default = cls.__dict__.get(name)
            if isinstance(default, (list, dict, set)):
                setattr(cls, name, dataclasses.field(default_factory=_copies(default)))
        dataclasses.dataclass(frozen=True, kw_only=kw_only)(cls)


def _copies(value: Any) -> Any:
    return lambda: copy(value)


def to_dict(obj: Any) -> Any:
    """Returns a message as a dictionary for JSON, without the fields that have their default values."""
    if dataclasses.is_dataclass(obj) and not isinstance(obj, type):
        return {
            field.name: to_dict(content)
            for field in dataclasses.fields(obj)
            if not _is_default(field, content := getattr(obj, field.name))
        }
    if isinstance(obj, dict):
        return {name: to_dict(content) for name, content in obj.items()}
    if isinstance(obj, (list, tuple, set, frozenset)):
        return [to_dict(content) for content in obj]
    return obj


def _is_default(field: dataclasses.Field[Any], value: Any) -> bool:
    made = field.default_factory
    default = field.default if made is dataclasses.MISSING else made()
    return value is None or (default is not dataclasses.MISSING and bool(value == default))


def from_dict(cls: type[_M], data: dict[str, Any]) -> _M:
    """Makes a message from a dictionary, with the messages in it; members without a field are left out. Raises
    ``ValueError`` if one is missing, or is no message where there must be one."""
    hints = _hints(cast(Any, cls))
    try:
        return cls(**{name: _read(hints[name], value) for name, value in data.items() if name in hints})
    except (TypeError, ValueError) as error:
        raise ValueError(f"a `{cls.__name__}` cannot be made: {error}") from None


_known: WeakKeyDictionary[type[Any], dict[str, Any]] = WeakKeyDictionary()


def _hints(cls: type[Any]) -> dict[str, Any]:
    """The types of the fields; None where they are not known."""
    if cls not in _known:
        _known[cls] = _read_hints(cls)
    return _known[cls]


def _read_hints(cls: type[Any]) -> dict[str, Any]:
    try:
        known = get_type_hints(cls)
    except Exception:
        # A name in an annotation of a subclass may be for type checkers only: the fields of its bases are known.
        bases: list[Any] = [base for base in cls.__mro__[1:] if dataclasses.is_dataclass(base)]
        known = {name: hint for base in reversed(bases) for name, hint in _hints(base).items()}
    return {field.name: known.get(field.name) for field in dataclasses.fields(cls)}


def _read(hint: Any, value: Any) -> Any:
    """Makes the messages in a value, as its type says."""
    if value is None or hint is None:
        return value
    if isinstance(hint, type) and issubclass(hint, Model):
        if isinstance(value, hint):
            return value
        if not isinstance(value, Mapping):
            raise ValueError(f"`{value!r:.80}` is no `{hint.__name__}`")
        return from_dict(hint, dict(value))
    inner = get_args(hint)
    if isinstance(value, list) and get_origin(hint) is list:
        return [_read(inner[0], one) for one in value]
    if isinstance(value, dict) and get_origin(hint) is dict:
        return {name: _read(inner[1], one) for name, one in value.items()}
    if get_origin(hint) in (Union, UnionType):
        others = [one for one in inner if one is not type(None)]
        return _read(others[0], value) if len(others) == 1 else value
    return value


def fields(cls: Any) -> Any:
    """Returns the fields of a class of messages."""
    return dataclasses.fields(cls)


def replace(obj: Any, **changes: Any) -> Any:
    """Returns a copy of a message with other values of some fields."""
    return dataclasses.replace(obj, **changes)


class FileMetadata(Model):
    """The address of a file in the storage, its size in bytes, its ``ETag`` without quotes, and anything else that the
    program sets. It can be unpacked into the first three. Directories have the sum of the sizes, and no ``ETag``."""

    uri: str
    size: int = 0
    etag: str | None = None
    metadata: dict[str, Any] | None = dataclasses.field(default=None, hash=False)

    def __iter__(self) -> Iterator[Any]:
        return iter((self.uri, self.size, self.etag))

    def __getitem__(self, index: Any) -> Any:
        return (self.uri, self.size, self.etag)[index]

    def _as_data(self) -> dict[str, Any]:
        """The members that data of a result has: without those that only the program knows."""
        return {"uri": self.uri, "size": self.size, "etag": self.etag}


class SecurityContext(Model):
    """The signature of a message, and the chain of those that passed it on."""

    signature: str | None = None
    signer_id: str | None = None
    identity_chain: list[str] | None = None
    metadata: dict[str, Any] | None = None


class SkillInfo(Model):
    """A skill, as a worker describes it to orchestrators."""

    name: str
    type: str | None = None
    description: str | None = None
    version: str | None = None
    input_schema: dict[str, Any] | None = None
    output_schema: dict[str, Any] | None = None
    events_schema: dict[str, dict[str, Any]] | None = None
    output_statuses: list[str] | None = None
    schema_dialect: str = "json-schema"
    properties: dict[str, Any] | None = None

    @property
    def input_validator(self) -> Callable[[Any], Any] | None:
        """The function that checks data by ``input_schema``: returns it, or raises ``ValueError``. None without one."""
        return _matching.validator(self.input_schema)

    @property
    def output_validator(self) -> Callable[[Any], Any] | None:
        """The function that checks data by ``output_schema``: returns it, or raises ``ValueError``. None without one."""
        return _matching.validator(self.output_schema)

    def matches(self, req: SkillInfo) -> bool:
        """Returns whether this skill has the name, the type and the version that are required. A type or a version of
        ``None`` is not required."""
        return self.name == req.name and req.type in (None, self.type) and req.version in (None, self.version)


class DeviceUsage(Model):
    """The load of a device."""

    unit_id: str
    load_percent: float
    metrics: dict[str, Any] | None = None


class ResourcesUsage(Model):
    """The load of a worker's machine."""

    cpu_load_percent: float = 0.0
    ram_used_gb: float = 0.0
    devices_usage: list[DeviceUsage] | None = None


class HardwareDevice(Model):
    """A device of a worker."""

    type: str
    model: str | None = None
    id: str | None = None
    properties: dict[str, Any] | None = None
    metrics: dict[str, Any] | None = None

    def matches(self, req: HardwareDevice) -> bool:
        """Returns whether this device is of the type that is required, its model contains the required one, and it has the
        required id and properties: numbers at least as large, one of the values of a list, all others equal."""
        return (
            (not req.type or self.type == req.type)
            and (not req.model or req.model.lower() in (self.model or "").lower())
            and (not req.id or self.id == req.id)
            and _matching.fits(self.properties, req.properties)
        )


class GPUInfo(Model):
    """A graphics card, as orchestrators of the older generation take it."""

    model: str
    vram_gb: int


class Resources(Model):
    """The hardware of a worker. The last three fields are those of the older generation."""

    devices: list[HardwareDevice] | None = None
    properties: dict[str, Any] | None = None
    # At this place in both versions of the existing SDK.
    gpu_info: GPUInfo | None = None
    max_concurrent_tasks: int | None = None
    cpu_cores: int | None = None

    def matches(self, req: Resources) -> bool:
        """Returns whether there is a device for each one that is required, in their order, and the required properties:
        numbers at least as large, one of the values of a list, all others equal."""
        free = list(self.devices or ())
        for wanted in req.devices or ():
            found = next((index for index, device in enumerate(free) if device.matches(wanted)), None)
            if found is None:
                return False
            del free[found]
        return _matching.fits(self.properties, req.properties)


class InstalledArtifact(Model):
    """A model or another artifact that is installed."""

    name: str
    version: str = "unknown"
    type: str | None = None
    properties: dict[str, Any] | None = None

    def matches(self, req: InstalledArtifact) -> bool:
        """Returns whether this artifact has the name, the version (``"unknown"`` is any) and the properties that are
        required: numbers at least as large, one of the values of a list, all others equal."""
        is_version = req.version in ("unknown", self.version)
        return self.name == req.name and is_version and _matching.fits(self.properties, req.properties)


class InstalledModel(Model):
    """A model that is installed, as orchestrators of the older generation take it."""

    name: str
    version: str


class WorkerCapabilities(Model):
    """Where a worker is, and what its tasks cost."""

    hostname: str = "unknown"
    ip_address: str = "0.0.0.0"
    cost_per_skill: dict[str, float] | None = None
    s3_config_hash: str | None = None
    extra: dict[str, Any] | None = None


class WorkerRegistration(Model):
    """The registration of a worker. The last two fields are those of the older generation."""

    worker_id: str
    worker_type: str = "generic"
    supported_skills: list[SkillInfo] | None = None
    available_skills: list[str] | None = None
    hot_skills: list[str] | None = None
    resources: Resources | None = None
    installed_software: dict[str, str] | None = None
    installed_artifacts: list[InstalledArtifact] | None = None
    capabilities: WorkerCapabilities | None = None
    skills_hash: str | None = None
    security: SecurityContext | None = None
    metadata: dict[str, Any] | None = None
    timestamp: int | None = None
    supported_tasks: list[str] | None = None
    installed_models: list[InstalledModel] | None = None


class Heartbeat(Model):
    """A heartbeat. The last four fields are those of the older generation."""

    worker_id: str
    status: str
    usage: ResourcesUsage | None = None
    current_tasks: list[str] | None = None
    supported_skills: list[SkillInfo] | None = None
    available_skills: list[str] | None = None
    hot_skills: list[str] | None = None
    skills_hash: str | None = None
    security: SecurityContext | None = None
    metadata: dict[str, Any] | None = None
    timestamp: int | None = None
    load: float | None = None
    supported_tasks: list[str] | None = None
    hot_cache: list[str] | None = None
    skill_dependencies: dict[str, list[str]] | None = None


class TaskError(Model):
    """The error of a failed task in its result. The exception that fails a task is
    ``avtomatika_worker.TaskError``."""

    code: str
    message: str
    details: dict[str, Any] | None = None


class TaskPayload(Model):
    """A task, as an orchestrator hands it out."""

    job_id: str
    task_id: str
    type: str
    params: dict[str, Any] | None = None
    tracing_context: dict[str, str] | None = None
    params_metadata: dict[str, FileMetadata] | None = None
    priority: float = 0.0
    deadline: int | None = None
    security: SecurityContext | None = None
    metadata: dict[str, Any] | None = None
    timestamp: int | None = None
    policy: dict[str, Any] | None = None
    sig: str | None = None
    step: int = 0
    depth: int = 0
    parent_hash: str | None = None

    def validate_params(self, skill: SkillInfo) -> tuple[bool, str | None]:
        """Returns whether the parameters fit the ``input_schema`` of a skill, and what is wrong."""
        check = skill.input_validator
        try:
            if check is not None:
                check(self.params)
        except ValueError as error:
            return False, str(error)
        return True, None


class TaskResult(Model):
    """The result of a task."""

    job_id: str
    task_id: str
    worker_id: str | None = None
    origin_worker_id: str | None = None
    status: str = "success"
    data: dict[str, Any] | None = None
    error: TaskError | None = None
    data_metadata: dict[str, FileMetadata] | None = None
    security: SecurityContext | None = None
    metadata: dict[str, Any] | None = None
    timestamp: int | None = None
    costs: dict[str, Any] | None = None


class ProgressUpdatePayload(Model):
    """The progress of a task, as orchestrators of the older generation take it."""

    event: str
    task_id: str
    job_id: str
    progress: float
    message: str | None = None


class WorkerEventPayload(Model):
    """An event of a worker or of a task."""

    event_id: str
    worker_id: str
    origin_worker_id: str
    event_type: str
    payload: dict[str, Any]
    origin_task_id: str | None = None
    bubbling_chain: list[str] | None = None
    target_job_id: str | None = None
    target_task_id: str | None = None
    trace_context: dict[str, str] | None = None
    priority: float = 0.0
    timestamp: int | None = None
    security: SecurityContext | None = None
    metadata: dict[str, Any] | None = None


class WorkerCommand(Model):
    """A command of an orchestrator."""

    command: str
    task_id: str | None = None
    job_id: str | None = None
    params: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None


class TokenResponse(Model):
    """An access token."""

    access_token: str
    expires_in: int
    worker_id: str
    refresh_token: str | None = None
    metadata: dict[str, Any] | None = None
