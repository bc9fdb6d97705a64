"""The files of a task."""

from side_by_side.case import work

FILES = [
    work(
        "files-of-the-readme",
        """
        from avtomatika_worker import TaskFiles


        @worker.task("work")
        async def work(params: dict, files: TaskFiles, **kwargs):
            await files.write("data.json", '{"status": "ok"}')
            content = await files.read("data.json")
            there = await files.exists("data.json"), await files.exists("input.jpg")
            return {"data": {"content": content, "there": there, "list": await files.list()}}
        """,
    ),
    work(
        "files-paths",
        """
        import os

        from avtomatika_worker import TaskFiles


        @worker.task("work")
        async def work(params, files: TaskFiles, **_):
            root, path = await files.get_root(), await files.path_to("sub/report.pdf")
            sync = files.path_to_sync("other.txt"), files.get_root_sync()
            return {
                "data": {
                    "root": type(root).__name__,
                    "relative": os.path.relpath(path, root),
                    "sync": [os.path.relpath(one, root) for one in sync],
                    "made": os.path.isdir(root),
                }
            }
        """,
    ),
    work(
        "files-root",
        """
        import os

        from avtomatika_worker import TaskFiles


        @worker.task("work")
        async def work(params, files: TaskFiles, task_id, **_):
            root = await files.get_root()
            return {"data": {"name": os.path.basename(root), "parent": os.path.basename(os.path.dirname(root))}}
        """,
    ),
    work(
        "files-json",
        """
        from avtomatika_worker import TaskFiles


        @worker.task("work")
        async def work(params, files: TaskFiles, **_):
            written = await files.write_json("a.json", {"b": [1, "ž"]})
            return {"data": {"read": await files.read_json("a.json"), "written": repr(written)}}
        """,
    ),
    work(
        "files-binary",
        """
        from avtomatika_worker import TaskFiles


        @worker.task("work")
        async def work(params, files: TaskFiles, **_):
            await files.write("a.bin", b"\\x00\\xff", mode="wb")
            read = await files.read("a.bin", mode="rb")
            await files.write("log.txt", "one\\n")
            await files.write("log.txt", "two\\n", mode="a")
            return {"data": {"read": list(read), "log": await files.read("log.txt"), "names": sorted(await files.list())}}
        """,
    ),
    work(
        "files-open",
        """
        from avtomatika_worker import TaskFiles


        @worker.task("work")
        async def work(params, files: TaskFiles, **_):
            async with files.open("rows.csv", "w") as rows:
                await rows.write("a,b\\n")
                await rows.write("1,2\\n")
            async with files.open("rows.csv") as rows:
                first = await rows.readline()
                rest = await rows.read()
            lines = []
            async with files.open("rows.csv", "r") as rows:
                async for line in rows:
                    lines.append(line)
            return {"data": {"first": first, "rest": rest, "lines": lines}}
        """,
    ),
    work(
        "files-missing",
        """
        from avtomatika_worker import TaskFiles


        @worker.task("work")
        async def work(params, files: TaskFiles, **_):
            try:
                await files.read("missing.txt")
            except FileNotFoundError as error:
                return {"data": {"type": type(error).__name__}}
        """,
    ),
    work(
        "files-missing-uncaught",
        """
        from avtomatika_worker import TaskFiles


        @worker.task("work")
        async def work(params, files: TaskFiles, **_):
            await files.read("missing.txt")
        """,
    ),
    work(
        "files-any-name",
        """
        from avtomatika_worker import TaskFiles


        @worker.task("work")
        async def work(params, workspace: TaskFiles, **kwargs):
            await workspace.write("a.txt", "x")
            return {"data": {"list": await workspace.list(), "type": type(workspace).__name__}}
        """,
    ),
    work(
        "files-sync-handler",
        """
        from avtomatika_worker import TaskFiles


        @worker.task("work")
        def work(params, files: TaskFiles, **_):
            path = files.path_to_sync("a.txt")
            with open(path, "w") as file:
                file.write("x")
            with open(path) as file:
                return {"data": {"text": file.read()}}
        """,
    ),
    work(
        "files-path-in-data",
        """
        import os

        from avtomatika_worker import TaskFiles


        @worker.task("work")
        async def work(params, files: TaskFiles, **_):
            await files.write("out.txt", "x")
            path = await files.path_to("out.txt")
            return {"data": {"path": path, "there": os.path.exists(path)}}
        """,
    ),
    work(
        "files-stand-alone",
        """
        import tempfile

        from avtomatika_worker import TaskFiles


        @worker.task("work")
        async def work(params, **kwargs):
            with tempfile.TemporaryDirectory() as folder:
                files = TaskFiles(folder)
                await files.write("a.txt", "x")
                return {"data": {"text": await files.read("a.txt"), "root": (await files.get_root()) == folder}}
        """,
    ),
    work(
        "files-upload-without-s3",
        """
        from avtomatika_worker import TaskFiles


        @worker.task("work")
        async def work(params, files: TaskFiles, **_):
            await files.write("a.txt", "x")
            try:
                return {"data": {"uploaded": repr(await files.upload_file("a.txt"))}}
            except Exception as error:
                return {"data": {"error": True}}
        """,
    ),
    work(
        "s3-untouched-without-endpoint",
        """
        @worker.task("work")
        async def work(params, **kwargs):
            return {"data": params}
        """,
        {"image": "s3://bucket/photo.jpg", "deep": [{"b": "s3://bucket/folder/"}]},
    ),
]
