"""Files in S3, with the storage that is running in the test."""

from side_by_side.case import Case, work

OBJECTS = {"s3://inputs/photo.txt": b"pixels", "s3://inputs/set/a.txt": b"a", "s3://inputs/set/deep/b.txt": b"b"}

BUCKETS = ("inputs",)


def _s3(id: str, program: str, *params: object) -> Case:
    return work(f"s3-{id}", program, *params)


STORAGE = [
    _s3(
        "readme",
        """
        import os

        from avtomatika_worker import TaskFiles


        @worker.task("work")
        async def handle_image(params: dict, files: TaskFiles, **kwargs):
            local_input = params["input_image"]
            local_output = await files.path_to("processed.png")
            with open(local_input, "rb") as image, open(local_output, "wb") as output:
                output.write(image.read() * 2)
            return {"status": "success", "data": {"output_image": local_output, "name": os.path.basename(local_input)}}
        """,
        {"input_image": "s3://inputs/photo.txt"},
    ),
    _s3(
        "folder",
        """
        import os


        @worker.task("work")
        async def work(params, **kwargs):
            found = []
            for folder, _, names in os.walk(params["folder"]):
                found += [os.path.relpath(os.path.join(folder, name), params["folder"]) for name in names]
            return {"data": {"found": sorted(found)}}
        """,
        {"folder": "s3://inputs/set/"},
    ),
    _s3(
        "missing",
        """
        @worker.task("work")
        async def work(params, **kwargs):
            return {"data": {}}
        """,
        {"image": "s3://inputs/missing.txt"},
    ),
    _s3(
        "upload-file",
        """
        from avtomatika_worker import TaskFiles


        @worker.task("work")
        async def work(params, files: TaskFiles, **_):
            await files.write("a.txt", "12345")
            stored = await files.upload_file("a.txt")
            return {"data": {"type": type(stored).__name__, "size": stored.size, "uri": str(stored.uri)}}
        """,
    ),
    _s3(
        "upload-dir",
        """
        from avtomatika_worker import TaskFiles


        @worker.task("work")
        async def work(params, files: TaskFiles, **_):
            await files.write("out/a.txt", "1")
            await files.write("out/b.txt", "22")
            stored = await files.upload_dir("out")
            return {"data": {"type": type(stored).__name__, "uri": str(stored.uri)}}
        """,
    ),
    _s3(
        "write-json",
        """
        from avtomatika_worker import TaskFiles


        @worker.task("work")
        async def work(params, files: TaskFiles, **_):
            stored = await files.write_json("a.json", {"b": 1})
            return {"data": {"type": type(stored).__name__, "size": getattr(stored, "size", None)}}
        """,
    ),
    _s3(
        "download-file",
        """
        from avtomatika_worker import TaskFiles


        @worker.task("work")
        async def work(params, files: TaskFiles, **_):
            path = await files.download_file("s3://inputs/set/a.txt", "local.txt")
            return {"data": {"text": await files.read("local.txt"), "same": path == await files.path_to("local.txt")}}
        """,
    ),
    _s3(
        "download-file-verified",
        """
        from avtomatika_worker import TaskFiles
        from avtomatika_worker.worker import FileMetadata


        @worker.task("work")
        async def work(params, files: TaskFiles, **_):
            wrong = FileMetadata(uri="s3://inputs/set/a.txt", size=99)
            try:
                await files.download_file("s3://inputs/set/a.txt", "local.txt", verify_meta=wrong)
            except Exception:
                return {"data": {"refused": True}}
            return {"data": {"refused": False}}
        """,
    ),
]
