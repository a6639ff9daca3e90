"""Runs the public Python SDK (usmp 1.2.2) over UDP in virtual time: what a script gives it, and what it sends and says to that.

Standard input is one JSON array of scripts, standard output one JSON array of what came of them, in the same order. A script is
{"role", "psk", "deviceId", "privateKeys", "random", "steps"}; a step is {"at": milliseconds, "datagram": hex} or {"at", "call": name,
"data": hex}. The answer is {"sent": [[at, hex], ...], "events": [[at, name, detail], ...]}. Randomness is read from the script.
"""

import asyncio
import json
import logging
import os
import selectors
import sys
import time

import usmp
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from usmp import _handshake
from usmp.transport import udp

CLIENT_ADDRESS = ("127.0.0.1", 5000)


class VirtualSelector(selectors.SelectSelector):
    """Does not wait: time jumps."""

    loop = None

    def select(self, timeout=None):
        if timeout is None:
            raise RuntimeError("nothing is due any more, but the script has not ended")
        self.loop.now += max(0, timeout)
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self, now):
        self.now = now
        selector = VirtualSelector()
        selector.loop = self
        super().__init__(selector)

    def time(self):
        return self.now


class Wire:
    """What the SDK takes for its socket."""

    def __init__(self, loop, sent):
        self._loop = loop
        self._sent = sent

    def sendto(self, data, _address=None):
        self._sent.append([self._loop.time() * 1000, data.hex()])

    def close(self):
        pass

    def get_extra_info(self, _name):
        return None


class Replay:
    def __init__(self, loop, script):
        self._loop = loop
        self._script = script
        self.sent = []
        self.events = []
        self._wire = Wire(loop, self.sent)
        self._session = None
        self._reader = None
        self._tasks = []
        self._feed = None
        self._over = False

    async def run(self):
        if self._script["role"] == "client":
            self._start_client()
        else:
            self._start_server()
        for step in self._script["steps"]:
            await asyncio.sleep(step["at"] / 1000 - self._loop.time())
            self._do(step)
        self._over = True
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    def _start_client(self):
        stream = udp.UDPStream(self._wire, ("127.0.0.1", 9000), is_server=False)
        self._feed = stream.feed_packet

        async def connect(_host, _port):
            return stream

        udp.UDPStream.connect = connect
        device = bytes.fromhex(self._script["deviceId"])
        client = usmp.USMPClient("127.0.0.1", 9000, bytes.fromhex(self._script["psk"]), device, "udp")

        async def main():
            try:
                await client.connect(10.0)
            except Exception as error:
                return self._note("refused", type(error).__name__)
            self._open(client._session)

        self._keep(main())

    def _start_server(self):
        psk = bytes.fromhex(self._script["psk"])
        server = usmp.USMPServer(
            "127.0.0.1", 9000, psk, protocol="udp", session_timeout=1e9, max_connections=1000, max_connections_per_ip=1000
        )
        server._allow_udp_cookie = lambda _ip: True
        run_handshake = server._run_handshake

        async def reporting(transport):
            try:
                return await run_handshake(transport)
            except asyncio.CancelledError:
                self._note("refused", "USMPTimeoutError")
                raise
            except Exception as error:
                self._note("refused", type(error).__name__)
                raise

        server._run_handshake = reporting

        @server.on_session
        async def handle(session):
            self._open(session)
            await self._loop.create_future()

        listener = udp.UDPListener("127.0.0.1", 9000, server)
        listener._transport = self._wire
        listener._handler = server._on_transport_connect
        self._feed = lambda data: listener._handle_udp_datagram(self._wire, data, CLIENT_ADDRESS)

    def _open(self, session):
        self._session = session
        self._note("connected", session.session_id)
        self._read(session)

    def _read(self, session):
        async def read():
            try:
                while True:
                    self._note("message", (await session.recv()).hex())
            except Exception as error:
                self._session = None
                session._transport.close()
                self._note("closed", type(error).__name__)

        self._reader = self._keep(read())

    def _do(self, step):
        if "datagram" in step:
            return self._feed(bytes.fromhex(step["datagram"]))
        session = self._session
        if step["call"] == "pause":
            return self._reader.cancel()
        if step["call"] == "resume":
            return self._read(session)
        arguments = [bytes.fromhex(step["data"])] if step["call"] == "send" else []

        async def call():
            try:
                await getattr(session, step["call"])(*arguments)
                self._note("done", step["call"])
            except Exception as error:
                self._note("failed", type(error).__name__)

        self._keep(call())

    def _keep(self, coroutine):
        task = self._loop.create_task(coroutine)
        self._tasks.append(task)
        return task

    def _note(self, name, detail):
        if not self._over:
            self.events.append([self._loop.time() * 1000, name, detail])


def replay(script, start):
    loop = VirtualLoop(start)
    keys = [bytes.fromhex(key) for key in script["privateKeys"]]
    values = [bytes.fromhex(value) for value in script["random"]]

    def urandom(length):
        return values.pop(next(i for i, value in enumerate(values) if len(value) == length))

    def generate_keypair():
        private = X25519PrivateKey.from_private_bytes(keys.pop(0))
        return private, private.public_key().public_bytes_raw()

    os.urandom = urandom
    _handshake.generate_keypair = generate_keypair
    _handshake._failed_handshakes.clear()
    time.monotonic = loop.time
    time.time = loop.time
    run = Replay(loop, script)
    loop.run_until_complete(run.run())
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    return {"sent": run.sent, "events": run.events}


logging.disable(logging.CRITICAL)
request = json.load(sys.stdin)
print(json.dumps([replay(script, request["startMs"] / 1000) for script in request["scripts"]]))
