"""The differences from the existing packages that are intended, each with its reason."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from existing import VERSIONS


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
_NONCE = "A message that is sent again must differ (protocol of 1.0b17, 5.2)."


def _sent_too(reason: str, paths: Sequence[str], versions: Sequence[str] = VERSIONS) -> list[Intended]:
    return [Intended(path, reason, versions=versions) for path in paths]


IN_EVERY_CASE = [
    *_sent_too(_NONCE, ["*nonce"]),
    *_sent_too(
        _ONE_SET,
        [
            "*registration.supported_tasks",
            "*registration.installed_models",
            "*registration.resources.max_concurrent_tasks",
            "*registration.resources.cpu_cores",
            "*registration.capabilities.extra.websockets",
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
            "*registration.capabilities.extra",
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
    Intended(
        "*registration.worker_type",
        "Without a `worker_type` in the constructor, `WORKER_TYPE` counts, whose default is `generic-cpu-worker` (SPEC 2).",
    ),
    Intended(
        "*registration.installed_software.python", "The default of the reference's table counts (SPEC 2).", versions=NEW
    ),
    Intended("results.*.error.details", "An exception's type is said (SPEC 6)."),
]

INTENDED: list[Intended] = [*IN_EVERY_CASE]
