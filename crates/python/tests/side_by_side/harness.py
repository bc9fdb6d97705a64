"""Runs the programs of many cases in one process: in this interpreter, with the package that is installed in it."""

import asyncio
import json
import os
import sys
import traceback
import types


def load(case):
    """Runs a program as a module of its own; returns its worker."""
    before = dict(os.environ)
    os.environ.update(case["variables"])
    module = types.ModuleType(case["module"])
    sys.modules[module.__name__] = module
    try:
        exec(compile(case["source"], f"<{case['id']}>", "exec"), module.__dict__)
        return module.worker
    except BaseException as error:
        traceback.print_exc()
        failed(case, error)
        return None
    finally:
        os.environ.clear()
        os.environ.update(before)


def failed(case, error):
    print("FAILED", json.dumps([case["id"], [type(error).__name__, str(error)]]), flush=True)


async def serve(case, worker):
    try:
        await worker.main()
    except BaseException as error:
        traceback.print_exc()
        failed(case, error)


async def main():
    with open(os.environ["CASES"]) as file:
        cases = json.load(file)
    workers = [(case, load(case)) for case in cases]
    await asyncio.gather(*(serve(case, worker) for case, worker in workers if worker is not None))


asyncio.run(main())
