"""Prints the public names of the package `avtomatika_worker` of this interpreter, as JSON: for each dotted path the
parameters of what it names, or ``null``. It runs in any interpreter.

A name counts if the package defines it in a public module, if a module lists it in ``__all__``, if it is at the
package's root, or if the module ``worker`` offers it from the protocol's package.
"""

import importlib
import inspect
import json
import pkgutil
import sys
import types

PACKAGE = "avtomatika_worker"
PROTOCOL = "rxon"


def parameters(value):
    """The parameters as ``[name, kind]``; ``None`` if there are none to be known."""
    if hasattr(value, "__origin__"):
        return None  # An alias of a type.
    try:
        found = inspect.signature(value).parameters.values()
    except (TypeError, ValueError):
        return None
    return [[one.name, one.kind.name] for one in found if not one.name.startswith("_")]


def is_of(value, package):
    home = getattr(value, "__module__", None)
    return isinstance(home, str) and (home == package or home.startswith(f"{package}."))


def is_public(value):
    """Whether a class is of the package, or a message of the protocol's package."""
    return is_of(value, PACKAGE) or is_of(value, f"{PROTOCOL}.models")


def is_imported(name, value):
    """Whether another package has this very value under this name."""
    own = (PACKAGE, PROTOCOL, "__main__")
    others = [module for path, module in list(sys.modules.items()) if path.partition(".")[0] not in own]
    return any(vars(module).get(name) is value for module in others if isinstance(module, types.ModuleType))


def counts(module, name, value):
    if isinstance(value, types.ModuleType):
        return value.__name__.partition(".")[0] == PACKAGE
    if name in getattr(module, "__all__", ()) or module.__name__ == PACKAGE:
        return name != "annotations"
    if module.__name__ == f"{PACKAGE}.worker" and is_of(value, PROTOCOL):
        return True
    if isinstance(value, type | types.FunctionType):
        return value.__module__ == module.__name__
    # A constant, a logger or an alias of a type: those have no module of their own.
    is_builtin = isinstance(value, types.BuiltinFunctionType)
    return value is not None and not is_builtin and not is_imported(name, value)


def members(path, value):
    """The public attributes of a class of the package, and of what it makes."""
    inherited = {name for base in value.__mro__[1:] if not is_public(base) for name in vars(base)}
    names = [name for name in dir(value) if not name.startswith("_") and name not in inherited]
    found = {f"{path}.{name}": parameters(getattr(value, name)) for name in names}
    if value.__name__ in ("WorkerConfig", "Worker"):
        found |= {f"{path}.{name}": None for name in vars(value()) if not name.startswith("_")}
    return found


def public_names():
    package = importlib.import_module(PACKAGE)
    names = {}
    paths = [f"{PACKAGE}.{one.name}" for one in pkgutil.iter_modules(package.__path__)]
    is_hidden = {path: path.rpartition(".")[2].startswith("_") and not path.endswith(".__main__") for path in paths}
    public = [PACKAGE, *(path for path in paths if not is_hidden[path])]
    modules = [importlib.import_module(path) for path in public]
    for module in modules:
        names[module.__name__] = None
        for name, value in list(vars(module).items()):
            if name.startswith("_") or not counts(module, name, value):
                continue
            path = f"{module.__name__}.{name}"
            names[path] = parameters(value) if callable(value) else None
            if isinstance(value, type) and (value.__module__ == module.__name__ or is_of(value, f"{PROTOCOL}.models")):
                names |= members(path, value)
    return names


if __name__ == "__main__":
    print(json.dumps(public_names()))
