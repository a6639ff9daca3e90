"""Drives the public Python SDK (usmp 1.2.2) for tests: requests in as JSON lines on stdin, answers and events out on stdout.

A request is {"id": N, "do": NAME, ...}; its answer {"id": N, "ok": {...}} or {"id": N, "error": {"type", "message"}}.
Events carry "event" instead of "id". Bytes are hex. The end of stdin ends the process, and so does its parent's death.
"""

import asyncio
import json
import logging
import sys

import usmp
from usmp import _handshake
from usmp.types import PacketType


class Sessions:
    """Every live session of this process, by number, with a reader that never rests: the SDK answers PINGs only inside recv()."""

    def __init__(self, emit):
        self._emit = emit
        self._by_number = {}
        self._count = 0

    def add(self, session, **about):
        self._count += 1
        self._by_number[self._count] = session
        report_pongs(session, self._count, self._emit)
        self._emit({"event": "session", "session": self._count, **described(session), **about})
        return self._count

    def __getitem__(self, number):
        return self._by_number[number]

    async def read(self, number, echo=False):
        session = self._by_number[number]
        try:
            while True:
                data = await session.recv()
                self._emit({"event": "message", "session": number, "data": data.hex()})
                if echo:
                    await session.send(data)
        except Exception as error:
            self._emit({"event": "closed", "session": number, "error": named(error)})
        finally:
            session._transport.close()


class Peer:
    """One method for each word that "do" may hold."""

    def __init__(self, emit):
        self._emit = emit
        self._sessions = Sessions(emit)
        self._servers = {}
        self._tasks = set()
        self._psk_answers = {}
        self._count = 0

    def background(self, coroutine):
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def connect(self, host, port, psk, protocol, device_id=None, timeout=10.0):
        device = bytes.fromhex(device_id) if device_id else None
        client = usmp.USMPClient(host, port, bytes.fromhex(psk), device, protocol)
        await client.connect(timeout)
        number = self._sessions.add(client._session)
        self.background(self._sessions.read(number))
        return {"session": number, **described(client._session)}

    async def crowd(self, host, port, psk, count, messages, timeout, gap):
        """Many UDP clients at once, each of which connects and sends numbered messages, as an application on the SDK would."""
        clients = [
            self.crowd_member(host, port, bytes.fromhex(psk), number, messages, timeout, gap * number)
            for number in range(count)
        ]
        return {"clients": await asyncio.gather(*clients)}

    async def crowd_member(self, host, port, psk, number, messages, timeout, wait):
        await asyncio.sleep(wait)
        device = number.to_bytes(6, "big")
        result = {"deviceId": device.hex(), "connectMs": None, "acknowledged": 0, "error": None}
        client = usmp.USMPClient(host, port, psk, device, "udp")
        loop = asyncio.get_running_loop()
        started = loop.time()
        try:
            await client.connect(timeout)
            result["connectMs"] = (loop.time() - started) * 1000
            for message in range(messages):
                await client._session.send(f"{number} {message}".encode())
                result["acknowledged"] += 1
        except Exception as error:
            result["error"] = named(error)
        if client._transport is not None:
            client._transport.close()
        return result

    async def serve(self, host, port, protocol, psk, echo, session_timeout, limits):
        self._count += 1
        number = self._count
        server = usmp.USMPServer(
            host,
            port,
            self._psk(number, psk),
            protocol=protocol,
            session_timeout=session_timeout,
            max_connections=1000,
            max_connections_per_ip=5 if limits else 1000,
        )
        if not limits:
            server._allow_udp_cookie = lambda _ip: True

        @server.on_session
        async def handle(session):
            peer = session._transport.get_extra_info("peername")
            session_number = self._sessions.add(session, server=number, peer={"host": peer[0], "port": peer[1]})
            await self._sessions.read(session_number, echo)

        task = self.background(server.serve())
        address = await bound_address(server, task)
        self._servers[number] = (server, task)
        return {"server": number, "host": address[0], "port": address[1]}

    async def stop_server(self, server):
        running, task = self._servers.pop(server)
        running.stop()
        await task
        return {}

    async def answer_psk(self, request, psk):
        self._psk_answers.pop(request).set_result(psk)
        return {}

    async def send(self, session, data):
        await self._sessions[session].send(bytes.fromhex(data))
        return {}

    async def ping(self, session):
        await self._sessions[session].ping()
        return {}

    async def rekey(self, session):
        await self._sessions[session].rekey()
        return {}

    async def bye(self, session):
        await self._sessions[session].bye()
        return {}

    async def drop(self, session):
        """Closes the transport without a BYE."""
        self._sessions[session]._transport.close()
        return {}

    async def state(self, session):
        info = self._sessions[session]._info
        return {
            "transmitKey": info.tx_key.hex(),
            "receiveKey": info.rx_key.hex(),
            "transmitSeq": info.tx_seq,
            "receiveSeq": info.rx_seq,
        }

    async def forgive(self):
        """Ends the SDK's lockout of addresses whose handshakes failed: it counts per address, and all tests share one."""
        _handshake._failed_handshakes.clear()
        return {}

    def _psk(self, server, psk):
        if "key" in psk:
            return bytes.fromhex(psk["key"])
        if "table" in psk:
            return {bytes.fromhex(device): bytes.fromhex(key) for device, key in psk["table"].items()}
        return lambda device_id: self._ask_for_psk(server, device_id)

    async def _ask_for_psk(self, server, device_id):
        request = len(self._psk_answers) + 1
        while request in self._psk_answers:
            request += 1
        answer = asyncio.get_running_loop().create_future()
        self._psk_answers[request] = answer
        self._emit({"event": "psk", "server": server, "request": request, "deviceId": device_id.hex()})
        key = await answer
        if key is None:
            raise usmp.HandshakeError("Device ID not registered")
        return bytes.fromhex(key)


WORDS = ("connect", "crowd", "serve", "stop_server", "answer_psk", "send", "ping", "rekey", "bye", "drop", "state", "forgive")


def described(session):
    return {"deviceId": session.device_id, "sessionId": session.session_id}


def named(error):
    return {"type": type(error).__name__, "message": str(error)}


def report_pongs(session, number, emit):
    """The SDK takes a PONG without telling anyone; tests want to know."""
    read_frame = session._transport.read_frame

    async def reporting(*arguments, **options):
        frame = await read_frame(*arguments, **options)
        if frame.type == PacketType.PONG:
            emit({"event": "pong", "session": number})
        return frame

    session._transport.read_frame = reporting


async def bound_address(server, task):
    """The SDK does not tell which free port it got, nor when it listens."""
    while not task.done():
        listener = server._listener
        if getattr(listener, "_srv", None) is not None:
            return listener._srv.sockets[0].getsockname()
        if getattr(listener, "_transport", None) is not None:
            return listener._transport.get_extra_info("sockname")
        await asyncio.sleep(0.002)
    task.result()
    raise RuntimeError("the server stopped before it listened")


class LogEvents(logging.Handler):
    """The SDK tells only its log why it refused a handshake."""

    def __init__(self, emit):
        super().__init__(logging.WARNING)
        self._emit = emit

    def emit(self, record):
        self._emit({"event": "log", "level": record.levelname, "message": record.getMessage()})


async def main():
    def emit(line):
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()

    logging.getLogger("usmp").addHandler(LogEvents(emit))
    logging.getLogger("usmp").propagate = False
    peer = Peer(emit)
    words = {word: getattr(peer, word) for word in WORDS}

    async def answer(request):
        number, word = request.pop("id"), request.pop("do")
        try:
            emit({"id": number, "ok": await words[word](**request)})
        except Exception as error:
            emit({"id": number, "error": named(error)})

    loop = asyncio.get_running_loop()
    emit({"event": "ready", "version": usmp.__version__})
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        peer.background(answer(json.loads(line)))


asyncio.run(main())
