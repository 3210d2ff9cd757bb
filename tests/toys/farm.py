"""Many Dask workers in one process, each for a job that waits for its own: what a driver sees of them is all real."""

from __future__ import annotations

import asyncio
import json
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import toy

#: In the place of Python in a worker's job: hands its arguments to the farm, and ends when its worker does.
STUB = """\
#!{python} -SE
import json, socket, sys
with socket.socket(socket.AF_UNIX) as farm:
    farm.connect({path!r})
    farm.sendall(json.dumps(sys.argv).encode() + b"\\n")
    while farm.recv(1):
        pass
"""


def write_stub(path: Path, farm: Path) -> Path:
    """Write the program that jobs start."""
    path.write_text(STUB.format(python=sys.executable, path=str(farm)))
    path.chmod(0o755)
    return path


async def _host(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    from distributed import Worker
    from distributed.security import Security

    words = json.loads(await reader.readline())
    given = {word.removeprefix("--"): value for word, value in pairwise(words)}
    files: dict[str, Any] = {
        "tls_ca_file": given["tls-ca-file"],
        "tls_worker_cert": given["tls-cert"],
        "tls_worker_key": given["tls-key"],
    }
    address = json.loads(Path(given["scheduler-file"]).read_text())["address"]
    worker = Worker(
        address,
        name=given["name"],
        nthreads=1,
        memory_limit=0,
        host="127.0.0.1",
        security=Security(require_encryption=True, **files),
        dashboard=False,
        local_directory=sys.argv[2],
    )
    async with worker:
        await worker.finished()
    writer.close()


async def main() -> None:
    """Serve at the path given, until this process is ended."""
    toy.install()
    async with await asyncio.start_unix_server(_host, sys.argv[1], backlog=1000) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
