import { readFileSync } from "node:fs";

/** A session that the public SDK recorded: see packages/protocol/test/vectors/README.md. */
export interface RecordedSession {
  readonly name: string;
  readonly psk: string;
  readonly device_id: string;
  readonly client_private: string;
  readonly server_private: string;
  readonly key_c2s: string;
  readonly key_s2c: string;
  readonly session_id: string;
  readonly handshake_frames: readonly RecordedFrame[];
  readonly session_frames: readonly RecordedFrame[];
  readonly messages: readonly { readonly from: Side; readonly data: string }[];
  readonly rekey?: { readonly by: Side; readonly frames: readonly RecordedFrame[] };
  readonly bye_frame: RecordedFrame;
}

export interface RecordedFrame {
  readonly from: Side;
  readonly type: string;
  readonly seq: number;
  readonly frame: string;
}

type Side = "client" | "server";

const path = new URL("../../../../packages/protocol/test/vectors/usmp-v2.json", import.meta.url);

export const sessions: readonly RecordedSession[] = (
  JSON.parse(readFileSync(path, "utf8")) as { sessions: RecordedSession[] }
).sessions;

export function framesOf(session: RecordedSession): readonly RecordedFrame[] {
  return [...session.handshake_frames, ...session.session_frames, ...(session.rekey?.frames ?? []), session.bye_frame];
}
