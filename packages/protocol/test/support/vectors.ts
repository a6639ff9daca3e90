import { readFileSync } from "node:fs";
import type { FrameTypeName } from "../../src/wire/frame.ts";

export interface VectorFrame {
  readonly from: "client" | "server";
  readonly type: FrameTypeName;
  readonly seq: number;
  readonly frame: string;
}

export interface VectorSession {
  readonly name: string;
  readonly psk: string;
  readonly device_id: string;
  readonly client_private: string;
  readonly server_private: string;
  readonly client_public: string;
  readonly server_public: string;
  readonly challenge_nonce: string;
  readonly session_id: string;
  readonly key_c2s: string;
  readonly key_s2c: string;
  readonly handshake_frames: readonly VectorFrame[];
  readonly messages: readonly { readonly from: "client" | "server"; readonly data: string }[];
  readonly session_frames: readonly VectorFrame[];
  readonly rekey?: {
    readonly by: "client" | "server";
    readonly salt: string;
    readonly key_c2s: string;
    readonly key_s2c: string;
    readonly frames: readonly VectorFrame[];
  };
  readonly bye_frame: VectorFrame;
}

export interface Vectors {
  readonly crc16: readonly { readonly input: string; readonly crc: string }[];
  readonly sessions: readonly VectorSession[];
  readonly utack: {
    readonly key: string;
    readonly cases: readonly { readonly type: number; readonly seq: number; readonly utack: string }[];
  };
  readonly low_order_public_keys: readonly string[];
}

/** The field's own frames; see vectors/README.md. */
export const vectors: Vectors = JSON.parse(readFileSync(new URL("../vectors/usmp-v2.json", import.meta.url), "utf8"));
