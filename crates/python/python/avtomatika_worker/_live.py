"""Options that are lists and dictionaries, which programs read and change in place."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any

from ._options import as_text
from .errors import ConfigError

__all__ = ["Live", "Orchestrators", "entries_as_text", "parsed", "resources_as_text", "software_as_text"]

_ENTRY = ("url", "priority", "weight", "token", "cluster")
_RESOURCES = ("cpu_cores", "ram_gb", "gpu_info", "devices", "properties")
_DEVICE = ("type", "model", "id", "properties")


class Live:
    """The lists and dictionaries that were read or set, each with its text at that time."""

    def __init__(self, text_of: Callable[[str, Any], str]) -> None:
        self._text_of = text_of
        self._lent: dict[str, tuple[Any, str]] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._lent

    def __getitem__(self, name: str) -> Any:
        return self._lent[name][0]

    def get(self, name: str) -> Any:
        return self._lent[name][0] if name in self._lent else None

    def keep(self, name: str, value: Any, is_changed: bool = False) -> Any:
        self._lent[name] = (value, "" if is_changed else self._text_of(name, value))
        return value

    def forget(self, name: str) -> None:
        self._lent.pop(name, None)

    def is_changed(self, name: str) -> bool:
        value, before = self._lent[name]
        return self._text_of(name, value) != before

    def names(self) -> list[str]:
        return list(self._lent)

    def lent(self) -> dict[str, tuple[Any, str]]:
        """All of them with their texts, for ``take``."""
        return self._lent

    def take(self, lent: dict[str, tuple[Any, str]]) -> None:
        self._lent = lent

    def copy(self, text_of: Callable[[str, Any], str]) -> Live:
        other = Live(text_of)
        for name, (value, before) in self._lent.items():
            other._lent[name] = (deepcopy(value), before)
        return other


class Orchestrators:
    """The list of orchestrators, which is that of ``ORCHESTRATORS_CONFIG``, else made of ``ORCHESTRATOR_URL``."""

    LIST = "ORCHESTRATORS"
    # The list of `ORCHESTRATORS_CONFIG` while it is empty, which the program may fill.
    CONFIG = "ORCHESTRATORS_CONFIG"

    def __init__(self, live: Live, listed: Callable[[], list[Any]], url: Callable[[], str]) -> None:
        self._live = live
        self._listed = listed
        self._url = url
        self.is_of_url = False

    def read(self) -> list[Any]:
        """The list in use."""
        self.adopt()
        if self.LIST not in self._live:
            listed = self._listed()
            self.is_of_url = not listed
            for entry in listed:
                if isinstance(entry, dict):
                    entry.setdefault("priority", 10)
                    entry.setdefault("weight", 1)
            self._live.keep(self.LIST, listed or [{"url": self._url(), "priority": 1, "weight": 1}])
        found: list[Any] = self._live[self.LIST]
        return found

    def read_config(self) -> list[Any]:
        """The list of ``ORCHESTRATORS_CONFIG``, which is empty if the list in use is made of ``ORCHESTRATOR_URL``."""
        found = self.read()
        if not self.is_of_url or self._live.is_changed(self.LIST):
            return found
        if self.CONFIG not in self._live:
            self._live.keep(self.CONFIG, [])
        empty: list[Any] = self._live[self.CONFIG]
        return empty

    def set(self, name: str, value: Any) -> None:
        self.forget()
        if isinstance(value, list):
            # An empty list under the name of the variable counts as not set, until it is filled.
            self._live.keep(name if not value else self.LIST, value)

    def was_written(self, value: list[Any]) -> None:
        """Notes that the list was changed in place, and that the core has it now."""
        self.forget()
        self._live.keep(self.LIST, value)

    def forget(self) -> None:
        self._live.forget(self.LIST)
        self._live.forget(self.CONFIG)
        self.is_of_url = False

    def url_was_set(self) -> None:
        """Makes the list anew where it is made of ``ORCHESTRATOR_URL``."""
        if self.is_of_url and not self._live.is_changed(self.LIST):
            self.forget()

    def copy(self, live: Live, listed: Callable[[], list[Any]], url: Callable[[], str]) -> Orchestrators:
        other = Orchestrators(live, listed, url)
        other.is_of_url = self.is_of_url
        return other

    def adopt(self) -> None:
        """Takes the list of ``ORCHESTRATORS_CONFIG`` if the program has filled it."""
        filled = self._live.get(self.CONFIG)
        if filled:
            self.forget()
            self._live.keep(self.LIST, filled, is_changed=True)


def entries_as_text(entries: Any, say: Callable[[str, str], None]) -> str:
    """Returns a list of orchestrators as the text of its variable, without the keys that the core does not know."""
    if not isinstance(entries, (list, tuple)):
        return as_text("ORCHESTRATORS", entries)
    known: list[Any] = []
    for index, entry in enumerate(entries):
        if not isinstance(entry, Mapping):
            known.append(entry)
            continue
        for key in entry:
            if key not in _ENTRY:
                say(f"ORCHESTRATORS.{key}", f"`{key}` in entry {index} of `ORCHESTRATORS` has no effect: {_meant(key)}")
        known.append({key: _whole(entry[key]) if key in _ENTRY[1:3] else entry[key] for key in _ENTRY if key in entry})
    return as_text("ORCHESTRATORS", known)


def _meant(key: Any) -> str:
    from difflib import get_close_matches

    near = get_close_matches(str(key), _ENTRY, n=1)
    return f"did you mean `{near[0]}`?" if near else "an entry has `url`, `priority`, `weight`, `token` and `cluster`"


def resources_as_text(resources: Any, say: Callable[[str, str], None]) -> str:
    """Returns the dictionary of the resources as the core takes it. What is not sent is said in the log."""
    if resources is None:
        return ""
    sent = _part("RESOURCES", resources, _RESOURCES, say)
    card, devices = sent.get("gpu_info"), sent.get("devices")
    if card is not None:
        card = {"model": card} if isinstance(card, str) else card
        sent["gpu_info"] = _part("RESOURCES['gpu_info']", card, ("model", "vram_gb"), say)
    if isinstance(devices, (list, tuple)):
        sent["devices"] = [_part(f"RESOURCES['devices'][{n}]", one, _DEVICE, say) for n, one in enumerate(devices)]
    return as_text("RESOURCES", sent)


def _part(path: str, value: Any, known: tuple[str, ...], say: Callable[[str, str], None]) -> dict[str, Any]:
    """Returns the members of a dictionary that are sent."""
    if not isinstance(value, Mapping):
        raise ConfigError(f"`{path}` is of the type `{type(value).__name__}`, expected a dictionary")
    for key in value:
        if key not in known:
            use = "set `MAX_CONCURRENT_TASKS`" if key == "max_concurrent_tasks" else "put it into `properties`"
            say(f"{path}[{key!r}]", f"`{path}[{key!r}]` is not sent: {use}")
    members = {key: value[key] for key in known if value.get(key) is not None}
    for key in ("cpu_cores", "ram_gb", "vram_gb"):
        if key in members:
            members[key] = number = _number(members[key])
            kinds = (int,) if key == "cpu_cores" else (int, float)
            if not isinstance(number, kinds) or number < 0:
                expected = "a whole number" if key == "cpu_cores" else "a number"
                raise ConfigError(f"`{path}[{key!r}]` is `{number!r}`, expected {expected}, at least 0")
    return members


def software_as_text(software: Any) -> str:
    """Returns the dictionary of installed software as the text of its variable: versions may be numbers."""
    if isinstance(software, Mapping):
        software = {
            name: version if isinstance(version, str) else as_text(name, version) for name, version in software.items()
        }
    return as_text("INSTALLED_SOFTWARE", software)


def _number(value: Any) -> Any:
    """Returns a number for its text, whole where it is whole."""
    try:
        number = float(value) if isinstance(value, (str, float)) else value
    except ValueError:
        return value
    return int(number) if isinstance(number, float) and number.is_integer() else number


def _whole(value: Any) -> Any:
    return None if value is None or value == "" else _number(value)


def parsed(text: str | bytes) -> Any:
    return json.loads(text)
