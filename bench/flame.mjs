/**
 * `npm run bench:flame -- [--size N] [--messages N] [--out FILE.svg]`: a flame graph of our server while it echoes over 8 TCP
 * connections, from V8's own profiler (node --cpu-prof). The text is what takes 1 % or more, callers above callees.
 */
import { randomBytes } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { Child } from "./child.mjs";

const FOLDER = fileURLToPath(new URL(".", import.meta.url));
const CONNECTIONS = 8;
const [WIDTH, ROW, LEAST_SHARE] = [1_200, 17, 0.002];
const TEXT_SHARE = 0.01;

const { values: options } = parseArgs({
  options: {
    size: { type: "string", default: "64" },
    messages: { type: "string", default: "10000" },
    out: { type: "string" },
  },
});

/**
 * @typedef {{ name: string, micros: number, children: Map<string, Frame> }} Frame
 * @typedef {{ id: number, callFrame: { functionName: string, url: string, lineNumber: number }, children?: number[] }} Node
 */

const root = frameTree(await profileEcho(Number(options.size), Number(options.messages)));
printFrame(root, root.micros, 0);
if (options.out !== undefined) writeFileSync(options.out, svg(root));

/** @param {number} size @param {number} messages */
async function profileEcho(size, messages) {
  const directory = mkdtempSync(join(tmpdir(), "usmp-flame-"));
  const profiler = ["--cpu-prof", `--cpu-prof-dir=${directory}`, "--cpu-prof-interval=200", "--expose-gc"];
  const server = new Child([process.execPath, ...profiler, join(FOLDER, "servers", "usmp.mjs")]);
  const load = new Child([process.execPath, join(FOLDER, "loads", "sealed.mjs")]);
  try {
    const psk = randomBytes(32).toString("hex");
    const { port } = await server.ask({ do: "serve", psk });
    await load.ask({ do: "open", server: { port, psk }, count: CONNECTIONS, concurrency: CONNECTIONS });
    for (let round = 0; round < 3; round++) {
      await load.ask({ do: "prepareEcho", size, messages });
      await load.ask({ do: "echo", size, messages, window: 1 });
    }
    await load.ask({ do: "close" });
    await load.stop();
    await server.stop();
    const [file] = readdirSync(directory);
    return JSON.parse(readFileSync(join(directory, String(file)), "utf8"));
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/**
 * Frames by call path, times in microseconds; time in which nothing ran is left out.
 * @param {{ nodes: Node[], samples: number[], timeDeltas: number[] }} profile
 * @returns {Frame}
 */
function frameTree({ nodes, samples, timeDeltas }) {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  /** @type {Map<number, number>} */
  const own = new Map();
  for (const [i, id] of samples.entries()) own.set(id, (own.get(id) ?? 0) + (timeDeltas[i] ?? 0));
  /** @param {Frame} into @param {Node} node */
  const add = (into, node) => {
    const name = nameOf(node);
    if (name === "(idle)") return 0;
    const frame = into.children.get(name) ?? { name, micros: 0, children: new Map() };
    into.children.set(name, frame);
    let micros = own.get(node.id) ?? 0;
    for (const child of node.children ?? []) micros += add(frame, /** @type {Node} */ (byId.get(child)));
    frame.micros += micros;
    return micros;
  };
  /** @type {Frame} */
  const all = { name: "all", micros: 0, children: new Map() };
  all.micros = add(all, /** @type {Node} */ (nodes[0]));
  return all;
}

/** @param {Node} node */
function nameOf({ callFrame: { functionName, url, lineNumber } }) {
  const place = url.replace(/^.*\/(packages|bench|node_modules)\//, "").replace("/dist/", "/");
  return place === "" ? functionName : `${functionName || "(anonymous)"} ${place}:${lineNumber + 1}`;
}

/** @param {Frame} frame @param {number} total @param {number} depth */
function printFrame({ name, micros, children }, total, depth) {
  if (micros / total < TEXT_SHARE) return;
  console.log(`${((100 * micros) / total).toFixed(1).padStart(5)} % ${"  ".repeat(depth)}${name}`);
  for (const child of ordered(children)) printFrame(child, total, depth + 1);
}

/** @param {Map<string, Frame>} children */
function ordered(children) {
  return [...children.values()].sort((a, b) => b.micros - a.micros);
}

/** @param {Frame} all */
function svg(all) {
  /** @type {string[]} */
  const boxes = [];
  let deepest = 0;
  /** @param {Frame} frame @param {number} x @param {number} depth */
  const draw = ({ name, micros, children }, x, depth) => {
    const share = micros / all.micros;
    if (share < LEAST_SHARE) return;
    deepest = Math.max(deepest, depth);
    const [left, top, width] = [x * WIDTH, depth * ROW, share * WIDTH];
    const label = escaped(name.slice(0, Math.max(0, Math.floor(width / 6.2) - 1)));
    boxes.push(
      `<g><title>${escaped(name)}, ${(100 * share).toFixed(1)} %</title>` +
        `<rect x="${left.toFixed(1)}" y="${top}" width="${width.toFixed(1)}" height="${ROW - 1}" fill="${colour(name)}"/>` +
        `<text x="${(left + 2).toFixed(1)}" y="${top + 12}">${label}</text></g>`,
    );
    let at = x;
    for (const child of ordered(children)) {
      draw(child, at, depth + 1);
      at += child.micros / all.micros;
    }
  };
  draw(all, 0, 0);
  const height = (deepest + 1) * ROW;
  const style = "<style>text{font:10px monospace;fill:#111}</style>";
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}"><title>Flame graph of the server</title>${style}${boxes.join("\n")}</svg>\n`;
}

/** Ours, Node's, and the engine's. @param {string} name */
function colour(name) {
  if (name.includes("node:")) return "#a8c8f0";
  return name.includes(".js:") || name.includes(".mjs:") ? "#f4c28c" : "#cfcfcf";
}

/** @param {string} text */
function escaped(text) {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
