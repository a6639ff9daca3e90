import { arduino } from "./snippets/arduino.ts";
import type { SnippetContext } from "./snippets/context.ts";
import { espIdf } from "./snippets/esp-idf.ts";
import { python } from "./snippets/python.ts";
import { typescript } from "./snippets/typescript.ts";

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
