async def gpu_lock_middleware(context: dict, next_handler: callable):
    # Pre-processing: Acquire resource
    print(f"Acquiring GPU for task {context['task_id']}...")
    model_path = await resource_manager.allocate()

    # Inject the model path into the handler's arguments
    context["handler_kwargs"]["model_path"] = model_path

    try:
        # Execute the next handler in the chain
        result = await next_handler()
        return result
    finally:
        # Post-processing: Release resource
        print(f"Releasing GPU for task {context['task_id']}...")
        resource_manager.release()

# Register the middleware
worker.add_middleware(gpu_lock_middleware)

# Handler now receives 'model_path' automatically
@worker.task("generate")
def generate(params, model_path, **kwargs):
    print(f"Using model at: {model_path}")
