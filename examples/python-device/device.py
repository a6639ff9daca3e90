"""A USMP device: a reading a second, two commands, and a connection that comes back."""
import asyncio
import json
import os
import random
from pathlib import Path

from usmp import USMPClient, USMPError

HOST, _, PORT = os.environ.get("USMP_ADDRESS", "127.0.0.1:9000").rpartition(":")
DEVICE_ID = bytes.fromhex(os.environ.get("USMP_DEVICE_ID", "02:00:00:00:00:02").replace(":", ""))
READING_EVERY_S = 1
LONGEST_WAIT_S = 30


def key() -> bytes:
    """The file has the key as hex digits; it is used as raw bytes."""
    path = Path(os.environ.get("USMP_PSK_FILE", "device.key"))
    return bytes.fromhex(path.read_text().strip().removeprefix("hex:"))


class Device:
    def __init__(self) -> None:
        self.vent = "closed"

    async def session(self) -> None:
        """From the handshake to the end of the connection."""
        client = USMPClient(host=HOST, port=int(PORT), psk=key(), device_id=DEVICE_ID, protocol="udp")
        await client.connect()
        print("connected", flush=True)
        tasks = [asyncio.create_task(self.send(client)), asyncio.create_task(self.receive(client))]
        try:
            # The one that fails tells why; the other is of no use then.
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                if task.done():
                    task.result()
        finally:
            for task in tasks:
                task.cancel()
            await client.disconnect()

    async def send(self, client: USMPClient) -> None:
        while True:
            reading = json.dumps({"temperature": 19.5 if self.vent == "open" else 21.5, "vent": self.vent})
            await client.send(reading.encode())
            print("delivered", reading, flush=True)
            await asyncio.sleep(READING_EVERY_S)

    async def receive(self, client: USMPClient) -> None:
        while True:
            command = (await client.recv()).decode(errors="replace")
            if command in ("vent open", "vent close"):
                self.vent = "open" if command == "vent open" else "closed"
                print(command, flush=True)
            else:
                print("unknown command", repr(command), flush=True)


async def main() -> None:
    device = Device()
    wait = 1.0
    while True:
        try:
            await device.session()
            wait = 1.0
        except (OSError, USMPError, asyncio.TimeoutError) as error:
            # Full jitter, so that a fleet does not come back in one moment.
            pause = random.uniform(0, wait)
            print(f"waiting {pause:.1f} s: {type(error).__name__} {error}", flush=True)
            await asyncio.sleep(pause)
            wait = min(wait * 2, LONGEST_WAIT_S)


try:
    asyncio.run(main())
except KeyboardInterrupt:
    pass
