import { join } from "node:path";
import type { GatewayOptions, MasterSource } from "@usmp/gateway";
import type { ListenOptions } from "usmp";
import { usage } from "../failure.ts";
import type { Configuration } from "./configuration.ts";
import { limitOf, SETTING_NAMES } from "./settings.ts";

type Configurable = Pick<
  GatewayOptions,
  | "dataDirectory"
  | "tcp"
  | "udp"
  | "limits"
  | "database"
  | "master"
  | "development"
  | "messages"
  | "http"
  | "sinks"
  | "securityLog"
  | "workers"
>;

/** What the settings mean to the gateway. Throws CommandError "usage" when two of them do not go together. */
export function gatewayOptions(configuration: Configuration, dataDirectory: string): Configurable {
  const value = <Name extends keyof Configuration>(name: Name): Configuration[Name]["value"] =>
    configuration[name].value;
  return {
    dataDirectory,
    tcp: value("tcp") ?? undefined,
    udp: value("udp") ?? undefined,
    limits: limits(configuration),
    database: value("database"),
    master: master(configuration, dataDirectory),
    development: value("dev"),
    messages: {
      durable: value("durable"),
      sealed: value("sealed"),
      keepMs: value("keep"),
      keepBytes: value("keep-bytes"),
      keepBytesPerDevice: value("keep-bytes-per-device"),
      queueTtlMs: value("queue-ttl"),
      queuePerDevice: value("queue-per-device"),
      queueBytesPerDevice: value("queue-bytes-per-device"),
      drainPerSecond: value("drain-per-second"),
    },
    http: http(configuration),
    sinks: value("sinks"),
    securityLog: value("security-log"),
    // One is this process alone; more are processes beside it.
    workers: value("workers") > 1 ? value("workers") : undefined,
  };
}

/** Only those that were set: the others' defaults may follow from them. */
function limits(configuration: Configuration): ListenOptions["limits"] {
  const set = SETTING_NAMES.flatMap((name) => {
    const field = limitOf(name);
    const { origin, value } = configuration[name];
    return field === undefined || origin === "default" ? [] : [[field, value] as const];
  });
  return Object.fromEntries(set);
}

function master(configuration: Configuration, dataDirectory: string): MasterSource {
  const sealed = configuration["master-sealed"].value;
  if (sealed !== undefined) return { kind: "sealed-file", path: sealed };
  const variable = configuration["master-variable"].value;
  if (variable !== undefined) return { kind: "variable", name: variable };
  const words = configuration["master-command"].value;
  if (words !== undefined) return { kind: "command", words };
  return { kind: "file", path: configuration["master-file"].value ?? join(dataDirectory, "master") };
}

function http(configuration: Configuration): GatewayOptions["http"] {
  const certificate = configuration["http-certificate"];
  const key = configuration["http-key"];
  if ((certificate.value === undefined) !== (key.value === undefined)) {
    const [there, missing] = key.value === undefined ? [certificate, "http-key"] : [key, "http-certificate"];
    throw usage(`${there.place}: a certificate and its key go together; set ${missing} too`);
  }
  const address = configuration.http.value;
  if (address === null) return undefined;
  return {
    host: address.host ?? "127.0.0.1",
    port: address.port,
    tls:
      certificate.value === undefined || key.value === undefined
        ? undefined
        : { certificateFile: certificate.value, keyFile: key.value },
    insecure: configuration["http-insecure"].value,
    allowedHosts: configuration["http-allowed-hosts"].value,
    allowedOrigins: configuration["http-allowed-origins"].value,
  };
}
