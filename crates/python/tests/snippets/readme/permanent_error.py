from avtomatika_worker.typing import PERMANENT_ERROR
return {
    "status": "failure",
    "error": {
        "code": PERMANENT_ERROR,
        "message": "Corrupted input file"
    }
}
