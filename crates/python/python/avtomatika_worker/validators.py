"""The check of names: of tasks, their types, and workers."""

from __future__ import annotations

__all__ = ["is_valid_identifier", "validate_identifier"]


def is_valid_identifier(value: object) -> bool:
    """Returns whether a value is a name of 1 to 128 characters ``a-z A-Z 0-9 _ -``."""
    # Without `re`, whose import takes a while.
    if not isinstance(value, str) or not value.isascii() or not 1 <= len(value) <= 128:
        return False
    return all(character.isalnum() or character in "_-" for character in value)


def validate_identifier(value: object, name: str = "identifier") -> None:
    """Raises ``ValueError`` if a value is not a valid name; ``name`` says in the message what it names."""
    if not is_valid_identifier(value):
        shown = value if isinstance(value, str) else repr(value)
        raise ValueError(f"invalid {name}: `{shown}`, expected 1 to 128 of the characters a-z A-Z 0-9 _ -")
