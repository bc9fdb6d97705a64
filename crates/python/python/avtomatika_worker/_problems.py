"""The problems of parameters that do not match their annotation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from .errors import ParamValidationError

__all__ = ["Problem", "invalid", "path_of"]

# The number of problems that a message lists: more would not be read.
_MAX_IN_MESSAGE = 20
# The number of problems in the details: with more, orchestrators might refuse the result for its size.
_MAX_IN_DETAILS = 1000


def invalid(problems: Iterable[tuple[str, str]]) -> ParamValidationError:
    """Returns the error for problems, each with its path; ``.`` stands for the parameters as a whole."""
    listed = list(problems)
    shown = "; ".join(text if path == "." else f"at `{path}`: {text}" for path, text in listed[:_MAX_IN_MESSAGE])
    colon = ":" if listed[0][0] == "." else ""
    more = f"; and {len(listed) - _MAX_IN_MESSAGE} more" if len(listed) > _MAX_IN_MESSAGE else ""
    details: dict[str, Any] = {
        "problems": [{"path": path, "problem": text} for path, text in listed[:_MAX_IN_DETAILS]],
    }
    if len(listed) > _MAX_IN_DETAILS:
        details["omitted"] = len(listed) - _MAX_IN_DETAILS
    return ParamValidationError(f"invalid params{colon} {shown}{more}", details=details)


class Problem(Exception):
    """A problem and its path, which grows while the exception propagates. Several problems are given by their paths
    within the value."""

    def __init__(self, text: str, within: Sequence[tuple[Sequence[str | int], str]] = ()) -> None:
        super().__init__(text)
        self.text = text
        self.within = within or [((), text)]
        self.steps: list[str | int] = []

    def depth(self) -> int:
        return len(self.steps) + max(len(steps) for steps, _ in self.within)

    def all(self) -> Iterable[tuple[str, str]]:
        """The path and the text of each problem."""
        return [(path_of([*reversed(self.steps), *steps]), text) for steps, text in self.within]


def path_of(steps: Iterable[str | int]) -> str:
    path = ""
    for step in steps:
        if isinstance(step, int):
            path += f"[{step}]"
        else:
            path += f".{step}" if path else step
    return path or "."
