"""The configuration of a worker: the environment, overridden by attributes set in code."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from copy import deepcopy
from typing import TYPE_CHECKING, Any, ClassVar

from . import _native
from ._attributes import Attributes, Variables, attributes
from ._live import Live, Orchestrators, entries_as_text, parsed, resources_as_text, software_as_text
from ._options import ALIASES, PLAIN, USED_HERE, as_text, bare, is_read, nearest, of_environment, shown, without_effect
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


def _silent(key: str, message: str) -> None:
    pass


# What an instance holds before `__init__`, and since then.
_BEFORE = "_set_before_init"
_MADE = "_WorkerConfig__native_config"


class WorkerConfig(Attributes):
    """All options of a worker, as attributes with the names of the environment variables.

    Creating it reads the environment once, and never fails: invalid variables are reported by ``validate()``, and when
    the worker runs. Setting an attribute overrides its variable; an invalid value raises ``ConfigError``, which names the
    expected values. ``None`` or an empty text restores the default of an option. Times are in seconds. Lists and
    dictionaries can be changed in place until the worker starts.

    Other attributes can be set as on any object, also by a subclass. A class attribute of a subclass that has the name of
    an option sets this option. What is set while a worker runs takes effect when it is started again.
    """

    __native_config: _native.Config
    __live: Live
    __orchestrators: Orchestrators
    # The variables, and the texts that were written over them, in this order: for `pickle`.
    __variables: dict[str, str]
    __written: dict[str, str]
    # What is read instead of the configured values.
    __shown: dict[str, Any]
    # The values of the attributes that the core does not know, where they are set.
    __plain: dict[str, Any]
    # The lists, dictionaries and addresses as they are written in the environment, or in code.
    __texts: dict[str, str]
    # The texts of the options that a subclass defines as properties.
    __derived: dict[str, str]
    # The number of workers that run with this configuration.
    __running: int
    # What was said in the log.
    __said: set[str]
    # The options that a subclass sets as class attributes, and those that it defines as properties.
    __given: ClassVar[dict[str, Any]] = {}
    __defined: ClassVar[frozenset[str]] = frozenset()

    def __init__(self) -> None:
        variables = {_readable(name): _readable(value) for name, value in os.environ.items()}
        # The core would take them for misspelt.
        for name in USED_HERE:
            variables.pop(name, None)
        # What was set before this call.
        before = attributes(self).pop(_BEFORE, {})
        plain = {name: of_environment(*row) for name, row in PLAIN.items()}
        self.__make(variables, {name: value for name, value in plain.items() if value is not None})
        written = {*_JSON, "ORCHESTRATOR_URL"}
        texts = {name: bare(variables.get(name, "")) for name in written}
        self.__texts.update({name: text for name, text in texts.items() if text})
        for name, value in {**self.__given, **before}.items():
            setattr(self, name, value)

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        for name, value in list(vars(cls).items()):
            if name in _NAMES and hasattr(type(value), "__get__"):
                cls.__defined |= {name}
            elif name in _NAMES:
                # The property of the option must stay visible.
                delattr(cls, name)
                cls.__given = {**cls.__given, name: value}

    def __make(self, variables: dict[str, str], plain: dict[str, Any], native: _native.Config | None = None) -> None:
        self.__native_config = _native.Config(variables) if native is None else native
        self.__variables = variables
        self.__written = {}
        self.__live = Live(self.__text_of)
        self.__orchestrators = Orchestrators(self.__live, self.__listed, self.__url)
        self.__shown = {}
        self.__plain = plain
        self.__texts = {}
        self.__derived = {}
        self.__running = 0
        self.__said = set()

    @property
    def ORCHESTRATORS(self) -> list[dict[str, Any]]:
        """The orchestrators in use: those of ``ORCHESTRATORS_CONFIG``, else the one of ``ORCHESTRATOR_URL``. An entry has
        a ``token`` only if it is its own. Setting it has the same effect as setting ``ORCHESTRATORS_CONFIG``."""
        return self.__orchestrators.read()

    @ORCHESTRATORS.setter
    def ORCHESTRATORS(self, value: list[dict[str, Any]]) -> None:
        self.__set("ORCHESTRATORS", value)

    @property
    def EXTRA_CAPABILITIES(self) -> dict[str, Any]:
        """Additional capabilities that orchestrators are sent: ``WORKER_EXTRA_RACK=7`` becomes ``{"rack": 7}``."""
        return self.__get("EXTRA_CAPABILITIES")  # type: ignore[no-any-return]

    @EXTRA_CAPABILITIES.setter
    def EXTRA_CAPABILITIES(self, value: dict[str, Any]) -> None:
        self.__set("EXTRA_CAPABILITIES", value)

    @property
    def RESOURCES(self) -> dict[str, Any]:
        """The resources of the machine that orchestrators are sent: ``cpu_cores``, ``gpu_info``, ``ram_gb`` (0 for the
        memory of the machine), ``devices`` (``None`` for the machine's own graphics cards) and, if there are any, other
        ``properties``."""
        return self.__get("RESOURCES")  # type: ignore[no-any-return]

    @RESOURCES.setter
    def RESOURCES(self, value: dict[str, Any]) -> None:
        self.__set("RESOURCES", value)

    def validate(self) -> None:
        """Raises ``ConfigError`` with all problems, if there are any. Reads the files of certificates and keys."""
        problems = self.__take_changes() + self.__native_config.problems()
        if problems:
            raise ConfigError(problems)

    @property
    def _native(self) -> _native.Config:
        """The native configuration, with all values that were changed in place. Raises ``ConfigError`` with all problems
        if one of these values is invalid."""
        problems = self.__take_changes()
        if problems:
            raise ConfigError(problems + self.__native_config.problems())
        return self.__native_config

    @property
    def _skills_dir(self) -> Any:
        """The folder of dynamic skills that is set by variable or in code, an empty text for none. ``None`` if it is not
        set."""
        name = "WORKER_SKILLS_DIR"
        return getattr(self, name) if name in self.__plain or name in self.__defined else None

    def __take_changes(self) -> list[str]:
        """Gives the core all values that were changed in place, and returns the problems with them."""
        problems = []
        self.__orchestrators.adopt()
        for name in self.__live.names():
            if name not in self.__live:
                # The other name of the list of orchestrators, which was taken just now.
                continue
            try:
                self.__take_change(name, self.__live[name])
            except ConfigError as error:
                problems += error.problems
        for name in self.__defined:
            value = getattr(self, name)
            try:
                text = self.__text_of(name, value)
                if text != self.__derived.get(name):
                    self.__write(ALIASES.get(name, name), text)
                    self.__derived[name] = text
            except ConfigError as error:
                problems += error.problems
        return problems

    def __take_change(self, name: str, value: Any) -> None:
        # The core says what it does not know in a variable. Keys without effect are no change of the text.
        variable = {"ORCHESTRATORS": "ORCHESTRATORS_CONFIG", "RESOURCES": "RESOURCES"}.get(name)
        if variable is not None and variable not in self.__texts:
            self.__text_of(name, value, self.__say)
        if not self.__live.is_changed(name):
            return
        self.__write(name, self.__text_of(name, value, self.__say))
        if name == "ORCHESTRATORS":
            self.__orchestrators.was_written(value)
        else:
            self.__live.keep(name, value)

    def _borrow(self) -> None:
        """Notes that a worker runs with this configuration, until ``_give_back`` has been called as many times."""
        self.__running += 1

    def _give_back(self) -> None:
        self.__running -= 1

    def __get(self, name: str) -> Any:
        native = self.__native_config
        if name in self.__shown:
            return self.__shown[name]
        if name in PLAIN:
            return self.__plain.get(name, PLAIN[name][1])
        if name in _IN_USE:
            return _IN_USE[name](native)
        if name == "ORCHESTRATORS_CONFIG":
            return self.__orchestrators.read_config()
        if name not in _JSON and name not in {"EXTRA_CAPABILITIES", "RESOURCES"}:
            return native.get(name)
        return self.__live[name] if name in self.__live else self.__live.keep(name, self.__read(name))

    def __read(self, name: str) -> Any:
        """Returns a list or a dictionary as it is in the environment, else as the core has it."""
        native = self.__native_config
        if name == "EXTRA_CAPABILITIES":
            return parsed(native.extra())
        if name == "RESOURCES":
            return parsed(native.resources())
        text = self.__texts.get(name)
        if text is not None and (name, "environment") in {(row[0], row[2]) for row in native.effective()}:
            # With the keys that the core does not know.
            return parsed(text)
        return parsed(native.get(name))

    def __listed(self) -> list[Any]:
        return list(self.__read("ORCHESTRATORS_CONFIG") or [])

    def __url(self) -> str:
        # With its credentials, which the core hides.
        return self.__texts.get("ORCHESTRATOR_URL") or str(self.__native_config.get("ORCHESTRATOR_URL"))

    def __set(self, name: str, value: Any) -> None:
        if not self.__is_made():
            attributes(self).setdefault(_BEFORE, {})[name] = value
            return
        if name in PLAIN:
            self.__set_plain(name, value)
            return
        if self.__running:
            self.__say(
                name, f"`{name}` was set while the worker runs: it takes effect when the worker is started again"
            )
        if name in {"ORCHESTRATORS", "ORCHESTRATORS_CONFIG"} and isinstance(value, str) and value.strip():
            try:
                value = parsed(value)
            except ValueError as error:
                raise ConfigError(f"`{name}` is not JSON: {error}") from None
        self.__write(name, self.__text_of(name, value, self.__say))
        self.__shown.pop(name, None)
        if name in {"ORCHESTRATORS", "ORCHESTRATORS_CONFIG"}:
            self.__orchestrators.set(name, value)
        elif name == "ORCHESTRATOR_URL":
            self.__set_url(value)
        elif isinstance(value, (list, dict)):
            self.__live.keep(name, value)
        else:
            self.__live.forget(name)
        if name in _RESOURCES and "RESOURCES" in self.__live:
            self.__write("RESOURCES", "")
            fresh, kept = parsed(self.__native_config.resources()), self.__live["RESOURCES"]
            kept.update({key: fresh[key] for key in _RESOURCES[name]})
            self.__live.keep("RESOURCES", kept, is_changed=True)

    def _show(self, name: str, value: Any) -> None:
        """Shows what a worker was given for an option, if anything, until the option is set. What is configured stays, for
        other workers with this configuration. The worker itself reports an invalid value."""
        if value is not None and name not in self.__defined and self.__is_made():
            native = self.__native_config.copy()
            with suppress(ValueError):
                native.set(name, self.__text_of(name, value))
                self.__shown[name] = native.get(name)

    def __set_url(self, value: Any) -> None:
        if value is None or value == "":
            self.__orchestrators.url_was_set()
        else:
            # The orchestrator that is set last counts.
            self.__texts["ORCHESTRATOR_URL"] = bare(as_text("ORCHESTRATOR_URL", value))
            self.__write("ORCHESTRATORS_CONFIG", "")
            self.__orchestrators.forget()

    def __set_plain(self, name: str, value: Any) -> None:
        instead = without_effect(name)
        if instead is not None and value not in (None, self.__get(name)):
            self.__say(name, f"`{name}` has no effect: {instead}")
        if value is None:
            self.__plain.pop(name, None)
        else:
            self.__plain[name] = value

    def __write(self, name: str, text: str) -> None:
        native = self.__native_config
        try:
            if name == "EXTRA_CAPABILITIES":
                native.set_extra(text or "{}")
            elif name == "RESOURCES":
                native.set_resources(text)
            else:
                native.set("ORCHESTRATORS_CONFIG" if name == "ORCHESTRATORS" else name, text)
        except ValueError as error:
            raise ConfigError(str(error)) from None
        # The last one that is written counts.
        self.__written.pop(name, None)
        self.__written[name] = text
        self.__texts.pop("ORCHESTRATORS_CONFIG" if name == "ORCHESTRATORS" else name, None)

    def __text_of(self, name: str, value: Any, say: Callable[[str, str], None] = _silent) -> str:
        """Returns a value as the text of its variable, and says what is left out of it."""
        if isinstance(value, str):
            return as_text(name, value)
        if name in {"ORCHESTRATORS", "ORCHESTRATORS_CONFIG"}:
            return entries_as_text(value, say)
        if name == "RESOURCES":
            return resources_as_text(value, say)
        if name == "INSTALLED_SOFTWARE":
            return software_as_text(value)
        return as_text(name, value)

    def __say(self, key: str, message: str) -> None:
        """Writes a warning, once for each key."""
        if key not in self.__said:
            from ._logging import LOG

            self.__said.add(key)
            LOG.warning("%s", message)

    def __is_made(self) -> bool:
        return _MADE in attributes(self)

    def __own(self) -> dict[str, Any]:
        """The attributes of the user's own."""
        return {name: value for name, value in attributes(self).items() if name not in _INTERNAL}

    # Hidden from type checkers, which would otherwise accept any attribute.
    if not TYPE_CHECKING:

        @property
        def __dict__(self) -> dict[str, Any]:
            """The attributes as ``vars`` shows them. Changes of this dictionary change the attributes."""
            return Variables(
                self, {name: getattr(self, name) for name in sorted(_NAMES) if hasattr(self, name)} | self.__own()
            )

        def __getattr__(self, name: str) -> Any:
            # Called for attributes that do not exist only.
            if self.__is_made() and (name == "_native" or name in _NAMES):
                # The property has failed: it raises its own error again.
                return getattr(type(self), name).__get__(self)
            message = f"`{name}` is neither an option nor an attribute of this configuration"
            if name in _NAMES:
                message = f"`{name}` is read before `super().__init__()`"
            elif not name.startswith("_") and (near := nearest(name, _NAMES)):
                message += f"; the closest name is `{near}`"
            raise AttributeError(message, name=name, obj=self)

        def __setattr__(self, name: str, value: Any) -> None:
            is_new = name not in attributes(self) and not hasattr(type(self), name)
            if is_new and not name.startswith("_") and self.__is_made() and (near := nearest(name, _NAMES)):
                self.__say(name, f"`{name}` is not an option of the worker; the closest name is `{near}`")
            object.__setattr__(self, name, value)

        def __delattr__(self, name: str) -> None:
            if name in _NAMES:
                raise AttributeError(
                    f"`{name}` cannot be deleted; set it to `None` to restore its default", name=name, obj=self
                )
            object.__delattr__(self, name)

    def __copied(self, own: dict[str, Any]) -> WorkerConfig:
        other = type(self).__new__(type(self))
        other.__make(self.__variables, dict(self.__plain), self._native.copy())
        other.__written = dict(self.__written)
        other.__live = self.__live.copy(other.__text_of)
        other.__orchestrators = self.__orchestrators.copy(other.__live, other.__listed, other.__url)
        other.__texts, other.__said = dict(self.__texts), set(self.__said)
        other.__shown = dict(self.__shown)
        attributes(other).update(own)
        return other

    def __copy__(self) -> WorkerConfig:
        return self.__copied(self.__own())

    def __deepcopy__(self, memo: dict[int, Any]) -> WorkerConfig:
        other = self.__copied({})
        memo[id(self)] = other
        attributes(other).update(deepcopy(self.__own(), memo))
        return other

    def __reduce__(self) -> Any:
        native = self._native
        state = {
            "variables": {name: value for name, value in self.__variables.items() if is_read(name)},
            # The other configuration has the same id, even if it was generated.
            "written": self.__written | {"WORKER_ID": native.worker_id()},
            "texts": self.__texts,
            "derived": self.__derived,
            "said": self.__said,
            "shown": self.__shown,
            "plain": self.__plain,
            "lent": self.__live.lent(),
            "is_of_url": self.__orchestrators.is_of_url,
            "own": self.__own(),
        }
        return type(self).__new__, (type(self),), state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__make(state["variables"], state["plain"])
        for name, text in state["written"].items():
            self.__write(name, text)
        self.__texts, self.__derived, self.__said = state["texts"], state["derived"], state["said"]
        self.__shown = state["shown"]
        self.__live.take(state["lent"])
        self.__orchestrators.is_of_url = state["is_of_url"]
        attributes(self).update(state["own"])

    @staticmethod
    def _property(name: str, documentation: str) -> property:
        """Makes the attribute of an option."""

        def read(config: WorkerConfig) -> Any:
            return config.__get(name)

        def write(config: WorkerConfig, value: Any) -> None:
            config.__set(name, value)

        return property(read, write, doc=documentation)

    def __repr__(self) -> str:
        """Shows the options that are set, and the attributes of the user's own, without secrets."""
        options = [f"{name}={value}" for name, value, source in self.__native_config.effective() if source != "default"]
        own = [f"{name}={shown(name, value, _NAMES)}" for name, value in self.__own().items()]
        return f"{type(self).__name__}({', '.join(options + own)})"


def _readable(text: str) -> str:
    """Replaces the bytes of a variable that are not UTF-8, so that the text is reported as invalid."""
    return text if text.isascii() else os.fsencode(text).decode(errors="replace")


def _make_attributes() -> set[str]:
    """Makes a property for each row of the table, so that no option is listed twice. Returns the options with JSON."""

    attribute = WorkerConfig._property
    empty = _native.Config({})
    for variable, _, default, accepts, meaning in _native.options():
        setattr(WorkerConfig, variable, attribute(variable, f"{meaning} Default: {default}. Accepts {accepts}."))
    for alias, variable in ALIASES.items():
        setattr(WorkerConfig, alias, attribute(variable, f"Another name for ``{variable}``."))
    for name, (variable, default) in PLAIN.items():
        instead = without_effect(name)
        effect = (
            f"Has no effect: {instead}."
            if instead
            else "The folder of dynamic skills; set in code, an empty text stands for none."
        )
        setattr(WorkerConfig, name, attribute(name, f"{effect} Variable ``{variable}``, default {default!r}."))
    key = attribute("ORCHESTRATOR_SECRET_KEY", "Another name for ``ORCHESTRATOR_SECRET_KEY``; empty if it is not set.")
    WorkerConfig.SECRET_KEY = key.getter(lambda config: config.ORCHESTRATOR_SECRET_KEY or "")  # type: ignore[assignment]
    return {variable for variable, *_ in _native.options() if isinstance(empty.get(variable), bytes)}


_JSON = _make_attributes()
# The names of all options.
_NAMES = {name for name, value in vars(WorkerConfig).items() if isinstance(value, property) and name[0] != "_"}
_INTERNAL = {name for name in WorkerConfig.__annotations__ if name[0] == "_"} | {_BEFORE}


def __getattr__(name: str) -> Any:
    if name != "logger":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # A name that programs for the existing SDK use.
    from logging import getLogger

    return getLogger(__name__)
