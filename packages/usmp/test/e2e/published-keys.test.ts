import { Secret } from "@usmp/protocol";
import { describe, expect, test } from "vitest";
import { connect } from "../../src/client.ts";
import { listen } from "../../src/listen.ts";
import { PUBLISHED_KEY_TEXTS } from "../../src/published-keys.ts";
import { LOOPBACK, open, serve } from "../support/loopback.ts";

/** The development key, an example, and each in a form that HMAC cannot tell from it. */
const FORMS = [PUBLISHED_KEY_TEXTS[0], "your-generated-psk-here", "my-provisioned-psk"].flatMap((text = "") => [
  [text, Buffer.from(text)] as const,
  [`${text} with zeros behind`, Buffer.concat([Buffer.from(text), Buffer.alloc(7)])] as const,
]);

describe.each(FORMS)("the published key %s", (_, key) => {
  test("connect() refuses it before anything is sent, as bytes and as a Secret", async () => {
    const target = { host: LOOPBACK, port: 9 };
    await expect(connect({ ...target, psk: key })).rejects.toMatchObject({ code: "weak-key" });
    await expect(connect({ ...target, psk: new Secret(key) })).rejects.toMatchObject({ code: "weak-key" });
  });

  test("listen() refuses it as the key of all", async () => {
    await expect(listen({ tcp: { host: LOOPBACK, port: 0 }, psk: key })).rejects.toMatchObject({ code: "weak-key" });
  });

  test("a key function that answers it admits nobody, and the refusal says why", async () => {
    const server = await serve({ psk: () => key });
    await expect(open(server.address("tcp"))).rejects.toThrow();
    expect(server.refusals[0]?.reason).toMatchObject({
      code: "lookup-failed",
      message: expect.stringContaining("everyone knows"),
    });
  });

  test("development mode lets it in, on both sides", async () => {
    const server = await serve({ psk: () => key, development: true });
    const session = await open(server.address("tcp"), { psk: key, development: true });
    expect(await session.ping()).toBeGreaterThanOrEqual(0);
    session.abort();
  });
});
