"""The error codes of failures, under the older name of ``avtomatika_worker.typing``."""

from .typing import *  # noqa: F403
from .typing import __all__ as __all__
