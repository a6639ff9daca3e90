"""The Python SDK as a server with an echo; driven over stdin like the servers beside it. Its limits are lifted: they count by address."""

import asyncio
import gc
import json
import logging
import sys

import usmp

NO_LIMIT = 1_000_000

logging.disable(logging.CRITICAL)


sessions = set()
counting = False
received = 0
changed = asyncio.Event()


async def attend(session):
    global received
    sessions.add(session)
    try:
        while True:
            message = await session.recv()
            if counting:
                received += 1
                changed.set()
            else:
                await session.send(message)
    except usmp.USMPError:
        pass
    finally:
        sessions.discard(session)


async def stream(session, size, messages):
    message = bytes(size)
    for _ in range(messages):
        await session.send(message)


async def serve(psk, transport):
    server = usmp.USMPServer(
        "127.0.0.1",
        0,
        bytes.fromhex(psk),
        protocol=transport,
        session_timeout=600.0,
        max_connections=NO_LIMIT,
        max_connections_per_ip=NO_LIMIT,
    )
    server.on_session(attend)
    task = asyncio.create_task(server.serve())
    while (port := port_of(server._listener, transport)) is None:
        await asyncio.sleep(0)
    return task, port


def port_of(listener, transport):
    """The SDK has no name for the port that the system chose."""
    if transport == "udp":
        udp = getattr(listener, "_transport", None)
        return None if udp is None else udp.get_extra_info("sockname")[1]
    if listener is None or listener._srv is None:
        return None
    return listener._srv.sockets[0].getsockname()[1]


async def main():
    global counting, received
    requests = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(requests), sys.stdin)
    tasks = []
    while line := await requests.readline():
        request = json.loads(line)
        answer = {}
        if request["do"] == "serve":
            task, answer["port"] = await serve(request["psk"], request.get("transport", "tcp"))
            tasks.append(task)
        elif request["do"] == "collect":
            gc.collect()
        elif request["do"] == "count":
            counting, received = True, 0
        elif request["do"] == "received":
            while received < request["messages"]:
                changed.clear()
                await changed.wait()
        elif request["do"] == "stream":
            await asyncio.gather(*(stream(each, request["size"], request["messages"]) for each in list(sessions)))
        print(json.dumps(answer), flush=True)


asyncio.run(main())
