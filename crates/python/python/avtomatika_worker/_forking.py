"""What a forked process leaves to its parent, whose worker it does not run."""

from __future__ import annotations

import os
from contextlib import suppress

from . import _native

__all__: list[str] = []


def _after_fork() -> None:
    """Closes the copies of the worker's connections, of the health server's port and of the locks on its files. Else the
    parent could not be started again while this process lives, and the orchestrator would answer polls of a dead one."""
    descriptors = _native.after_fork()
    if not descriptors:
        return
    try:
        nothing = os.open(os.devnull, os.O_RDWR)
    except OSError:
        # There is no free descriptor.
        for descriptor in descriptors:
            with suppress(OSError):
                os.close(descriptor)
        return
    for descriptor in descriptors:
        # The number stays taken: what is left of the parent's worker in this process cannot close something else.
        with suppress(OSError):
            os.dup2(nothing, descriptor, inheritable=False)
    os.close(nothing)


os.register_at_fork(after_in_child=_after_fork)
