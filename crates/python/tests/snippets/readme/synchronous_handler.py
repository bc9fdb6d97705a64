@worker.task("cpu_heavy_task")
def heavy_computation(params: dict, **kwargs):
    # This will run in a thread, not blocking the loop
    import time
    time.sleep(10) 
    return {"status": "success"}
