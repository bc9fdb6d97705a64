"""The configuration of a worker: the environment, overridden by attributes set in code."""

from __future__ import annotations

import os
from copy import deepcopy
from typing import TYPE_CHECKING, Any, ClassVar

from . import _native
from ._attributes import Attributes, Variables, attributes
from ._live import Live, Orchestrators, entries_as_text, parsed, resources_as_text, software_as_text
from ._options import ALIASES, PLAIN, as_text, nearest, of_environment, shown, without_effect
from .errors import ConfigError

__all__ = ["ConfigError", "WorkerConfig"]

# The options that are read for `RESOURCES`, with the keys that depend on them.
_RESOURCES = {
    "CPU_CORES": ("cpu_cores",),
    "RAM_GB": ("ram_gb",),
    "GPU_MODEL": ("gpu_info", "devices"),
    "GPU_VRAM_GB": ("gpu_info", "devices"),
    "GPU_ID": ("devices",),
    "WORKER_DEVICES": ("devices",),
}

# The options that are read as what is in use, which is not always what is set.
_IN_USE = {
    "WORKER_HOSTNAME": _native.Config.hostname,
    "WORKER_ID": _native.Config.worker_id,
    "WORKER_IP_ADDRESS": _native.Config.ip_address,
    "WORKER_TOKEN": _native.Config.token,
}


class WorkerConfig(Attributes):
    """All options of a worker, as attributes with the names of the environment variables.

    Creating it reads the environment once, and never fails: invalid variables are reported by ``validate()``, and when
    the worker runs. Setting an attribute overrides its variable; an invalid value raises ``ConfigError``, which names the
    expected values. ``None`` or an empty text restores the default of an option. Times are in seconds. Lists and
    dictionaries can be changed in place until the worker starts.

    Other attributes can be set as on any object, also by a subclass. A class attribute of a subclass that has the name of
    an option sets this option. What is set while a worker runs takes effect when it is started again.
    """

    _native_config: _native.Config
    _live: Live
    _orchestrators: Orchestrators
    # The values of the attributes that the core does not know.
    _plain: dict[str, Any]
    # The lists, dictionaries and addresses as they are written in the environment, or in code.
    _texts: dict[str, str]
    # The texts of the options that a subclass defines as properties.
    _derived: dict[str, str]
    # The number of workers that run with this configuration.
    _running: int
    # What was said in the log.
    _said: set[str]
    # The options that a subclass sets as class attributes, and those that it defines as properties.
    _given: ClassVar[dict[str, Any]] = {}
    _defined: ClassVar[frozenset[str]] = frozenset()

    def __init__(self) -> None:
        variables = {_readable(name): _readable(value) for name, value in os.environ.items()}
        # The core would take it for misspelt.
        variables.pop("WORKER_SKILLS_DIR", None)
        # What was set before this call.
        before = attributes(self).pop("_before", {})
        self._make(_native.Config(variables), {name: of_environment(*row) for name, row in PLAIN.items()})
        written = {*_JSON, "ORCHESTRATOR_URL"}
        self._texts.update({name: variables[name] for name in written if variables.get(name, "").strip()})
        for name, value in {**self._given, **before}.items():
            setattr(self, name, value)

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        for name, value in list(vars(cls).items()):
            if name in _NAMES and hasattr(type(value), "__get__"):
                cls._defined |= {name}
            elif name in _NAMES:
                # The property of the option must stay visible.
                delattr(cls, name)
                cls._given = {**cls._given, name: value}

    def _make(self, native: _native.Config, plain: dict[str, Any]) -> None:
        live = Live(self._text_of)
        made = {
            "_native_config": native,
            "_live": live,
            "_orchestrators": Orchestrators(live, self._listed, self._url),
            "_plain": plain,
            "_texts": {},
            "_derived": {},
            "_running": 0,
            "_said": set(),
        }
        attributes(self).update(made)

    @property
    def ORCHESTRATORS(self) -> list[dict[str, Any]]:
        """The orchestrators in use: those of ``ORCHESTRATORS_CONFIG``, else the one of ``ORCHESTRATOR_URL``. An entry has
        a ``token`` only if it is its own. Setting it has the same effect as setting ``ORCHESTRATORS_CONFIG``."""
        return self._orchestrators.read()

    @ORCHESTRATORS.setter
    def ORCHESTRATORS(self, value: list[dict[str, Any]]) -> None:
        self._set("ORCHESTRATORS", value)

    @property
    def EXTRA_CAPABILITIES(self) -> dict[str, Any]:
        """Additional capabilities that orchestrators are sent: ``WORKER_EXTRA_RACK=7`` becomes ``{"rack": 7}``."""
        return self._get("EXTRA_CAPABILITIES")  # type: ignore[no-any-return]

    @EXTRA_CAPABILITIES.setter
    def EXTRA_CAPABILITIES(self, value: dict[str, Any]) -> None:
        self._set("EXTRA_CAPABILITIES", value)

    @property
    def RESOURCES(self) -> dict[str, Any]:
        """The resources of the machine that orchestrators are sent: ``cpu_cores``, ``gpu_info``, ``ram_gb`` (0 for the
        memory of the machine), ``devices`` (``None`` for the machine's own graphics cards) and, if there are any, other
        ``properties``."""
        return self._get("RESOURCES")  # type: ignore[no-any-return]

    @RESOURCES.setter
    def RESOURCES(self, value: dict[str, Any]) -> None:
        self._set("RESOURCES", value)

    def validate(self) -> None:
        """Raises ``ConfigError`` with all problems, if there are any. Reads the files of certificates and keys."""
        problems = self._native.problems()
        if problems:
            raise ConfigError(problems)

    @property
    def _native(self) -> _native.Config:
        """The native configuration, with all values that were changed in place."""
        self._orchestrators.adopt()
        for name, value in self._live.changed():
            self._write(name, self._text_of(name, value))
            if name == "ORCHESTRATORS":
                self._orchestrators.was_written(value)
            else:
                self._live.keep(name, value)
        for name in self._defined:
            value = getattr(self, name)
            text = self._text_of(name, value)
            if text != self._derived.get(name):
                self._write(ALIASES.get(name, name), text)
                self._derived[name] = text
        return self._native_config

    def _borrow(self) -> None:
        """Notes that a worker runs with this configuration, until ``_give_back`` has been called as many times."""
        attributes(self)["_running"] += 1

    def _give_back(self) -> None:
        attributes(self)["_running"] -= 1

    def _get(self, name: str) -> Any:
        native = self._native_config
        if name in PLAIN:
            return self._plain[name]
        if name in _IN_USE:
            return _IN_USE[name](native)
        if name == "ORCHESTRATORS_CONFIG":
            return self._orchestrators.read_config()
        if name not in _JSON and name not in {"EXTRA_CAPABILITIES", "RESOURCES"}:
            return native.get(name)
        return self._live[name] if name in self._live else self._live.keep(name, self._read(name))

    def _read(self, name: str) -> Any:
        """Returns a list or a dictionary as it is in the environment, else as the core has it."""
        native = self._native_config
        if name == "EXTRA_CAPABILITIES":
            return parsed(native.extra())
        if name == "RESOURCES":
            return parsed(native.resources())
        text = self._texts.get(name)
        if text is not None and (name, "environment") in {(row[0], row[2]) for row in native.effective()}:
            # With the keys that the core does not know.
            return parsed(text)
        return parsed(native.get(name))

    def _listed(self) -> list[Any]:
        return list(self._read("ORCHESTRATORS_CONFIG") or [])

    def _url(self) -> str:
        # With its credentials, which the core hides.
        return self._texts.get("ORCHESTRATOR_URL") or str(self._native_config.get("ORCHESTRATOR_URL"))

    def _set(self, name: str, value: Any) -> None:
        if "_native_config" not in attributes(self):
            attributes(self).setdefault("_before", {})[name] = value
            return
        if self._running:
            self._say(name, f"`{name}` was set while the worker runs: it takes effect when the worker is started again")
        if name in PLAIN:
            self._set_plain(name, value)
            return
        if name in {"ORCHESTRATORS", "ORCHESTRATORS_CONFIG"} and isinstance(value, str) and value.strip():
            try:
                value = parsed(value)
            except ValueError as error:
                raise ConfigError(f"`{name}` is not JSON: {error}") from None
        self._write(name, self._text_of(name, value))
        if name in {"ORCHESTRATORS", "ORCHESTRATORS_CONFIG"}:
            self._orchestrators.set(name, value)
        elif name == "ORCHESTRATOR_URL":
            self._set_url(value)
        elif isinstance(value, (list, dict)):
            self._live.keep(name, value)
        else:
            self._live.forget(name)
        if name in _RESOURCES and "RESOURCES" in self._live:
            self._native_config.set_resources("")
            fresh, kept = parsed(self._native_config.resources()), self._live["RESOURCES"]
            kept.update({key: fresh[key] for key in _RESOURCES[name]})
            self._live.keep("RESOURCES", kept, is_changed=True)

    def _set_url(self, value: Any) -> None:
        if value is None or value == "":
            self._orchestrators.url_was_set()
        else:
            # The orchestrator that is set last counts.
            self._texts["ORCHESTRATOR_URL"] = as_text("ORCHESTRATOR_URL", value)
            self._write("ORCHESTRATORS_CONFIG", "")
            self._orchestrators.forget()

    def _set_plain(self, name: str, value: Any) -> None:
        default = PLAIN[name][1]
        instead = without_effect(name)
        if instead is not None and value not in (None, self._plain[name]):
            self._say(name, f"`{name}` has no effect: {instead}")
        self._plain[name] = default if value is None else value

    def _write(self, name: str, text: str) -> None:
        native = self._native_config
        try:
            if name == "EXTRA_CAPABILITIES":
                native.set_extra(text or "{}")
            elif name == "RESOURCES":
                native.set_resources(text)
            else:
                native.set("ORCHESTRATORS_CONFIG" if name == "ORCHESTRATORS" else name, text)
        except ValueError as error:
            raise ConfigError(str(error)) from None
        self._texts.pop("ORCHESTRATORS_CONFIG" if name == "ORCHESTRATORS" else name, None)

    def _text_of(self, name: str, value: Any) -> str:
        if isinstance(value, str):
            return as_text(name, value)
        if name in {"ORCHESTRATORS", "ORCHESTRATORS_CONFIG"}:
            return entries_as_text(value, self._say)
        if name == "RESOURCES":
            return resources_as_text(value, self._say)
        if name == "INSTALLED_SOFTWARE":
            return software_as_text(value)
        return as_text(name, value)

    def _say(self, key: str, message: str) -> None:
        """Writes a warning, once for each key."""
        if key not in self._said:
            from ._logging import LOG

            self._said.add(key)
            LOG.warning("%s", message)

    def _own(self) -> dict[str, Any]:
        """The attributes of the user's own."""
        return {name: value for name, value in attributes(self).items() if name not in _INTERNAL}

    # Hidden from type checkers, which would otherwise accept any attribute.
    if not TYPE_CHECKING:

        @property
        def __dict__(self) -> dict[str, Any]:
            """The attributes as ``vars`` shows them. Changes of this dictionary change the attributes."""
            return Variables(self, {name: getattr(self, name) for name in sorted(_NAMES)} | self._own())

        def __getattr__(self, name: str) -> Any:
            # Called for attributes that do not exist only.
            message = f"`{name}` is neither an option nor an attribute of this configuration"
            if not name.startswith("_"):
                if name in _NAMES:
                    message = f"`{name}` cannot be read before `super().__init__()`"
                elif near := nearest(name, _NAMES):
                    message += f"; the closest name is `{near}`"
            raise AttributeError(message, name=name, obj=self)

        def __setattr__(self, name: str, value: Any) -> None:
            is_new = name not in attributes(self) and not hasattr(type(self), name)
            if is_new and not name.startswith("_") and (near := nearest(name, _NAMES)):
                message = f"`{name}` is not an option of the worker; the closest name is `{near}`"
                if "_said" in attributes(self):
                    self._say(name, message)
            object.__setattr__(self, name, value)

        def __delattr__(self, name: str) -> None:
            if name in _NAMES:
                raise AttributeError(
                    f"`{name}` cannot be deleted; set it to `None` to restore its default", name=name, obj=self
                )
            object.__delattr__(self, name)

    def _copied(self, own: dict[str, Any]) -> WorkerConfig:
        other = type(self).__new__(type(self))
        other._make(self._native.copy(), dict(self._plain))
        made = attributes(other)
        made["_live"] = live = self._live.copy(other._text_of)
        made["_orchestrators"] = self._orchestrators.copy(live, other._listed, other._url)
        made["_texts"], made["_said"] = dict(self._texts), set(self._said)
        made.update(own)
        return other

    def __copy__(self) -> WorkerConfig:
        return self._copied(self._own())

    def __deepcopy__(self, memo: dict[int, Any]) -> WorkerConfig:
        other = self._copied({})
        memo[id(self)] = other
        attributes(other).update(deepcopy(self._own(), memo))
        return other

    def __reduce__(self) -> Any:
        raise TypeError("a `WorkerConfig` holds secrets and cannot be pickled; create one where it is needed")

    def __repr__(self) -> str:
        """Shows the options that are set, and the attributes of the user's own, without secrets."""
        options = [f"{name}={value}" for name, value, source in self._native_config.effective() if source != "default"]
        own = [f"{name}={shown(name, value, _NAMES)}" for name, value in self._own().items()]
        return f"{type(self).__name__}({', '.join(options + own)})"


def _readable(text: str) -> str:
    """Replaces the bytes of a variable that are not UTF-8, so that the text is reported as invalid."""
    return text if text.isascii() else os.fsencode(text).decode(errors="replace")


def _make_attributes() -> set[str]:
    """Makes a property for each row of the table, so that no option is listed twice. Returns the options with JSON."""

    def attribute(name: str, documentation: str) -> property:
        return property(
            lambda config: config._get(name), lambda config, value: config._set(name, value), doc=documentation
        )

    empty = _native.Config({})
    for variable, _, default, accepts, meaning in _native.options():
        setattr(WorkerConfig, variable, attribute(variable, f"{meaning} Default: {default}. Accepts {accepts}."))
    for alias, variable in ALIASES.items():
        setattr(WorkerConfig, alias, attribute(variable, f"Another name for ``{variable}``."))
    for name, (variable, default) in PLAIN.items():
        instead = without_effect(name)
        effect = f"Has no effect: {instead}." if instead else "The folder of dynamic skills."
        setattr(WorkerConfig, name, attribute(name, f"{effect} Variable ``{variable}``, default {default!r}."))
    key = attribute("ORCHESTRATOR_SECRET_KEY", "Another name for ``ORCHESTRATOR_SECRET_KEY``; empty if it is not set.")
    WorkerConfig.SECRET_KEY = key.getter(lambda config: config._get("ORCHESTRATOR_SECRET_KEY") or "")  # type: ignore[assignment]
    return {variable for variable, *_ in _native.options() if isinstance(empty.get(variable), bytes)}


_JSON = _make_attributes()
# The names of all options.
_NAMES = {name for name, value in vars(WorkerConfig).items() if isinstance(value, property) and name[0] != "_"}
_INTERNAL = {name for name in WorkerConfig.__annotations__ if name[0] == "_"} | {"_before"}
