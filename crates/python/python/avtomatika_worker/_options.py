"""The names of the options, their values as text, and the names that are misspelt."""

from __future__ import annotations

import os
import re
from enum import Enum
from typing import Any

from .errors import ConfigError

__all__ = [
    "ALIASES",
    "PLAIN",
    "USED_HERE",
    "as_text",
    "bare",
    "is_read",
    "nearest",
    "of_environment",
    "shown",
    "without_effect",
]

ALIASES = {
    # The attributes of 1.0b4.
    "ENABLE_WEBSOCKETS": "WORKER_ENABLE_WEBSOCKETS",
    "HEARTBEAT_DEBOUNCE_DELAY": "WORKER_HEARTBEAT_DEBOUNCE_DELAY",
    "HOSTNAME": "WORKER_HOSTNAME",
    "IP_ADDRESS": "WORKER_IP_ADDRESS",
    # The attributes of 1.0b20.
    "SECRET_KEY": "ORCHESTRATOR_SECRET_KEY",
    "SHUTDOWN_TIMEOUT": "WORKER_SHUTDOWN_TIMEOUT",
}

PLAIN: dict[str, tuple[str, Any]] = {
    # The attributes of 1.0b20 that the core does not know, with their variables and defaults.
    "HEARTBEAT_COOLDOWN": ("WORKER_HEARTBEAT_COOLDOWN", 2.0),
    "POLL_BACKOFF_FACTOR": ("POLL_BACKOFF_FACTOR", 2.0),
    "POLL_BACKOFF_INITIAL": ("POLL_BACKOFF_INITIAL", 1.0),
    "POLL_BACKOFF_MAX": ("POLL_BACKOFF_MAX", 60.0),
    "RATE_LIMIT_BACKOFF_FLOOR": ("RATE_LIMIT_BACKOFF_FLOOR", 30.0),
    "REGISTRATION_RETRY_INITIAL_DELAY": ("REGISTRATION_RETRY_INITIAL_DELAY", 1.0),
    "REGISTRATION_RETRY_MAX_DELAY": ("REGISTRATION_RETRY_MAX_DELAY", 60.0),
    "WORKER_ENABLE_METRICS": ("WORKER_ENABLE_METRICS", False),
    "WORKER_SKILLS_DIR": ("WORKER_SKILLS_DIR", "skills"),
}

USED_HERE = ("WORKER_ENABLE_METRICS", "WORKER_SKILLS_DIR")
"""Those of them that have an effect in Python, and are no business of the core."""

# Names this similar to an option's are taken for misspelt. `GPU_NAME` and `GPU_MODEL` are less similar.
_SIMILAR = 0.88

_SECRET_NAME = re.compile("TOKEN|KEY|SECRET|PASS|PWD|CREDENTIAL|AUTH", re.IGNORECASE)
_CREDENTIALS = re.compile(r"://[^/\s]*@")


def bare(value: str) -> str:
    """Returns the value of a variable as the core reads it: without spaces, line ends and quotes around it."""
    value = value.strip()
    is_quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"
    return bare(value[1:-1]) if is_quoted else value


def of_environment(variable: str, default: Any) -> Any:
    """Returns the value of a variable of ``PLAIN``, or None if it is not set. One that is invalid counts as not set."""
    text = bare(os.environ.get(variable, ""))
    if not text:
        return None
    if isinstance(default, bool):
        return text.lower() in {"true", "1", "yes", "on"}
    try:
        return type(default)(text)
    except ValueError:
        return None


def is_read(variable: str) -> bool:
    """Returns whether a variable of the environment may mean something to the core."""
    from ._native import options, without_effect

    names = {*(row[0] for row in options()), *(row[0] for row in without_effect()), *ALIASES}
    return variable.startswith("WORKER_") or variable.upper() in names


def without_effect(name: str) -> str | None:
    """Returns what to know instead of an attribute of ``PLAIN`` that has no effect."""
    from ._native import without_effect as rows

    return None if name in USED_HERE else dict(rows()).get(PLAIN[name][0])


def nearest(name: str, names: set[str]) -> str | None:
    """Returns the option that a misspelt name means, if there is one."""
    from difflib import get_close_matches

    found = get_close_matches(name.upper(), sorted(names), n=1, cutoff=_SIMILAR)
    return found[0] if found else None


def shown(name: str, value: object, names: set[str]) -> str:
    """Returns an attribute of the user's own as ``repr`` shows it."""
    text = repr(value)
    # The name of a secret may be misspelt, and a dictionary may contain one.
    named = (name, nearest(name, names) or "", text)
    is_secret = any(_SECRET_NAME.search(one) for one in named) or _CREDENTIALS.search(text)
    return "***" if is_secret else text


def as_text(name: str, value: Any) -> str:
    """Returns a value as the text of its variable."""
    if isinstance(value, (dict, list, tuple)):
        import json

        try:
            return json.dumps(value, allow_nan=False, default=_member)
        except (TypeError, ValueError, RecursionError) as error:
            raise ConfigError(f"`{name}` is not JSON: {error}") from None
    text = _scalar(value)
    if text is None:
        kind = type(value).__name__
        raise ConfigError(
            f"`{name}` is of the type `{kind}`, expected text, a number, a boolean, a list or a dictionary"
        )
    return text


def _scalar(value: Any) -> str | None:
    if value is None:
        return ""
    if isinstance(value, Enum):
        return _scalar(value.value)
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return int.__repr__(value)
    if isinstance(value, float):
        # Whole numbers may have been calculated.
        return int.__repr__(int(value)) if value.is_integer() else float.__repr__(value)
    if isinstance(value, os.PathLike):
        return os.fsdecode(value)
    if hasattr(value, "total_seconds"):
        return float.__repr__(value.total_seconds())
    if hasattr(value, "get_secret_value"):
        return _scalar(value.get_secret_value())
    # Types that define how they are shown as text: `UUID`, `Decimal`, addresses.
    has_text = any("__str__" in vars(kind) for kind in type(value).__mro__[:-1])
    return str(value) if has_text else None


def _member(value: Any) -> str:
    text = _scalar(value)
    if text is None:
        raise TypeError(f"a value is of the type `{type(value).__name__}`")
    return text
