"""A worker with one empty task, measured from its first task until a line of standard input says that the server has
all results.

Runs both with this package and with the existing ones. Configured by the environment; arguments: slots, tasks (0: the
worker only waits, and its memory is measured), and the kind of handler: `async` (the default), `named` or `sync`.
"""

# Nothing else is imported before: the package may import it, too.
import time

began = time.perf_counter()
from avtomatika_worker import Worker  # noqa: E402  # its import is measured

imported = time.perf_counter() - began

import asyncio  # noqa: E402
import os  # noqa: E402
import resource  # noqa: E402
import sys  # noqa: E402
import threading  # noqa: E402

slots, tasks = int(sys.argv[1]), int(sys.argv[2])
kind = sys.argv[3] if len(sys.argv) > 3 else "async"
began = time.perf_counter()
worker = Worker(worker_type="bench", max_concurrent_tasks=slots)
made = time.perf_counter() - began
# The existing package called tasks skills in later versions.
register = worker.task if hasattr(worker, "task") else worker.skill
first = None


def cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def executed() -> dict[str, str]:
    global first
    if first is None:
        first = (time.perf_counter(), cpu())
    return {"status": "success"}


def end() -> None:
    if not sys.stdin.readline():
        # Closed: nobody wants the figures.
        os._exit(1)
    seconds, used = time.perf_counter() - first[0], cpu() - first[1]
    # Not `ru_maxrss`, which begins with the memory of the process that started this one.
    with open("/proc/self/status") as status:
        peak = next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM:"))
    print(tasks / seconds, used / tasks * 1e6, peak, flush=True)
    # The shutdown is not measured.
    os._exit(0)


if kind == "async":

    @register("nothing")
    async def nothing(params, **kwargs):
        return executed()

elif kind == "named":

    @register("nothing")
    async def nothing(params, task_id, job_id):
        return executed()

else:

    @register("nothing")
    def nothing(params, **kwargs):
        return executed()


def resident() -> float:
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


async def idle() -> None:
    running = asyncio.create_task(worker.main())
    await asyncio.sleep(1)
    print(imported * 1e3, made * 1e3, resident(), flush=True)
    del running
    os._exit(0)


if tasks:
    threading.Thread(target=end, daemon=True).start()
    asyncio.run(worker.main())
else:
    asyncio.run(idle())
