import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect, Secret, type Session } from "usmp";
import { afterEach, expect } from "vitest";
import { BIN, Child, type Exit, finished, usmp } from "./process.ts";

/** A gateway as a process of its own, on a data directory of its own and free ports. */
export class GatewayProcess {
  readonly child: Child;
  readonly data: string;
  /** Everything that any command about this gateway printed, but for the answers in which keys are handed out. */
  readonly said: string[] = [];

  private constructor(child: Child, data: string) {
    this.child = child;
    this.data = data;
  }

  /** `files`: how many descriptors it may have. */
  static async start(
    data: string = newDirectory(),
    words: readonly string[] = [],
    variables: Readonly<Record<string, string>> = {},
    files?: number,
  ): Promise<GatewayProcess> {
    const own = ["gateway", "--data", data, "--tcp", "127.0.0.1:0", "--udp", "127.0.0.1:0", "--json", ...words];
    const child =
      files === undefined
        ? usmp(own, variables)
        : new Child("sh", ["-c", `ulimit -n ${files} && exec "$0" "$@"`, process.execPath, BIN, ...own], variables);
    const gateway = new GatewayProcess(child, data);
    await gateway.address("udp");
    return gateway;
  }

  async address(transport: "tcp" | "udp"): Promise<{ readonly host: string; readonly port: number }> {
    const line = await this.child.stdout.line(
      (text) => text.includes('"listening"') && text.includes(`"${transport}"`),
    );
    const { host, port } = JSON.parse(line) as { host: string; port: number };
    return { host, port };
  }

  /** A command about this gateway, with --json; its output by lines. */
  async run(
    words: readonly string[],
    variables: Readonly<Record<string, string>> = {},
  ): Promise<Exit & { readonly lines: readonly Record<string, unknown>[]; readonly err: string }> {
    const { out, err, code, signal } = await finished([...words, "--data", this.data, "--json"], "", variables);
    const handsOutKeys = /^(device (add|rotate)|master rotate|factory-key)/.test(words.join(" "));
    this.said.push(err, handsOutKeys ? "" : out);
    const lines = out
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    return { code, signal, lines, err };
  }

  /** As run(), for what must succeed. */
  async must(
    words: readonly string[],
    variables: Readonly<Record<string, string>> = {},
  ): Promise<readonly Record<string, unknown>[]> {
    const { code, lines, err } = await this.run(words, variables);
    expect(code, `${words.join(" ")}: ${err}`).toBe(0);
    return lines;
  }

  async enrol(
    words: readonly string[] = [],
  ): Promise<{ readonly id: string; readonly psk: string; readonly generation: number }> {
    const [line] = await this.must(["device", "add", ...words]);
    return line as unknown as { id: string; psk: string; generation: number };
  }

  async connect(
    device: { readonly id: string; readonly psk: string },
    transport: "tcp" | "udp",
    options: Partial<Parameters<typeof connect>[0]> = {},
  ): Promise<Session> {
    return connect({
      ...(await this.address(transport)),
      transport,
      deviceId: device.id,
      psk: new Secret(Buffer.from(device.psk, "hex")),
      ...options,
    });
  }

  async stop(): Promise<void> {
    this.child.process.kill("SIGTERM");
    await this.child.exit;
    this.said.push(this.child.stdout.text, this.child.stderr.text);
  }
}

const directories: string[] = [];

export function newDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), "usmp-fleet-"));
  directories.push(directory);
  return directory;
}

afterEach(() => {
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true, force: true });
});
