import { DEFAULT_MESSAGE_SETTINGS } from "@usmp/gateway";
import { describe, expect, test } from "vitest";
import { type Configuration, configure } from "../../src/configuration/configuration.ts";
import { parseConfiguration } from "../../src/configuration/file.ts";
import { gatewayOptions } from "../../src/configuration/gateway-options.ts";
import { settingEvents, settingLine } from "../../src/configuration/print.ts";
import { SETTING_NAMES } from "../../src/configuration/settings.ts";
import type { Sources } from "../../src/configuration/sources.ts";

interface Places {
  readonly flags?: Readonly<Record<string, unknown>>;
  readonly variables?: Readonly<Record<string, string>>;
  readonly file?: string;
}

function read({ flags = {}, variables = {}, file }: Places): Configuration {
  const sources: Sources = {
    flags: new Map(Object.entries(flags)),
    variables,
    file: file === undefined ? undefined : parseConfiguration(file, "/etc/usmp/gateway.yaml"),
    currentDirectory: "/here",
  };
  return configure(sources);
}

function problem(places: Places): string {
  try {
    gatewayOptions(read(places), "/data");
  } catch (error) {
    return (error as Error).message;
  }
  return expect.unreachable("it was taken");
}

describe("flags over environment over file over default", () => {
  const file = "# mine\nkeep: 1d\nqueue-ttl: 2d\ndurable: yes\n";
  const variables = { USMP_QUEUE_TTL: "3h", USMP_DURABLE: "" };

  test("each value says where it came from", () => {
    const { keep, sealed, durable, ...rest } = read({ file, variables, flags: { "queue-ttl": "4m" } });
    expect(rest["queue-ttl"]).toEqual({ value: 240_000, origin: "flag", place: "--queue-ttl" });
    expect(keep).toEqual({ value: 86_400_000, origin: "file", place: "/etc/usmp/gateway.yaml:2" });
    expect(durable).toEqual({ value: true, origin: "file", place: "/etc/usmp/gateway.yaml:4" });
    expect(sealed).toEqual({ value: false, origin: "default" });
    expect(read({ file, variables })["queue-ttl"]).toEqual({
      value: 10_800_000,
      origin: "variable",
      place: "USMP_QUEUE_TTL",
    });
  });

  test("a flag takes back what the file says", () => {
    expect(read({ file, flags: { durable: "no" } }).durable).toMatchObject({ value: false, origin: "flag" });
    expect(read({ file: "dev: true\n", variables: { USMP_DEV: "off" } }).dev.value).toBe(false);
  });

  test("one of tcp and udp leaves the other off, wherever it was set", () => {
    expect(read({ variables: { USMP_UDP: ":9001" } })).toMatchObject({
      tcp: { value: null, origin: "default" },
      udp: { value: { host: undefined, port: 9001 } },
    });
    const both = read({ file: "tcp: 127.0.0.1:0\n", flags: { udp: "9001" } });
    expect(both).toMatchObject({ tcp: { value: { port: 0 } }, udp: { value: { port: 9001 } } });
    expect(read({ file: "tcp: off\n" })).toMatchObject({ tcp: { value: null }, udp: { value: { port: 9000 } } });
    expect(problem({ file: "tcp: off\nudp: off\n" })).toMatch(
      /gateway\.yaml:1 and .*gateway\.yaml:2: both are off.*; give/,
    );
  });

  test("a place of the master secret that is set more directly takes the others' place", () => {
    const configuration = read({ file: "master-sealed: sealed\n", flags: { "master-file": "m" } });
    expect(gatewayOptions(configuration, "/data").master).toEqual({ kind: "file", path: "/here/m" });
    expect(configuration["master-sealed"]).toEqual({ value: undefined, origin: "default" });
    expect(problem({ file: "master-sealed: a\nmaster-file: b\n" })).toMatch(
      /yaml:2 and .*yaml:1: master-file and master-sealed exclude each other; take/,
    );
  });

  test("a relative path begins at the file's directory, or at the current one", () => {
    expect(read({ file: "master-file: m\n" })["master-file"].value).toBe("/etc/usmp/m");
    expect(read({ variables: { USMP_MASTER_FILE: "m" } })["master-file"].value).toBe("/here/m");
  });
});

describe("a wrong one names its place, what was found, what is right", () => {
  test.each<[string, Places, RegExp]>([
    [
      "an unknown name in the file",
      { file: "\nqueue-tll: 1d\n" },
      /^\/etc\/usmp\/gateway\.yaml:2:1: "queue-tll" is no setting; did you mean "queue-ttl"\?$/,
    ],
    ["a name as the library writes it", { file: "queueTtl: 1d\n" }, /did you mean "queue-ttl"/],
    [
      "a name like none",
      { file: "colour: red\n" },
      /:1:1: "colour" is no setting; usmp gateway --print-config lists them$/,
    ],
    [
      "a setting that the file may not have",
      { file: "data: /srv\n" },
      /"data" is not set here, .*; use --data or USMP_DATA$/,
    ],
    [
      "a variable that is nearly a setting's",
      { variables: { USMP_QUEU_TTL: "1d" } },
      /^USMP_QUEU_TTL: .*; did you mean|did you mean USMP_QUEUE_TTL\?$/,
    ],
    ["a time without unit", { file: "keep: 7\n" }, /:1:7: keep 7: not a time; write 500ms, 30s, 15m, 12h or 7d$/],
    ["a time in words", { flags: { keep: "7 days" } }, /^--keep "7 days": not a time; write/],
    [
      "a size of nothing",
      { variables: { USMP_KEEP_BYTES: "0MiB" } },
      /^USMP_KEEP_BYTES "0MiB": not a size; write 64KiB/,
    ],
    [
      "a limit of zero",
      { file: "limit-sessions: 0\n" },
      /:1:17: limit-sessions 0: not a whole number from 1 to \d+; write/,
    ],
    ["a number with a point", { flags: { "limit-sessions": "1.5" } }, /^--limit-sessions "1\.5": not a whole number/],
    [
      "neither yes nor no",
      { file: "durable: maybe\n" },
      /:1:10: durable "maybe": neither yes nor no; write yes or no$/,
    ],
    [
      "an address without port",
      { file: "tcp: localhost\n" },
      /:1:6: tcp "localhost": the port is missing; write localhost:/,
    ],
    ["an address that is a list", { file: "udp: [1]\n" }, /:1:6: udp \[1\]: not an address; write HOST:PORT/],
    [
      "a database that is none",
      { flags: { database: "mysql://u:hush@h/d?x=hush" } },
      /^--database "mysql:\/\/…@h\/d\?…": not a database; write/,
    ],
    [
      "a variable's name that is none",
      { flags: { "master-variable": "a hush b" } },
      /^--master-variable: not the name/,
    ],
    ["an empty command", { flags: { "master-command": "  " } }, /^--master-command: an empty command; write/],
    ["a path that is a number", { file: "http-key: 1\n" }, /:1:11: http-key 1: not a path; write/],
    [
      "an origin with a path",
      { file: "http-allowed-origins:\n  - https://a.example\n  - https://b.example/x\n" },
      /:3:5: http-allowed-origins\[1\] "https:\/\/b\.example\/x": no origin; write/,
    ],
    [
      "a list that is a number",
      { file: "http-allowed-hosts: 1\n" },
      /http-allowed-hosts 1: not a list; write panel\.example/,
    ],
    [
      "a certificate without key",
      { file: "http-certificate: a.pem\n" },
      /yaml:1: a certificate and its key go together; set http-key too$/,
    ],
    ["a key without certificate", { flags: { "http-key": "a" } }, /^--http-key: .*; set http-certificate too$/],
    ["no list of sinks", { file: "sinks: file\n" }, /:1:8: sinks: not JSON; write/],
    ["sinks that are a map", { file: "sinks: {}\n" }, /:1:8: sinks \{\}: not a list of sinks; write/],
    [
      "a sink's field",
      { file: "sinks:\n  - { name: a, typ: file }\n" },
      /:2:21: sinks\[0\]\.typ: "typ" is no field of a sink; write "type"$/,
    ],
    [
      "a sink's option beside its options",
      { file: "sinks:\n  - { name: a, type: file, destination: x }\n" },
      /"destination" is no field of a sink; write name, type, devices or options/,
    ],
    ["a sink without type", { flags: { sinks: '[{"name":"a"}]' } }, /^--sinks\[0\]\.type undefined: not a type; write/],
    [
      "a sink without name",
      { flags: { sinks: '[{"type":"file"}]' } },
      /^--sinks\[0\]\.name undefined: not a name; write/,
    ],
    [
      "two sinks of one name",
      { file: "sinks:\n  - { name: a, type: file }\n  - { name: a, type: file }\n" },
      /:3:13: sinks\[1\]\.name "a": two sinks have it; write another$/,
    ],
    ["a sink that is text", { file: "sinks: [x]\n" }, /:1:9: sinks\[0\] "x": not a sink; write/],
    [
      "devices of a sink",
      { flags: { sinks: '[{"name":"a","type":"file","devices":1}]' } },
      /devices 1: not a list of device ids; write/,
    ],
    [
      "options of a sink",
      { flags: { sinks: '[{"name":"a","type":"file","options":1}]' } },
      /options 1: not an object; write/,
    ],
    [
      "a file that is no YAML",
      { file: "keep: [1\n" },
      /^\/etc\/usmp\/gateway\.yaml:\d:\d: not YAML \(.*\); write lines such as/,
    ],
    ["a name twice", { file: "keep: 1d\nkeep: 2d\n" }, /:2:1: not YAML \(.*unique.*\); write/],
    ["a file that is one value", { file: "just text\n" }, /:1:1: no settings, but one value; write lines such as/],
    [
      "a bomb of aliases",
      { file: "sinks: &a []\nhttp-allowed-hosts: [*a]\n" },
      /:2:21: http-allowed-hosts: has an alias .*; write the value out$/,
    ],
  ])("%s", (_, places, message) => {
    expect(problem(places)).toMatch(message);
  });

  test("everything that is wrong at once, up to five", () => {
    const file = `${["keep", "queue-ttl", "tcp", "udp", "dev", "echo"].map((name) => `${name}: wrong`).join("\n")}\nkep: 1d\n`;
    const parts = problem({ file }).split(" | ");
    expect(parts).toHaveLength(6);
    expect(parts[0]).toContain('did you mean "keep"');
    expect(parts[5]).toBe("and 2 more");
  });

  test("variables of other programs are let be", () => {
    const variables = {
      USMP_PORT: "tcp://10.0.0.1:9000",
      USMP_SERVICE_HOST: "10.0.0.1",
      USMP_PSK_FILE: "x",
      USMP_MASTER: "y",
    };
    expect(read({ variables }).tcp.origin).toBe("default");
  });
});

describe("what is printed", () => {
  const lines = (places: Places): string[] => settingEvents(read(places)).map(settingLine);

  test("is a file that says the same", () => {
    const places: Places = {
      file: 'tcp: "[::1]:9001"\nhttp: :9100\nkeep: 90m\nkeep-bytes: 3MB\nhttp-allowed-hosts: [a.example]\nmaster-file: my master\n',
      flags: {
        durable: true,
        sinks: '[{"name":"a","type":"file","devices":["02:00:00:00:00:01"],"options":{"path":"x y"}}]',
      },
    };
    const again = lines({
      file: lines(places)
        .filter((line) => !line.startsWith("data:"))
        .join("\n"),
    });
    const values = (all: string[]): string[] => all.map((line) => line.replace(/ +# [^#]*$/, ""));
    expect(values(again)).toEqual(values(lines(places)));
  });

  test("has no secret", () => {
    const options = {
      url: "https://hush:hush@sink.example/x?hush=1",
      secret: "hush",
      headers: { a: "hush" },
      secretFile: "/run/known",
    };
    const text = lines({
      flags: {
        database: "postgres://usmp:hush@db.example/usmp?password=hush",
        "master-command": "/usr/bin/kms --token hush",
        sinks: JSON.stringify([{ name: "a", type: "webhook", options }]),
      },
    }).join("\n");
    expect(text).not.toContain("hush");
    expect(text).toContain("postgres://usmp:…@db.example/usmp");
    expect(text).toContain("/usr/bin/kms …");
    expect(text).toContain("/run/known");
  });
});

describe("the defaults", () => {
  test("are those of the parts that they belong to", () => {
    const options = gatewayOptions(read({}), "/data");
    expect(options.messages).toEqual(DEFAULT_MESSAGE_SETTINGS);
    expect(options).toMatchObject({
      limits: {},
      http: undefined,
      sinks: [],
      database: undefined,
      development: false,
      master: { kind: "file", path: "/data/master" },
      tcp: { port: 9000 },
      udp: { port: 9000 },
    });
  });

  test("every setting reaches the gateway", () => {
    const options = gatewayOptions(
      read({
        file: "http: 0.0.0.0:1\nhttp-insecure: yes\nhttp-allowed-hosts: [a.example]\nhttp-allowed-origins: [https://a.example]\nhttp-key: k\nhttp-certificate: c\nlimit-proven: 12h\nlimit-sessions: 7\nmaster-command: a  b\n",
      }),
      "/data",
    );
    expect(options.limits).toEqual({ provenMs: 43_200_000, sessions: 7 });
    expect(options.master).toEqual({ kind: "command", words: ["a", "b"] });
    expect(options.http).toEqual({
      host: "0.0.0.0",
      port: 1,
      tls: { certificateFile: "/etc/usmp/c", keyFile: "/etc/usmp/k" },
      insecure: true,
      allowedHosts: ["a.example"],
      allowedOrigins: ["https://a.example"],
    });
  });

  test("names are words with dashes, as flags, variables and YAML take them", () => {
    for (const name of SETTING_NAMES) expect(name).toMatch(/^[a-z]+(-[a-z]+)*$/);
  });
});
