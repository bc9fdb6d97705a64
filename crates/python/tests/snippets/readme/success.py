return {
    "status": "success",
    "data": {"output": "some_value"}
}
