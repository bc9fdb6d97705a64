"""The parts that both orchestrators share: the params of tasks, the start, and a line for each request of a worker."""

import asyncio
import logging
import os
import sys

from aiohttp import web


def params_of(initial_data):
    """Returns the params in the job, or a text of `large` bytes: the client API does not accept jobs over 1 MiB."""
    if "large" in initial_data:
        return {"text": "x" * initial_data["large"]}
    return initial_data.get("params", {})


def passed_on(initial_data, state_history):
    """Returns the params of the second task: the members of the first task's data that the job names."""
    return {name: state_history[name] for name in initial_data["passed"]}


def timeout_of(initial_data):
    """Returns the time limit of the task in seconds. The default is long enough for all tests that do not set one."""
    return initial_data.get("timeout", 180)


def redis_client():
    """Returns a client of the Redis on `REDIS_PORT`; `None` if the state stays in memory.

    It has no time limit, unless `REDIS_SOCKET_TIMEOUT` sets one: that of redis-py 8, 5 s with retries, makes a minute of
    each longer hold.
    """
    if "REDIS_PORT" not in os.environ:
        return None
    from redis.asyncio import Redis

    limit = os.environ.get("REDIS_SOCKET_TIMEOUT")
    return Redis(port=int(os.environ["REDIS_PORT"]), socket_timeout=float(limit) if limit else None)


def strategy():
    """Returns the strategy of dispatches: instances that share their state give tasks to all workers in turn."""
    return "round_robin" if "REDIS_PORT" in os.environ else "default"


class RequestLine(logging.Formatter):
    """Formats a request as the tests read it: `REQUEST GET /path 200 1700000000.123`, with the time of the answer."""

    def format(self, record):
        method, path, _ = record.first_request_line.split(" ", 2)
        return f"REQUEST {method} {path} {record.response_status} {record.created:.3f}"


def is_from_a_worker(record):
    """Returns whether a request is from a worker. The tests request the states of jobs many times a second."""
    return " /_worker/" in record.first_request_line


def print_results():
    """Prints a line `RESULT {…}` for each result from now on: the client API shows only some fields of a result."""
    read = web.BaseRequest.read

    async def read_and_print(request):
        is_new = request._read_bytes is None
        body = await read(request)
        if is_new and request.path == "/_worker/tasks/result":
            sys.stdout.write(f"RESULT {body.decode()}\n")
        return body

    web.BaseRequest.read = read_and_print


def record_runners():
    """Returns a list of the runners that are set up from now on."""
    runners = []
    set_up = web.AppRunner.setup

    async def set_up_and_record(runner):
        await set_up(runner)
        runners.append(runner)

    web.AppRunner.setup = set_up_and_record
    return runners


async def serve_plain(runners):
    """Serves the same application without TLS on `PLAIN_PORT`, for tests in which workers need certificates."""
    if "PLAIN_PORT" in os.environ:
        await web.TCPSite(runners[0], "127.0.0.1", int(os.environ["PLAIN_PORT"])).start()


async def serve(engine):
    """Starts the engine, prints `READY` and the port, and runs until the test that started it ends."""
    print_results()
    runners = record_runners()
    await engine.start()
    await serve_plain(runners)
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(RequestLine())
    handler.addFilter(is_from_a_worker)
    access = logging.getLogger("aiohttp.access")
    access.handlers = [handler]
    access.propagate = False
    print(f"READY {os.environ['API_PORT']}", flush=True)
    # The test holds the other end: however the test ends, this process ends, too.
    await asyncio.to_thread(sys.stdin.buffer.read)
    os._exit(0)
