import type { Refusal } from "usmp";
import type { RefusalCause } from "./cause.ts";

/** What a refusal says by itself: its cause; or that its proof must be looked into; or undefined, when another record says it already. */
export function immediateCause(
  refusal: Refusal,
  registry: { readonly ageMs: number; readonly stale: boolean },
): RefusalCause | "look-into-proof" | undefined {
  const { reason } = refusal;
  switch (reason.code) {
    case "authentication-failed":
      if (reason.cause === "own-device-id") return { cause: "own-device-id" };
      // Two candidates are always given: without any, the look-up has failed and was told as that.
      return reason.cause === "wrong-key" ? "look-into-proof" : undefined;
    case "lookup-failed":
      return registry.stale
        ? { cause: "registry-stale", ageMs: Math.round(registry.ageMs) }
        : { cause: "internal", message: reason.message };
    case "protocol-violation":
      return violationCause(refusal, reason);
    case "handshake-timeout":
      return { cause: "timeout", awaiting: reason.awaiting };
    case "transport-ended":
      return { cause: "connection-lost", awaiting: reason.awaiting, message: undefined };
    case "transport-failed":
      return { cause: "connection-lost", awaiting: undefined, message: reason.message };
    case "rate-limited":
      return { cause: "over-budget", limit: "handshakes of one address" };
    case "evicted":
      return { cause: "over-budget", limit: "handshakes under way" };
    case "server-full":
      return { cause: "server-full" };
    default:
      return undefined; // the gateway's own end
  }
}

type Violated = Extract<Refusal["reason"], { readonly code: "protocol-violation" }>;

export function violationCause({ breach }: Pick<Refusal, "breach">, { violation, during }: Violated): RefusalCause {
  const head = breach?.head;
  if (violation === "unsupported-version") return { cause: "version", saw: head?.[2] ?? 0 };
  if (violation === "bad-magic" && breach?.offset === 0) {
    return { cause: "not-usmp", looksLike: head === undefined ? undefined : looksLike(head) };
  }
  return { cause: "malformed-frame", violation, offset: breach?.offset ?? 0, during };
}

/** What the first four bytes of a connection look like. */
function looksLike(head: Uint8Array): "TLS" | "HTTP" | "MQTT" | "SSH" | undefined {
  const text = Buffer.from(head).toString("latin1");
  // TLS record of a handshake (RFC 8446 section 5.1), DTLS's (RFC 9147), and DTLS 1.0 and 1.2 (RFC 6347).
  if (head[0] === 0x16 && (head[1] === 0x03 || head[1] === 0xfe)) return "TLS";
  if (/^(GET |POST|PUT |HEAD|OPTI|CONN|PRI )/.test(text)) return "HTTP";
  // CONNECT, with a remaining length of one byte before the protocol name's two (MQTT 3.1.1 section 3.1).
  if (head[0] === 0x10 && (head[2] === 0 || head[3] === 0)) return "MQTT";
  return text === "SSH-" ? "SSH" : undefined;
}
