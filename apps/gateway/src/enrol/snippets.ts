import { arduino } from "./snippets/arduino.ts";
import { espIdf } from "./snippets/esp-idf.ts";
import { python } from "./snippets/python.ts";
import { typescript } from "./snippets/typescript.ts";

/** What a program on the device must know besides its key, which it reads at run time. */
export interface SnippetContext {
  readonly id: string;
  /** As the device reaches the gateway. */
  readonly host: string;
  readonly port: number;
  readonly transport: "tcp" | "udp";
  /** Hex digits, only with --plaintext-key: then the key stands in the source, marked as fit for the bench alone. */
  readonly plaintextKey?: string | undefined;
}

export const SNIPPET_LANGUAGES = ["arduino", "esp-idf", "python", "typescript"] as const;
export type SnippetLanguage = (typeof SNIPPET_LANGUAGES)[number];

/** A whole program for a device, from its key to its first message. */
export function snippet(language: SnippetLanguage, context: SnippetContext): string {
  return WRITERS[language](context);
}

const WRITERS: Readonly<Record<SnippetLanguage, (context: SnippetContext) => string>> = {
  arduino,
  "esp-idf": espIdf,
  python,
  typescript,
};
