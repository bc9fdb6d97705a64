"""The user's function that measures how busy the machine is."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from ._logging import LOG
from .outcome import to_json

__all__ = ["UsageChecker"]


class UsageChecker:
    """Calls the function, on a thread of the core. A failure of it is no usage, and is logged once."""

    def __init__(self, check: Callable[[], Any]) -> None:
        self._check = check
        self._logged = False

    def __call__(self) -> bytes | None:
        try:
            usage = self._check()
            return None if usage is None else _usage(usage)
        except Exception:
            if not self._logged:
                self._logged = True
                LOG.warning(
                    "the usage checker failed: the heartbeat reports no usage, and this is logged only once",
                    exc_info=True,
                )
            return None


def _usage(usage: Any) -> bytes:
    """Returns the usage as JSON text: an object with the attributes of ``ResourcesUsage``, or a mapping with such keys."""
    if inspect.iscoroutine(usage):
        usage.close()
        raise TypeError("the usage checker is `async`, expected a function that returns the usage")
    names = ("cpu_load_percent", "ram_used_gb", "devices_usage")
    if all(_member(usage, name) is None for name in names):
        raise TypeError(f"the usage checker returned `{usage!r:.100}`, expected {', '.join(names)}")
    return to_json(
        {
            "cpu_load_percent": _number(usage, "cpu_load_percent"),
            "ram_used_gb": _number(usage, "ram_used_gb"),
            "devices_usage": [_device(device) for device in _member(usage, "devices_usage") or ()],
        }
    )


def _device(device: Any) -> dict[str, Any]:
    unit_id = _member(device, "unit_id")
    if not isinstance(unit_id, str):
        raise TypeError(f"the `unit_id` of a device is `{unit_id!r:.100}`, expected text")
    metrics = _member(device, "metrics")
    load = _number(device, "load_percent")
    return {"unit_id": unit_id, "load_percent": load, "metrics": {} if metrics is None else dict(metrics)}


def _number(of: Any, name: str) -> float:
    value = _member(of, name)
    if value is None:
        return 0.0
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise TypeError(f"`{name}` is `{value!r:.100}`, expected a number")
    return float(value)


def _member(of: Any, name: str) -> Any:
    return of.get(name) if isinstance(of, Mapping) else getattr(of, name, None)
