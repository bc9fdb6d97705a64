from avtomatika_worker.typing import TRANSIENT_ERROR
return {
    "status": "failure",
    "error": {
        "code": TRANSIENT_ERROR,
        "message": "External API timeout"
    }
}
