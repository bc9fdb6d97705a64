"""A worker whose tasks fail in all ways, for 1.0b4."""

import asyncio
import logging
import random
from collections import Counter

from avtomatika_worker import Worker
from avtomatika_worker.types import INVALID_INPUT_ERROR, PERMANENT_ERROR, TRANSIENT_ERROR, ParamValidationError

logging.basicConfig(level=logging.DEBUG)

worker = Worker(worker_type="unreliable-worker", max_concurrent_tasks=5)
attempts = Counter()


@worker.task("flaky")
async def flaky(params: dict, **kwargs):
    attempts[kwargs["job_id"]] += 1
    await asyncio.sleep(random.uniform(0, 0.01))
    if attempts[kwargs["job_id"]] <= params["failures"]:
        return {"status": "failure", "error": {"code": TRANSIENT_ERROR, "message": "the network is down"}}
    return {"status": "success", "data": {"attempts": attempts[kwargs["job_id"]]}}


@worker.task("crashing")
async def crashing(params: dict, **kwargs):
    attempts[kwargs["job_id"]] += 1
    if attempts[kwargs["job_id"]] <= params["failures"]:
        raise RuntimeError("crashed")
    return {"status": "success", "data": {"attempts": attempts[kwargs["job_id"]]}}


@worker.task("hopeless")
def hopeless(params: dict, **kwargs):
    return {"status": "failure", "error": {"code": PERMANENT_ERROR, "message": "it never works"}}


@worker.task("picky")
async def picky(params: dict, **kwargs):
    if "name" not in params:
        return {"status": "failure", "error": {"code": INVALID_INPUT_ERROR, "message": "name is missing"}}
    if not isinstance(params["name"], str):
        raise ParamValidationError("name is no text")
    return {"status": "success", "data": {"greeting": f"hello {params['name']}"}}


@worker.task("review")
async def review(params: dict, **kwargs):
    if params["confidence"] < 0.5:
        return {"status": "needs_manual_review", "data": {"reason": "low confidence"}}
    return {"status": "success", "data": {"reason": None}}


if __name__ == "__main__":
    worker.run()
