"""The Python SDK as a server with an echo; driven over stdin like the servers beside it. Its limits are lifted: they count by address."""

import asyncio
import gc
import json
import logging
import sys

import usmp

NO_LIMIT = 1_000_000

logging.disable(logging.CRITICAL)


async def echo(session):
    try:
        while True:
            await session.send(await session.recv())
    except usmp.USMPError:
        pass


async def serve(psk):
    server = usmp.USMPServer(
        "127.0.0.1",
        0,
        bytes.fromhex(psk),
        session_timeout=600.0,
        max_connections=NO_LIMIT,
        max_connections_per_ip=NO_LIMIT,
    )
    server.on_session(echo)
    task = asyncio.create_task(server.serve())
    while server._listener is None or server._listener._srv is None:
        await asyncio.sleep(0)
    return task, server._listener._srv.sockets[0].getsockname()[1]


async def main():
    requests = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(requests), sys.stdin)
    tasks = []
    while line := await requests.readline():
        request = json.loads(line)
        answer = {}
        if request["do"] == "serve":
            task, answer["port"] = await serve(request["psk"])
            tasks.append(task)
        elif request["do"] == "collect":
            gc.collect()
        print(json.dumps(answer), flush=True)


asyncio.run(main())
