/**
 * The "models" stage: Spin on the session model, Verifpal on the handshake. What must hold holds, and what must fail (the field's
 * own rules, and mutants of ours) fails.
 */
import { existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { ROOT, run } from "./run.mjs";

/** Built from its registry once; lies outside the clone, by version, because that takes minutes. */
const VERIFPAL_VERSION = "1.6.7";
const VERIFPAL_FOLDER = join(homedir(), ".cache", "usmp", `verifpal-${VERIFPAL_VERSION}`);
const MODELS = join(ROOT, "docs", "models");
const LIMIT_MS = 5 * 60_000;

/**
 * @typedef {object} SpinRun
 * @property {"holds" | "fails"} expect
 * @property {string} why
 * @property {string} options of the model, described at the top of rekey.pml
 */
const OURS = "C_REKEY LOSS=2 DUP=1 NMSG=3";
const FIELD_REKEYS = "S_REF S_REKEY LOSS=1 NMSG=2 REF_ACTIVE";

/** @type {readonly SpinRun[]} */
const SPIN_RUNS = [
  { expect: "holds", why: "ours with ours, client rekeys", options: OURS },
  { expect: "holds", why: "ours with ours, both rekey at once", options: `${OURS} S_REKEY` },
  { expect: "holds", why: "the same with three lost", options: "C_REKEY S_REKEY LOSS=3 DUP=1 NMSG=2" },
  { expect: "holds", why: "ours with the field, nobody rekeys", options: "S_REF LOSS=2 DUP=1 NMSG=3" },
  { expect: "holds", why: "ours rekeys, the field follows, old seqs above the new", options: `S_REF ${OURS} SEQ0=4` },
  {
    expect: "holds",
    why: "the field rekeys while its application receives, ours follows",
    options: "S_REF S_REKEY LOSS=2 DUP=1 NMSG=3 REF_ACTIVE",
  },
  { expect: "fails", why: "field with field loses acknowledged data", options: "C_REF S_REF C_REKEY LOSS=0 NMSG=3" },
  {
    expect: "fails",
    why: "field with field: after one loss the ends differ",
    options: "C_REF S_REF C_REKEY LOSS=1 NMSG=3",
  },
  { expect: "fails", why: "field with field: both at once", options: "C_REF S_REF C_REKEY S_REKEY LOSS=0" },
  { expect: "fails", why: "ours and the field at once (R8)", options: "S_REF C_REKEY S_REKEY LOSS=0 NMSG=3" },
  {
    expect: "fails",
    why: "the field rekeys while its application does not receive",
    options: "S_REF S_REKEY LOSS=0 NMSG=3",
  },
  { expect: "fails", why: "ours rekeys the field, old seqs not above the new (R2)", options: `S_REF ${OURS}` },
  { expect: "fails", why: "mutant: old receive key dropped at the switch", options: `${OURS} S_REKEY MUT_DROP_OLD_RX` },
  { expect: "fails", why: "mutant: no tie-break", options: `${OURS} S_REKEY MUT_NO_TIEBREAK` },
  {
    expect: "fails",
    why: "mutant: no implicit acknowledgement, no quiet period",
    options: `${OURS} S_REKEY QUIET=0 MUT_NO_IMPLICIT_ACK`,
  },
  {
    expect: "fails",
    why: "mutant: one UTACK for an old duplicate",
    options: "S_REF C_REKEY LOSS=2 DUP=1 NMSG=2 SEQ0=4 MUT_SINGLE_ACK",
  },
  { expect: "fails", why: "mutant: sending is not held after a REKEY", options: `${FIELD_REKEYS} MUT_NO_HOLD` },
  { expect: "fails", why: "mutant: UTACK of REKEY not withheld", options: `${FIELD_REKEYS} MUT_NO_WITHHOLD` },
  { expect: "fails", why: "mutant: quiet period shorter than a retransmission", options: `${FIELD_REKEYS} QUIET=0` },
];

/** By construction: the PSK is leaked on purpose, and the equivalence pairs ends of different sessions. */
const VERIFPAL_FAILS = ["confidentiality? psk", "equivalence? kc1, ks1"];
const VERIFPAL_PASSES = 8;

/**
 * Runs every model whose tool is here.
 * @returns {Promise<{ passed: number, failed: number, skipped: number }>}
 */
export async function checkModels() {
  const outcomes = [...(await checkSpin()), await checkVerifpal()];
  const count = (/** @type {Outcome} */ wanted) => outcomes.filter((outcome) => outcome === wanted).length;
  return { passed: count("passed"), failed: count("failed"), skipped: count("skipped") };
}

/** @typedef {"passed" | "failed" | "skipped"} Outcome */

/** @returns {Promise<Outcome[]>} */
async function checkSpin() {
  const present =
    (await run("spin", ["-V"], { capture: true })).ok && (await run("gcc", ["--version"], { capture: true })).ok;
  if (!present)
    return [absent("spin and gcc are missing, so the session model is not checked. Run: npm run test:setup")];
  /** @type {Outcome[]} */
  const outcomes = [];
  // Two at a time: one search fills one core.
  const waiting = [...SPIN_RUNS];
  const work = async () => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift())
      outcomes.push(await checkSpinRun(next));
  };
  await Promise.all([work(), work()]);
  return outcomes;
}

/**
 * @param {SpinRun} spinRun
 * @returns {Promise<Outcome>}
 */
async function checkSpinRun({ expect, why, options }) {
  const folder = mkdtempSync(join(tmpdir(), "usmp-spin-"));
  try {
    const found = await search(folder, options.split(" "));
    console.log(`${found === expect ? "ok   " : "WRONG"} ${found.padEnd(9)} ${why}`);
    return found === expect ? "passed" : "failed";
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/**
 * An exhaustive search; the exact answer or none.
 * @param {string} folder
 * @param {readonly string[]} options
 */
async function search(folder, options) {
  const inFolder = (/** @type {string} */ command) =>
    run("sh", ["-c", `cd "$0" && ${command}`, folder, join(MODELS, "session", "rekey.pml")], {
      capture: true,
      limitMs: LIMIT_MS,
    });
  const flags = options.map((option) => `-D${option}`).join(" ");
  const built = await inFolder(
    `spin -a ${flags} "$1" && gcc -O2 -w -DSAFETY -DMEMLIM=6000 -DVECTORSZ=2048 -DCOLLAPSE -o pan pan.c`,
  );
  if (!built.ok) return "no build";
  const { output } = await inFolder("./pan -m500000");
  if (/max search depth|out of memory/.test(output)) return "no answer";
  if (/errors: 0\b/.test(output)) return "holds";
  return /errors: [1-9]/.test(output) ? "fails" : "no answer";
}

/** @returns {Promise<Outcome>} */
async function checkVerifpal() {
  const verifpal = await ensureVerifpal();
  if (verifpal === undefined)
    return absent("Verifpal is missing (it needs cargo), so the handshake model is not checked");
  const model = join(MODELS, "handshake", "usmp_v2.vp");
  const { output } = await run(verifpal, ["verify", model], { capture: true, limitMs: LIMIT_MS });
  // The second half of what it prints is the final report; in the first each failing query is announced as it is found.
  const report = output.slice(output.indexOf("Verification completed"));
  const failing = [...report.matchAll(/FAIL x ([a-z]+\? .+)/g)].map((match) => match[1]?.trim() ?? "");
  const passing = [...report.matchAll(/PASS \+ /g)].length;
  const ok = passing === VERIFPAL_PASSES && failing.join() === VERIFPAL_FAILS.join();
  console.log(`${ok ? "ok   " : "WRONG"} handshake (Verifpal): ${passing} queries pass; ${failing.join("; ")} fail`);
  return ok ? "passed" : "failed";
}

/** @returns {Promise<string | undefined>} */
async function ensureVerifpal() {
  const program = join(VERIFPAL_FOLDER, "bin", process.platform === "win32" ? "verifpal.exe" : "verifpal");
  if (existsSync(program)) return program;
  if (!(await run("cargo", ["--version"], { capture: true })).ok) return undefined;
  console.log("Building Verifpal, once; this takes some minutes …");
  mkdirSync(VERIFPAL_FOLDER, { recursive: true });
  const args = [
    "install",
    "verifpal",
    "--version",
    VERIFPAL_VERSION,
    "--ignore-rust-version",
    "--root",
    VERIFPAL_FOLDER,
  ];
  const { ok, output } = await run("cargo", args, { capture: true });
  if (!ok) console.log(output.slice(-2_000));
  return ok ? program : undefined;
}

/**
 * @param {string} line
 * @returns {Outcome}
 */
function absent(line) {
  console.log(line);
  return process.env.CI === "true" ? "failed" : "skipped";
}
