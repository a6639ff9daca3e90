import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Secret } from "@usmp/protocol";
import { expect, test } from "vitest";
import { backedTables } from "../../src/backup/content.ts";
import { ADA, onEachDatabase } from "../support/registries.ts";

const VIEWER = { name: "panel", role: "viewer", ttlMs: undefined } as const;

onEachDatabase("tokens", (newHome) => {
  test("outlive a restart, with their role, end and last use; what is stored opens nothing", async () => {
    const home = newHome();
    const { tokens } = await home.open();
    const { text, record } = await tokens.add({ ...VIEWER, ttlMs: 60_000 }, ADA);
    expect(tokens.prove(text)).toMatchObject({ state: "good", token: { id: record.id, role: "viewer" } });
    await tokens.flushUse();
    await home.close();
    const again = (await home.open()).tokens;
    expect(again.list()).toMatchObject([
      { id: record.id, expiresAt: record.createdAt + 60_000, lastUsedAt: record.createdAt },
    ]);
    expect(again.prove(text).state).toBe("good");
    const secret = text.split("_")[2] as string;
    if (home.database !== undefined) {
      expect(home.postgres?.psql(home.database, "select * from tokens")).not.toContain(secret);
      return;
    }
    for (const name of readdirSync(home.directory).filter((each) => each.startsWith("usmp.db"))) {
      expect(readFileSync(join(home.directory, name)).includes(secret)).toBe(false);
    }
  });

  test("end: at once when revoked, for good; by the clock when it is trusted; and a change that fails revokes nothing", async () => {
    const home = newHome();
    const { tokens, registry } = await home.open();
    const [one, other] = [await tokens.add(VIEWER, ADA), await tokens.add({ ...VIEWER, ttlMs: 60_000 }, ADA)];
    const told: string[] = [];
    tokens.onRevoked((id) => told.push(id));
    const revoking = tokens.revoke(one.record.id, ADA);
    expect([tokens.prove(one.text).state, told]).toEqual(["revoked", [one.record.id]]);
    await revoking;
    await expect(tokens.revoke("000000000000", ADA)).rejects.toMatchObject({ code: "unknown-token" });
    home.time.passWall(60_000);
    expect(tokens.prove(other.text).state).toBe("expired");
    home.time.wall += 7_200_000; // a step that nothing explains: the clock is in doubt, and ends nothing
    expect(tokens.prove(other.text).state).toBe("good");
    const actions: string[] = [];
    for await (const { action, detail } of registry.audit.rows())
      if (action.startsWith("token.")) actions.push(`${action} ${String(detail["token"])}`);
    expect(actions).toEqual([
      `token.add ${one.record.id}`,
      `token.add ${other.record.id}`,
      `token.revoke ${one.record.id}`,
    ]);
    await home.close();
    expect((await home.open()).tokens.prove(one.text).state).toBe("revoked");
    if (home.database !== undefined) return; // a closed store would take PostgreSQL's lock anew
    await home.close();
    await expect(tokens.revoke(other.record.id, ADA)).rejects.toThrow();
    expect(tokens.state(other.record.id)).toBe("good");
  });

  test("that are none are all alike: wrong secret, unknown id, no token at all", async () => {
    const { tokens } = await newHome().open();
    const { text } = await tokens.add(VIEWER, ADA);
    const last = text.at(-1) === "A" ? "Q" : "A";
    for (const wrong of [
      text.slice(0, -2) + last + last,
      text.replace(/_[0-9a-f]{12}_/, "_000000000000_"),
      `${text} `,
      "",
      "usmp__",
      "x".repeat(10_000),
    ]) {
      expect(tokens.prove(wrong)).toEqual({ state: "unknown" });
    }
  });

  test("are in no backup", async () => {
    const home = newHome();
    const { tokens, backup } = await home.open();
    await tokens.add({ ...VIEWER, name: "a name to look for" }, ADA);
    expect(backedTables()).not.toContain("tokens");
    const sealed = await backup.write(
      { kind: "passphrase", passphrase: new Secret(Buffer.from("six test words for a backup")) },
      ADA,
    );
    expect(sealed.length).toBeGreaterThan(0);
  });

  test("are bounded: those that are dead give way, then there is no room", async () => {
    const { tokens } = await newHome().open();
    const dead = await tokens.add(VIEWER, ADA);
    await tokens.revoke(dead.record.id, ADA);
    for (let index = 1; index < 1_000; index++) await tokens.add(VIEWER, ADA);
    await tokens.add(VIEWER, ADA);
    expect(tokens.list()).toHaveLength(1_000);
    expect(tokens.list().map(({ id }) => id)).not.toContain(dead.record.id);
    await expect(tokens.add(VIEWER, ADA)).rejects.toMatchObject({ code: "usage" });
  }, 120_000);
});
