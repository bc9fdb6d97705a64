"""The differences from the existing packages that are intended, each with its reason."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from peers import VERSIONS


@dataclass(frozen=True)
class Intended:
    """A difference at paths that match a pattern (`*` is any text), in the cases named, or in every case."""

    path: str
    reason: str
    cases: tuple[str, ...] = ()
    versions: Sequence[str] = VERSIONS

    def covers(self, case: str, version: str, path: str) -> bool:
        return (
            version in self.versions
            and (not self.cases or case in self.cases)
            and bool(re.fullmatch(".*".join(map(re.escape, self.path.split("*"))), path))
        )

    def expected_in(self, cases: Sequence[str], version: str) -> Sequence[str]:
        """The cases, out of these, in which this difference must be found."""
        return [case for case in cases if case in self.cases and version in self.versions]


NEW = ("1.0b20",)
OLD = ("1.0b4",)

_ONE_SET = "One message serves both generations of the protocol: it has the fields of both."
_NO_EMPTY_OBJECT = "On Redis, 1.0b30 makes a list of an empty object, and quarantines jobs of such a worker."
_NONCE = "A message that is sent again must differ (protocol of 1.0b17, 5.2)."


def _sent_too(reason: str, paths: Sequence[str], versions: Sequence[str] = VERSIONS) -> list[Intended]:
    return [Intended(path, reason, versions=versions) for path in paths]


_ADDRESS = "The address of the interface to the network; a host's name may stand for 127.0.0.1."

SOMETIMES = [
    Intended("*registration.capabilities.extra.websockets", _ONE_SET, versions=NEW),
    Intended("*registration.capabilities.ip_address", _ADDRESS),
    Intended("results.*.data.IP_ADDRESS[1]", _ADDRESS),
    Intended("results.*.data.RESOURCES[1].ram_gb", _ONE_SET, versions=OLD),
    Intended("results.*.data.RESOURCES[1].devices", _ONE_SET, versions=OLD),
    Intended("results.*.data.RESOURCES[1].gpu_info", _ONE_SET, versions=NEW),
    Intended(
        "*heartbeat.capabilities",
        "While a websocket is open, heartbeats say so: 1.0b30 pushes `cancel_task` only then.",
    ),
    Intended(
        "results.*.data.ORCHESTRATORS*.current_weight",
        "A counter of the existing package, which is kept elsewhere here.",
    ),
    Intended(
        "results.*.data.seen",
        "A command can be read as a mapping, too; in 1.0b20, `command[…]` raises.",
        ("command-over-the-websocket",),
        NEW,
    ),
    Intended(
        "last heartbeat.*",
        "The new registration has the skills; the heartbeat with them is up to 2 s later in 1.0b20.",
        ("skill-added-while-it-runs", "skill-load-skills"),
        NEW,
    ),
]
"""Differences that depend on the time, or are in cases of several groups."""

IN_EVERY_CASE = [
    *_sent_too(_NONCE, ["*nonce"]),
    *_sent_too(
        _ONE_SET,
        [
            "*registration.supported_tasks",
            "*registration.installed_models",
            "*registration.resources.max_concurrent_tasks",
            "*registration.resources.cpu_cores",
            "*heartbeat.load",
            "*heartbeat.supported_tasks",
            "*heartbeat.hot_cache",
        ],
        NEW,
    ),
    *_sent_too(_ONE_SET, ["*registration.capabilities.websockets"]),
    *_sent_too(
        _ONE_SET,
        [
            "*registration.resources.properties",
            "*registration.supported_skills",
            "*registration.available_skills",
            "*registration.installed_artifacts",
            "*.skills_hash",
            "*heartbeat.available_skills",
            "*.timestamp",
            "*.security",
            "results.*.origin_worker_id",
            "results.*.costs",
        ],
        OLD,
    ),
    *_sent_too(_NO_EMPTY_OBJECT, ["*registration.capabilities.cost_per_skill"]),
    *_sent_too(_NO_EMPTY_OBJECT, ["*registration.capabilities.extra"], NEW),
    Intended("*registration.metadata", "Another live process with the same id is noticed by it."),
    Intended(
        "*registration.worker_type",
        "Without a `worker_type` in the constructor, `WORKER_TYPE` counts, whose default is `generic-cpu-worker` (SPEC 2).",
    ),
    Intended(
        "*registration.installed_software.python", "The default of the reference's table counts (SPEC 2).", versions=NEW
    ),
    Intended("results.*.error.details", "An exception's type is said (SPEC 6)."),
]

_ONLY_NAMED = (
    "A handler that does not take `**kwargs` gets only what it names (SPEC 6); 1.0b4 passes everything, and fails."
)
_FIRST_ARGUMENT = (
    "Params go to the first argument if none is named `params`; 1.0b20 refuses every task of such a handler."
)
_CONVERTS = "A model converts what it can, as pydantic does (SPEC 6); 1.0b20 refuses it by the schema before."
_WORDING = "The text is for people, and has the path of each problem (SPEC 6)."
_NOT_JSON = "Data that is not JSON fails the task with `PERMANENT_ERROR`, which names the path (SPEC 6)."
_NOT_AN_OBJECT = "Data is a JSON object or nothing (SPEC 6)."
_OPEN_ERROR = "An `error` of `None` is none, and one without a message keeps its code (SPEC 6)."
_PLAIN = "A dictionary without `status`, `data` and `error` is the data (SPEC 6)."
_DEFAULT = "The default of the reference's table counts (SPEC 2)."
_FUTURE = "Annotations that are texts are resolved."

IN_SOME_CASES = [
    Intended("results.*", _ONLY_NAMED, ("by-name", "only-params"), OLD),
    Intended("results.*", _FIRST_ARGUMENT, ("other-name-for-params", "skill-params-by-annotation-of-any-name")),
    Intended(
        "results.*",
        "A decorator without `functools.wraps` may take `*args` alone: params go by position.",
        ("decorated-without-wraps",),
        OLD,
    ),
    Intended(
        "results.*",
        "What middleware injects may be an argument of its own, as in the README of 1.0b4 (SPEC 6).",
        ("injects",),
        NEW,
    ),
    Intended("results.*", _CONVERTS, ("model", "nested-model"), NEW),
    Intended(
        "results.*.error.message",
        _WORDING,
        ("dataclass-missing", "dataclass-post-init", "model-invalid", "model-missing", "sync-model"),
    ),
    Intended(
        "results.*",
        "With the versions of obstore that pip installs, the existing packages download nothing.",
        ("s3-readme", "s3-folder", "s3-download-file"),
    ),
    Intended(
        "results.*",
        "With the versions of obstore that pip installs, 1.0b4 uploads nothing.",
        ("s3-upload-file", "s3-upload-dir", "s3-write-json"),
        OLD,
    ),
    Intended("results.*.error.*", "A missing object is a `PERMANENT_ERROR` that names it (SPEC 9).", ("s3-missing",)),
    Intended("results.*.data.uri", "Keys begin with the task's id (SPEC 9).", ("s3-upload-file", "s3-upload-dir"), NEW),
    Intended(
        "registration.resources.devices", _ONE_SET, ("config-resources-in-place", "config-resources-replaced"), OLD
    ),
    Intended("events[0].*", "Events are always signed: 1.0b30 refuses others.", ("event-of-the-worker",), NEW),
    Intended("results.*", "Progress can be reported by keywords.", ("progress-by-keywords",), OLD),
    Intended("events", "Progress can be reported by keywords.", ("progress-by-keywords",), OLD),
    Intended("results.*.metadata", _ONE_SET, ("returns-metadata",), OLD),
    *(
        Intended(
            f"results.*.{member}", _OPEN_ERROR, ("returns-failure-without-code", "returns-failure-without-message"), NEW
        )
        for member in ("costs", "data")
    ),
    Intended(
        "results.*.data",
        _OPEN_ERROR,
        (
            "returns-failure-error-none",
            "returns-failure-without-code",
            "returns-failure-without-message",
            "returns-failure-text",
        ),
        OLD,
    ),
    Intended(
        "results.*.data.found[2]",
        "What `send_progress` returns is a coroutine for asyncio, but no generator: it costs less.",
        ("progress-type",),
    ),
    Intended(
        "*.available_skills",
        "An empty list says that nothing is accepted (SPEC 3).",
        ("no-task",),
        NEW,
    ),
    Intended("*", "Options beside a `SkillInfo` count.", ("skill-info-with-changes",), NEW),
    Intended(
        "*",
        "Every skill has a type, as those with a name in 1.0b20.",
        ("skill-name-of-the-function", "skill-blueprint-without-a-name"),
        NEW,
    ),
    Intended("results.*.error", "A failure says what failed (SPEC 6).", ("returns-failure-without-error",)),
    Intended("results.*.status", "An error without a status is a failure.", ("returns-error-without-status",)),
    Intended(
        "last registration.*",
        "The worker registers anew with a skill that was added.",
        ("skill-added-while-it-runs", "skill-load-skills"),
        NEW,
    ),
    Intended("results.*.error.message", "The file is named as the handler named it.", ("files-missing-uncaught",)),
    Intended("results.*", "The types of a dataclass's fields are checked (SPEC 6).", ("dataclass-wrong-type",), OLD),
    Intended("results.*.error.message", _WORDING, ("dataclass-wrong-type",), NEW),
    Intended("results.*.error.message", _WORDING, ("validator-of-a-model",)),
    Intended(
        "results.*.error.message",
        _WORDING,
        ("skill-input-that-does-not-fit-its-schema", "skill-output-that-does-not-fit-its-schema"),
        NEW,
    ),
    Intended(
        "results.*",
        "A task that was cancelled by a command ends as `cancelled`: the first cause counts (SPEC 6).",
        ("cancelled-but-answers",),
    ),
    Intended("results.*", "Unknown fields of a dataclass are ignored (SPEC 6).", ("dataclass-extra-field",), NEW),
    Intended("results.*.data.type", _FUTURE, ("future-annotations",), OLD),
    Intended("*", _FUTURE, ("future-annotations",), NEW),
    Intended("results.*", "`None` is a success without data (SPEC 6).", ("returns-nothing",), OLD),
    Intended("results.*", _NOT_JSON, ("returns-nan", "returns-set")),
    Intended("results.*", _NOT_AN_OBJECT, ("returns-list", "returns-text", "returns-data-is-a-list")),
    Intended(
        "results.*", "Keys become texts, as `json` makes them; 1.0b4 sends no result.", ("returns-int-keys",), OLD
    ),
    Intended(
        "results.*.error.*",
        _OPEN_ERROR,
        ("returns-failure-error-none", "returns-failure-without-code", "returns-failure-without-message"),
    ),
    Intended("results.*.error.message", _OPEN_ERROR, ("returns-failure-text",), OLD),
    Intended(
        "results.*.data.*",
        _PLAIN,
        ("returns-plain-dict", "skill-schema-of-a-dict", "skill-readme", "skill-calls-another"),
    ),
    Intended(
        "results.*.error.code",
        "A handler's own `ValueError` is no integrity error (SPEC 6).",
        ("raises-value", "raises-value-in-a-thread"),
    ),
    Intended(
        "results.*.error.message",
        "A message for people is not empty: the exception's type stands in for it.",
        ("raises-empty", "raises-not-implemented"),
    ),
    Intended("results.*.error.message", "A key alone does not say what is wrong with it.", ("raises-key",)),
    Intended(
        "results.t3.error.code",
        "1.0b30 steals tasks regardless of type: another worker may have a handler.",
        ("several-tasks",),
        NEW,
    ),
    Intended("results.t3.error.message", "Both say that there is no such task, in other words.", ("several-tasks",)),
    Intended("results.t3.origin_worker_id", "Every result names its worker.", ("several-tasks",), NEW),
    Intended(
        "registration.supported_tasks",
        "A registration lists all tasks (SPEC 3).",
        ("capacity-checker", "capacity-checker-refuses-all"),
        OLD,
    ),
    Intended(
        "*.available_skills",
        "An empty list says that nothing is accepted (SPEC 3); absent, the last one would stand.",
        ("capacity-checker-refuses-all", "no-tasks"),
        NEW,
    ),
    Intended("results.*.data.priority", "The priority is the task's (SPEC 6).", ("kwargs-given",), OLD),
    Intended("results.*.data.priority*", "A whole priority is an `int` (SPEC 6).", ("kwargs-values",), NEW),
    Intended(
        "results.*",
        "Without `S3_ENDPOINT_URL` nothing is uploaded (SPEC 9); the existing packages ask the metadata service, and fail.",
        ("files-json",),
    ),
    Intended(
        "results.*.data.WORKER_TYPE[1]",
        "Without a `worker_type` in the constructor, `WORKER_TYPE` counts (SPEC 2).",
        (
            "config-defaults",
            "config-after-the-worker",
            "config-worker-type",
            "config-worker-type-variable",
            "config-subclass",
        ),
    ),
    Intended("results.*.data.*[0]", "Times are floats (SPEC 2).", ("config-strings-for-numbers",)),
    Intended("failure", "`[]` counts as not set (SPEC 2).", ("config-orchestrators-config",)),
    Intended("*.MULTI_ORCHESTRATOR_MODE[1]", _DEFAULT, ("config-defaults",), NEW),
    Intended("*.IDLE_POLL_DELAY[1]", _DEFAULT, ("config-defaults",), NEW),
    Intended("*.INSTALLED_SOFTWARE[1].python", _DEFAULT, ("config-defaults", "config-software-in-place"), NEW),
    Intended("*.SHUTDOWN_TIMEOUT[1]", "The default is 25 s (SPEC 2).", ("config-defaults-of-1-0b20",), NEW),
    Intended("registration.resources.devices", _ONE_SET, ("config-variables-of-1-0b4",), OLD),
    Intended("registration.resources.gpu_info", _ONE_SET, ("config-gpu-variables-of-1-0b20",), NEW),
    Intended("*heartbeat.skill_dependencies", _ONE_SET, ("hot-skills-with-dependencies", "skill-dependencies"), NEW),
    Intended("*", "A model may be returned (SPEC 6); 1.0b20 sends no result.", ("skill-schema-of-a-model",), NEW),
    Intended(
        "*",
        "The schema of a `TypedDict` is an object; 1.0b20 takes it for a text, and refuses every task.",
        ("skill-schema-of-a-typed-dict",),
        NEW,
    ),
]

INTENDED: list[Intended] = [*SOMETIMES, *IN_EVERY_CASE, *IN_SOME_CASES]
