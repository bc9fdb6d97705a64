"""The command ``avtomatika``: the development server, and what uses it from a terminal."""

from __future__ import annotations

import signal
import sys

from . import _native

__all__ = ["main"]


def main() -> int:
    """Runs the command with the arguments of this process, and returns its exit code."""
    # The command handles Ctrl-C itself. With Python's handler, `KeyboardInterrupt` would follow its end.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    # `-P`: a folder with the name of this package in the current directory is not this package.
    again = (sys.executable, ["-P", "-m", f"{__package__}._command_line"])
    return _native.command_line(["avtomatika", *sys.argv[1:]], again)


if __name__ == "__main__":
    sys.exit(main())
