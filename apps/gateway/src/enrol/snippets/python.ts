import { BENCH_ONLY } from "./c-bytes.ts";
import type { SnippetContext } from "./context.ts";

/** Names as in the Python SDK `usmp` 1.2.2 on PyPI. The exit code is for scripts and tests. */
export function python({ id, host, port, transport, plaintextKey }: SnippetContext): string {
  return `"""USMP device ${id}"""
import asyncio
${plaintextKey === undefined ? "import os\nfrom pathlib import Path\n" : ""}
from usmp import USMPClient, USMPError

DEVICE_ID = bytes.fromhex("${id.replaceAll(":", "")}")

${plaintextKey === undefined ? STORED_KEY : literalKey(plaintextKey)}

async def main() -> None:
    client = USMPClient(host="${host}", port=${port}, psk=key(), device_id=DEVICE_ID, protocol="${transport}")
    try:
        await client.connect()
    except OSError as error:
        raise SystemExit(f"nothing answers at ${host}:${port}: {error}")
    except USMPError as error:
        raise SystemExit(f"refused ({type(error).__name__}); on the gateway, usmp why ${id} tells the reason")
    print("session", client.session_id)
    await client.send(b"hello")
    await client.disconnect()


asyncio.run(main())
`;
}

const STORED_KEY = `
def key() -> bytes:
    """The file has the key as hex digits; it is used as raw bytes."""
    path = Path(os.environ.get("USMP_PSK_FILE", "device.key"))
    return bytes.fromhex(path.read_text().strip().removeprefix("hex:"))
`;

function literalKey(digits: string): string {
  return `
def key() -> bytes:
    # ${BENCH_ONLY}
    return bytes.fromhex("${digits}")
`;
}
