import { styleText } from "node:util";
import type { OutputStream } from "../environment.ts";
import { asText, display, toHex } from "../printable.ts";
import type { Check, Explanation } from "./explanation.ts";
import type { Summary } from "./inspector.ts";

/** The JSON object of one explained piece; docs/cli.md lists its fields. */
export function explanationObject({
  index,
  from,
  type,
  bytes,
  fields,
  checks,
  plaintext,
  message,
}: Explanation): object {
  return {
    event: "frame",
    index,
    from: from ?? null,
    type: type ?? null,
    bytes: bytes.length,
    fields: fields.map((field) => ({
      offset: field.offset,
      name: field.name,
      hex: toHex(field.bytes),
      meaning: field.meaning,
    })),
    checks,
    ...content("plaintext", "text", plaintext),
    ...content("message", "messageText", message),
  };
}

export function summaryObject(summary: Summary, withPsk: boolean): object {
  return { event: "summary", ...summary, proofs: proofs(summary, withPsk), payload: payload(summary) };
}

export function renderExplanation(explanation: Explanation, stream: OutputStream): string {
  const { index, from, type, bytes, fields, checks, plaintext, message } = explanation;
  const title = `${index}  ${type ?? "no frame"}  ${DIRECTION[from ?? "unknown"]}${bytes.length} bytes`;
  const shown = [
    ...fields.map(
      ({ offset, name, bytes: raw, meaning }) =>
        `  ${String(offset).padStart(3)}  ${name.padEnd(13)}  ${toHex(raw)}  ${meaning}`,
    ),
    ...checks.map((check) => renderCheck(check, stream)),
    ...(plaintext === undefined || type === "PING" || type === "PONG" || type === "BYE"
      ? []
      : [`  plaintext  ${plaintext.length} bytes  ${display(plaintext)}`]),
    ...(message === undefined ? [] : [`  message    ${message.length} bytes  ${display(message)}`]),
  ];
  return [styleText("bold", title, { stream }), ...shown, ""].join("\n");
}

export function renderSummary(summary: Summary, withPsk: boolean): string {
  if (summary.pieces === 0) return "nothing to explain: the recording is empty";
  const checks =
    summary.failedChecks === 0
      ? "every check that could be made passed"
      : `${counted(summary.failedChecks, "check")} FAILED`;
  return [
    `${counted(summary.pieces, "frame")}: ${checks}`,
    `proofs: ${proofs(summary, withPsk)}`,
    `payload: ${payload(summary)}`,
  ].join("\n");
}

const DIRECTION = { client: "client to server  ", server: "server to client  ", unknown: "" } as const;

function renderCheck({ name, result, detail }: Check, stream: OutputStream): string {
  const word = {
    passed: styleText("green", "ok     ", { stream }),
    failed: styleText("red", "FAILED ", { stream }),
    skipped: "skipped",
  }[result];
  return `  ${word}  ${name}: ${detail}`;
}

function proofs({ proofsVerified, proofsRefuted }: Summary, withPsk: boolean): string {
  if (!withPsk) return "not verified: that needs the PSK";
  if (proofsVerified + proofsRefuted === 0) return "none in this recording that could be verified";
  return `${proofsVerified} verified, ${proofsRefuted} wrong`;
}

function payload({ sealedFrames, openedFrames }: Summary): string {
  if (sealedFrames === 0) return "none in this recording";
  if (openedFrames === sealedFrames) return `all ${sealedFrames} sealed frames opened`;
  if (openedFrames > 0) return `${openedFrames} of ${sealedFrames} sealed frames opened`;
  return (
    "stays closed: the keys came from private halves that both sides have forgotten; " +
    "a PSK cannot open recorded traffic (forward secrecy), only session or ephemeral keys can (--key)"
  );
}

function counted(count: number, thing: string): string {
  return `${count} ${thing}${count === 1 ? "" : "s"}`;
}

function content(name: string, textName: string, bytes: Uint8Array | undefined): object {
  if (bytes === undefined) return {};
  const text = asText(bytes);
  return { [name]: Buffer.from(bytes).toString("base64"), ...(text === undefined ? {} : { [textName]: text }) };
}
