"""Compares two values field by field."""

from __future__ import annotations

from typing import Any

NOTHING = object()


def compare(theirs: dict[str, Any], ours: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """What one worker sent, compared. Of a program that did not start, nothing else is of interest but the type of the
    exception."""
    failures = theirs["failure"], ours["failure"]
    types = [failure and failure[0] for failure in failures]
    if types[0] != types[1]:
        return {"failure": failures}
    return {} if types[0] else differences(theirs, ours)


def differences(theirs: Any, ours: Any, path: str = "") -> dict[str, tuple[Any, Any]]:
    """The paths at which two values differ, and both values there. A member that is ``None`` counts as absent, as in
    the protocol."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        found: dict[str, tuple[Any, Any]] = {}
        for key in {**theirs, **ours}:
            found |= differences(theirs.get(key), ours.get(key), f"{path}.{key}" if path else key)
        return found
    if isinstance(theirs, list) and isinstance(ours, list) and len(theirs) == len(ours):
        found = {}
        for number, (one, other) in enumerate(zip(theirs, ours, strict=True)):
            found |= differences(one, other, f"{path}[{number}]")
        return found
    if type(theirs) is type(ours) and theirs == ours:
        return {}
    return {path: (theirs, ours)}
