"""Skills from the Python files of a folder."""

from __future__ import annotations

import inspect
import os
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from ._blueprint import SkillBlueprint
from ._logging import LOG

if TYPE_CHECKING:
    from ._registry import Registry
    from .config import WorkerConfig

__all__ = ["DEFAULT", "load", "load_configured"]

DEFAULT = "skills"
"""The folder that is searched when none is configured, below the working directory."""


async def load_configured(worker: Registry, config: WorkerConfig, skills_dir: str | os.PathLike[str] | None) -> None:
    """Loads the skills of the configured folder, or of the default one if it exists. An empty text as the configured
    folder stands for none."""
    configured = skills_dir or config._skills_dir
    if configured:
        await load(worker, configured)
    elif configured is None and os.path.isdir(DEFAULT):
        # Nobody may have meant this folder, so only files are run that are certainly made for it.
        await load(worker, DEFAULT, only=_has_skills)


async def load(worker: Registry, skills_dir: str | os.PathLike[str], only: Any = None) -> None:
    """Runs the files ``*.py`` of a folder, except for those whose names begin with ``_``: registers the skills of their
    blueprints, and calls their functions ``setup(worker)``. A file that raises is logged, and does not keep the others
    from being loaded."""
    folder = Path(skills_dir)
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix == ".py" and not path.name.startswith("_"))
    except OSError as error:
        LOG.warning("the skills in `%s` cannot be loaded: %s", folder, error)
        return
    for path in paths:
        if not path.is_file() or (only is not None and not only(path)):
            continue
        try:
            await _include(worker, _run(path))
            LOG.info("the skills of `%s` are loaded", path)
        except (Exception, SystemExit):
            LOG.exception("the skills of `%s` cannot be loaded", path)


def _has_skills(path: Path) -> bool:
    try:
        source = path.read_bytes()
    except OSError:
        return False
    return b"SkillBlueprint" in source or b"def setup(worker" in source


def _run(path: Path) -> ModuleType:
    # Not the name of the file: `skills/whisper.py` may import a package `whisper`.
    name = f"avtomatika_skills_{path.stem}"
    spec = spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"`{path}` is not a Python file")
    module = module_from_spec(spec)
    # Dataclasses look their module up.
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


async def _include(worker: Registry, module: ModuleType) -> None:
    blueprints = {id(value): value for value in vars(module).values() if isinstance(value, SkillBlueprint)}
    for blueprint in blueprints.values():
        worker.include_blueprint(blueprint)
    setup = getattr(module, "setup", None)
    if callable(setup):
        result = setup(worker)
        if inspect.isawaitable(result):
            await result
