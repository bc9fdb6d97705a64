"""The command ``worker``: runs the worker of a module.

::

    worker run --app my_worker:worker --reload
"""

from __future__ import annotations

import argparse
import os
import sys
from importlib import import_module
from typing import Any

__all__ = ["import_string", "main", "run_worker"]

_LAST_PORT = 65535


def main(arguments: list[str] | None = None) -> int:
    """Runs the command, and returns its exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.command is None:
        parser.print_help()
        return 0
    return _run(options)


def run_worker(args: argparse.Namespace) -> None:
    """Runs the worker that the arguments of ``worker run`` name: ``app``, ``health_check``, ``reload`` and, if it is there,
    ``port``. Raises ``SystemExit`` if it cannot run, or does not end cleanly."""
    code = _run(args)
    if code:
        raise SystemExit(code)


def import_string(import_name: str) -> Any:
    """Imports a module, and returns an attribute of it: ``import_string("my_worker:worker")``. Raises ``ImportError``."""
    module_name, _, name = import_name.partition(":")
    if not module_name or not name:
        raise ImportError(f"it is `{import_name}`, expected `module:name`, for example `my_worker:worker`")
    found: Any = import_module(module_name)
    for part in name.split("."):
        if not hasattr(found, part):
            raise ImportError(f"the module `{module_name}` has no `{name}`")
        found = getattr(found, part)
    return found


def _run(options: argparse.Namespace) -> int:
    port = getattr(options, "port", None)
    if options.reload:
        from ._reload import run_reloaded

        check = "--health-check" if options.health_check else "--no-health-check"
        ports = [] if port is None else ["--port", str(port)]
        return run_reloaded(["run", "--app", options.app, check, *ports])
    worker = _worker(options.app)
    if worker is None:
        return 1
    if port is not None:
        worker.config.WORKER_PORT = port
    # Both end with `SystemExit` when the worker ends otherwise than cleanly.
    if options.health_check:
        worker.run_with_health_check()
    else:
        worker.run()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("worker", description="Runs workers of the package avtomatika_worker.")
    commands = parser.add_subparsers(dest="command", title="commands")
    run = commands.add_parser("run", help="run a worker", description="Runs a worker until SIGTERM, SIGINT or SIGHUP.")
    run.add_argument("--app", required=True, metavar="MODULE:NAME", help="the worker, for example my_worker:worker")
    run.add_argument(
        "--health-check",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="serve /health, /ready and /metrics (the default)",
    )
    run.add_argument("--port", type=_port, help="the port of the health check, instead of WORKER_PORT")
    run.add_argument("--reload", action="store_true", help="restart the worker when a Python file here changes")
    return parser


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > _LAST_PORT:
        raise argparse.ArgumentTypeError(f"the port is `{text}`, expected a number from 0 to {_LAST_PORT}")
    return int(text)


def _worker(app: str) -> Any:
    """Imports a worker, or prints why it cannot and returns None."""
    from .worker import Worker

    # As with `python -m`: the console script does not have the working directory on its path.
    if os.getcwd() not in sys.path and "" not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        found = import_string(app)
    except ImportError as error:
        return _refuse(f"the worker `{app}` cannot be imported: {error}")
    if not isinstance(found, Worker):
        return _refuse(f"`{app}` is a `{type(found).__name__}`, expected a `Worker`")
    return found


def _refuse(message: str) -> None:
    print(f"error: {message}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
