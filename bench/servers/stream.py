"""One end of a one-way UDP stream of the Python SDK; driven over stdin like ours in loads/stream.mjs. Its limits are lifted."""

import asyncio
import json
import logging
import sys
import time

import usmp

NO_LIMIT = 1_000_000
MESSAGE = bytes([0x75]) * 452

logging.disable(logging.CRITICAL)

received = 0


async def count(session):
    global received
    try:
        while True:
            await session.recv()
            received += 1
    except usmp.USMPError:
        pass


async def receive(request):
    server = usmp.USMPServer(
        "127.0.0.1",
        0,
        bytes.fromhex(request["psk"]),
        protocol="udp",
        session_timeout=600.0,
        max_connections=NO_LIMIT,
        max_connections_per_ip=NO_LIMIT,
    )
    server.on_session(count)
    asyncio.get_running_loop().create_task(server.serve())
    while server._listener is None or getattr(server._listener, "_transport", None) is None:
        await asyncio.sleep(0)
    return {"port": server._listener._transport.get_extra_info("sockname")[1]}


async def send(request):
    client = usmp.USMPClient("127.0.0.1", request["port"], bytes.fromhex(request["psk"]), b"\x02usmp1", "udp")
    await client.connect()
    end = time.monotonic() + request["seconds"]
    acknowledged = 0
    while time.monotonic() < end:
        await client.send(MESSAGE)
        acknowledged += 1
    await client.disconnect()
    return {"acknowledged": acknowledged}


async def main():
    requests = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(requests), sys.stdin)
    while line := await requests.readline():
        request = json.loads(line)
        try:
            if request["do"] == "receive":
                answer = await receive(request)
            elif request["do"] == "send":
                answer = await send(request)
            else:
                answer = {"received": received}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


asyncio.run(main())
