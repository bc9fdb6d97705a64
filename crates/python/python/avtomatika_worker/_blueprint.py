"""Skills that are collected first, and registered with a worker later."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._skill import Skills

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["SkillBlueprint"]


class SkillBlueprint(Skills):
    """A collection of skills, for programs of several modules::

        audio = SkillBlueprint()

        @audio.skill("transcribe")
        async def transcribe(params: dict): ...

        worker.include_blueprint(audio)

    The worker gets the skills that the blueprint has when it is included. ``skill_info_class`` is the class whose
    fields skills have, a subclass of ``SkillInfo``.
    """

    def __init__(self, skill_info_class: type[Any] | None = None) -> None:
        self._info_class = skill_info_class
        self._skills: list[tuple[str, Callable[..., Any], dict[str, Any]]] = []

    def _register(self, name: str, func: Callable[..., Any], options: dict[str, Any]) -> None:
        self._skills.append((name, func, options))
