import { sourceOf, TokenBucket } from "@usmp/protocol";
import type { Clock, Peer, Refusal, Session } from "usmp";
import type { DeviceId, SeenDevice } from "../records.ts";
import { type Registry, STALE_AFTER_MS } from "../registry/registry.ts";
import type { WallClock } from "../time/wall-clock.ts";
import type { RefusalCause } from "./cause.ts";
import { diagnose } from "./diagnosis.ts";
import { immediateCause, violationCause } from "./immediate-cause.ts";
import { RefusalMinutes } from "./refusal-minutes.ts";
import type { RefusalRecord } from "./refusal-record.ts";
import { RefusalRing } from "./refusal-ring.ts";
import { SeenDevices } from "./seen-devices.ts";

/** Proofs looked into per second: some forty HMACs each, so that a flood of wrong keys costs no more than that. */
const DIAGNOSES_A_SECOND = 20;

/** While the database is gone, records wait for it; the oldest give way. */
const MOST_UNSAVED = 2_000;

/** Why devices were refused: finds the cause of each attempt, keeps the newest, and hands summaries to the audit. */
export class Refusals {
  readonly #registry: Registry;
  readonly #wallClock: WallClock;
  readonly #clock: Clock;
  readonly #ring: RefusalRing = new RefusalRing();
  readonly #minutes: RefusalMinutes = new RefusalMinutes();
  readonly #seen: SeenDevices = new SeenDevices();
  readonly #diagnoses: TokenBucket;
  readonly #listeners: Set<(record: RefusalRecord) => void> = new Set();
  readonly #underWay: Set<Promise<void>> = new Set();
  #seenChanged = false;
  /** Closed records that the database does not have yet. */
  #unsaved: readonly RefusalRecord[] = [];
  #turn: Promise<void> = Promise.resolve();

  constructor(registry: Registry, wallClock: WallClock, clock: Clock) {
    this.#registry = registry;
    this.#wallClock = wallClock;
    this.#clock = clock;
    this.#diagnoses = new TokenBucket({ perSecond: DIAGNOSES_A_SECOND, burst: DIAGNOSES_A_SECOND }, clock.now());
    registry.onChange((change) => {
      if (change.type === "added") this.#forgetSeen(change.id);
    });
  }

  /** Brings back what an earlier run kept. */
  async load(): Promise<void> {
    this.#ring.load(await this.#registry.loadRefusals(), (id) => this.#registry.device(id) !== undefined);
    this.#seen.load(await this.#registry.loadSeen());
  }

  /** Takes a refusal of the server; its proof is looked into in a later turn, and wiped. */
  note(refusal: Refusal): void {
    const { ageMs } = this.#registry;
    const cause = immediateCause(refusal, { ageMs, stale: ageMs > STALE_AFTER_MS });
    if (cause === "look-into-proof") this.#lookInto(refusal);
    else {
      refusal.proof?.wipe();
      if (cause !== undefined) this.#record(cause, refusal.peer, refusal.claimedDeviceId);
    }
  }

  /** Takes a session's end: one that the peer brought about by breaking the protocol is recorded, too. */
  noteEnd(session: Session, reason: Awaited<Session["closed"]>): void {
    if (reason.code !== "protocol-violation") return;
    this.#record(violationCause(session, reason), session.peer, session.deviceId);
  }

  /** A proof was good, but its key was not any more when it came: the change overtook the handshake. */
  noteOvertaken(session: Session): void {
    this.#follow(this.#diagnose(session.deviceId, undefined, session.peer));
  }

  records(id?: DeviceId): readonly RefusalRecord[] {
    return this.#ring.records(id);
  }

  seen(): readonly SeenDevice[] {
    if (this.#wallClock.doubt === undefined) this.#seen.forgetOld(this.#wallClock.now());
    return this.#seen.list();
  }

  /** Called with each attempt, as the record that it is counted in. */
  onRecord(listener: (record: RefusalRecord) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Writes what is over. Rejects when the database does; then it is tried again with the next. */
  async save(all = false): Promise<void> {
    if (all) await Promise.all(this.#underWay);
    const now = this.#wallClock.now();
    const rows = this.#minutes.take(now, all);
    if (rows.length > 0) {
      try {
        await this.#registry.audit.appendRefusals(rows);
      } catch (error) {
        this.#minutes.giveBack(rows);
        throw error;
      }
    }
    this.#unsaved = [...this.#unsaved, ...this.#ring.takeClosed(now, all)].slice(-MOST_UNSAVED);
    const unsaved = this.#unsaved;
    await this.#registry.saveRefusals(unsaved);
    this.#unsaved = this.#unsaved.filter((record) => !unsaved.includes(record));
    if (!this.#seenChanged) return;
    await this.#registry.saveSeen(newestOfEach(this.seen()));
    this.#seenChanged = false;
  }

  #lookInto(refusal: Refusal): void {
    const { peer, claimedDeviceId, proof } = refusal;
    const looked = this.#diagnoses.take(this.#clock.now()) ? proof : undefined;
    if (looked === undefined) proof?.wipe();
    this.#follow(this.#diagnose(claimedDeviceId as DeviceId, looked, peer));
  }

  async #diagnose(id: DeviceId, proof: Refusal["proof"], peer: Peer): Promise<void> {
    await this.#nextTurn();
    let cause: RefusalCause;
    try {
      cause = await diagnose(this.#registry, id, proof);
    } catch (error) {
      // The database did not answer: what the copy in memory says is still true enough to help.
      const message = `the attempt could not be looked into: ${error instanceof Error ? error.message : String(error)}`;
      cause = { cause: "internal", message };
    } finally {
      proof?.wipe();
    }
    if (cause.cause === "unknown-device") {
      const { transport, host } = peer;
      this.#seen.add({ id, transport, source: sourceOf(host) }, this.#wallClock.now());
      this.#seenChanged = true;
    }
    this.#record(cause, peer, id);
  }

  /** One diagnosis a turn of the event loop: each takes milliseconds, and devices must not wait for a burst of them. */
  #nextTurn(): Promise<void> {
    this.#turn = this.#turn.then(() => new Promise((resolve) => setImmediate(resolve)));
    return this.#turn;
  }

  #record(cause: RefusalCause, { transport, host, port }: Peer, claimedId: DeviceId | undefined): void {
    const at = this.#wallClock.now();
    const source = sourceOf(host);
    const peer = host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
    const enrolled = claimedId !== undefined && this.#registry.device(claimedId) !== undefined;
    const record = this.#ring.add({ at, transport, peer, source, claimedId, cause }, enrolled);
    this.#minutes.add(cause.cause, source, at);
    for (const listener of this.#listeners) listener(record);
  }

  #forgetSeen(id: DeviceId): void {
    this.#seen.remove(id);
    this.#seenChanged = true;
  }

  #follow(work: Promise<void>): void {
    this.#underWay.add(work);
    void work.finally(() => this.#underWay.delete(work));
  }
}

/** The database has one row for each id. */
function newestOfEach(devices: readonly SeenDevice[]): readonly SeenDevice[] {
  const byId = new Map<DeviceId, SeenDevice>();
  for (const device of devices) if (!byId.has(device.id)) byId.set(device.id, device);
  return [...byId.values()];
}
