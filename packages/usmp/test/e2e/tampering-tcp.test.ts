import type { FrameTypeName } from "@usmp/protocol";
import { type Direction, TcpRelay } from "@usmp/testkit";
import { ConnectError, type Session } from "usmp";
import { describe, expect, onTestFinished, test } from "vitest";
import { typeOf } from "../../../protocol/test/support/raw-peer.ts";
import { type Change, changesOf, nameOf } from "../support/fields.ts";
import { expectEcho, type LoopbackServer, open, serve } from "../support/loopback.ts";

/** Long enough for a loopback handshake on a busy machine; a change of the length field can leave a side waiting for it. */
const HANDSHAKE_TIMEOUT_MS = 2_000;

const HANDSHAKE_FRAMES = ["HELLO", "CHALLENGE", "HELLO_ACK", "SESSION_OK"] as const;
const SESSION_FRAMES = ["DATA", "DATA_FRAG", "PING", "PONG", "BYE", "REKEY"] as const;

describe("a man in the middle of TCP who flips one field", () => {
  test.each(HANDSHAKE_FRAMES)(
    "of %s gets the handshake refused, except for its seq, which no receiver checks",
    async (type) => {
      await Promise.all(changesOf(type).map((change) => expectHandshake(type, change)));
    },
  );

  describe.each(["client-to-server", "server-to-client"] as const)("%s", (direction) => {
    test.each(SESSION_FRAMES)(
      "of %s ends the session with a reason, and nothing damaged is delivered",
      async (type) => {
        await Promise.all(changesOf(type).map((change) => expectViolation(type, change, direction)));
      },
    );
  });
});

async function expectHandshake(type: FrameTypeName, change: Change): Promise<void> {
  const listening = await serve({ handshakeTimeoutMs: HANDSHAKE_TIMEOUT_MS });
  const tampering = await tamper(listening, type, change, undefined);
  const connecting = open(tampering.relay.address, { handshakeTimeoutMs: HANDSHAKE_TIMEOUT_MS });
  if (change.field.startsWith("seq") && change.crc === "fixed") {
    await expectEcho(await connecting, await listening.accept());
  } else {
    const error = await connecting.then(
      () => undefined,
      (refused: unknown) => refused,
    );
    expect(error, `${type}: ${nameOf(change)}`).toBeInstanceOf(ConnectError);
    // A server that was shown a good proof has a session, which no frame ever proves.
    const [session] = listening.server.sessions;
    if (session !== undefined) expect(await session.proven, `${type}: ${nameOf(change)}`).toBe(false);
  }
  expect(tampering.changed()).toBe(1);
}

async function expectViolation(type: FrameTypeName, change: Change, direction: Direction): Promise<void> {
  const listening = await serve();
  const tampering = await tamper(listening, type, change, direction);
  const client = await open(tampering.relay.address);
  const server = await listening.accept();
  await expectEcho(client, server);
  tampering.begin();
  const [sender, receiver] = direction === "client-to-server" ? [client, server] : [server, client];
  provoke(type, sender, receiver);
  await tampering.happened;
  // Where the length grew the receiver waits for one more byte: this brings it.
  if (type !== "BYE") sender.send("what follows").catch(() => {});
  const what = `${type}: ${nameOf(change)}`;
  const reason = await receiver.closed;
  if (reason.code === "transport-ended") expect([type, change.field], what).toEqual(["BYE", "length, by one"]);
  else {
    expect(reason, what).toMatchObject({ code: "protocol-violation", during: "session" });
    if ("violation" in reason) expect(violationsOf(change), what).toContain(reason.violation);
  }
  expect(await receiver.receive(), what).toBeUndefined();
  expect(tampering.changed()).toBe(1);
}

/** The check that must catch it: noise is caught by the CRC or before it, never by cryptography (P6). */
function violationsOf({ field, crc }: Change): readonly string[] {
  if (field.startsWith("magic")) return ["bad-magic"];
  if (field === "version") return ["unsupported-version"];
  if (field === "length, beyond 480") return ["oversized-payload"];
  // A full fragment's 480 becomes 481; a length that shrank can be given a good CRC.
  if (field === "length, by one") return ["bad-crc", "oversized-payload", "bad-length", "bad-tag"];
  if (crc === "broken") return ["bad-crc"];
  if (field.startsWith("type")) return ["unknown-type", "unexpected-type", "bad-tag"];
  if (field.startsWith("seq")) return ["bad-nonce", "unexpected-sequence"];
  return field.startsWith("nonce") ? ["bad-nonce"] : ["bad-tag"];
}

/** Makes `sender` send a frame of this type. What becomes of it is the receiver's to tell. */
function provoke(type: FrameTypeName, sender: Session, receiver: Session): void {
  const ignore = (): void => {};
  if (type === "DATA") sender.send("never delivered").catch(ignore);
  if (type === "DATA_FRAG") sender.send(new Uint8Array(1808)).catch(ignore);
  if (type === "PING") sender.ping().catch(ignore);
  if (type === "PONG") receiver.ping().catch(ignore);
  if (type === "REKEY") sender.rekey().catch(ignore);
  if (type === "BYE") sender.close().catch(ignore);
}

/** A relay that changes the first frame of this type; in handshakes at once, in sessions once begin() was called. */
async function tamper(
  listening: LoopbackServer,
  type: FrameTypeName,
  change: Change,
  direction: Direction | undefined,
) {
  let armed = direction === undefined;
  let changed = 0;
  let onChange = (): void => {};
  const happened = new Promise<void>((resolve) => {
    onChange = resolve;
  });
  const relay = await TcpRelay.start({
    server: listening.address("tcp"),
    rewrite: (piece) => {
      const here = direction === undefined || piece.direction === direction;
      if (!armed || !here || changed > 0 || typeOf(piece.bytes) !== type) return undefined;
      changed++;
      onChange();
      return change.apply(piece.bytes);
    },
  });
  onTestFinished(() => relay.close());
  const begin = (): void => {
    armed = true;
  };
  return { relay, happened, changed: () => changed, begin };
}
