import { BENCH_ONLY } from "./c-bytes.ts";
import type { SnippetContext } from "./context.ts";

/** For Node, with this project's library. */
export function typescript({ id, host, port, transport, plaintextKey }: SnippetContext): string {
  const key = plaintextKey === undefined ? STORED_KEY : literalKey(plaintextKey);
  return `// USMP device ${id}
${plaintextKey === undefined ? 'import { readFileSync } from "node:fs";\nimport { ConnectError, connect, parseKey } from "usmp";' : 'import { ConnectError, connect, Secret } from "usmp";'}

${key}
try {
  const session = await connect({
    host: "${host}",
    port: ${port},
    transport: "${transport}",
    deviceId: "${id}",
    psk: key,
  });
  console.log("session", session.sessionId);
  await session.send("hello");
  await session.close();
} catch (error) {
  if (!(error instanceof ConnectError)) throw error;
  console.error(\`\${error.code}: \${error.message}\`);
  console.error("on the gateway, usmp why ${id} tells the reason");
  process.exitCode = 1;
} finally {
  key.wipe();
}
`;
}

const STORED_KEY = `// The file has the key as 64 hex digits, which parseKey() takes as 32 raw bytes.
const path = process.env["USMP_PSK_FILE"] ?? "device.key";
const { key } = parseKey(Buffer.from(readFileSync(path, "utf8").trim()), path);
`;

function literalKey(digits: string): string {
  return `// ${BENCH_ONLY}
const key = new Secret(Buffer.from("${digits}", "hex"));
`;
}
