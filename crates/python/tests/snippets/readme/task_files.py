from avtomatika_worker import Worker, TaskFiles

@worker.task("generate_report")
async def generate_report(params: dict, files: TaskFiles, **kwargs):
    # 1. Easy read/write
    await files.write("data.json", '{"status": "ok"}')
    content = await files.read("data.json")

    # 2. Get path (directory is created automatically)
    output_path = await files.path_to("report.pdf")

    # 3. Check and list files
    if await files.exists("input.jpg"):
        file_list = await files.list()

    return {"data": {"report": output_path}}
