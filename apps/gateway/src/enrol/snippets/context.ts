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
