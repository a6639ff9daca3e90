/** What a unit is made from. Paths are absolute. */
export interface UnitParts {
  readonly scope: "system" | "user";
  readonly node: string;
  readonly program: string;
  /** system: below /var/lib, which systemd makes (StateDirectory). */
  readonly data: string;
  readonly config: string | undefined;
  /** A file with the master secret that only root can read; the service sees a copy of its own (systemd.exec(5), Credentials). */
  readonly masterCredential: string | undefined;
  /** Ports below 1024. */
  readonly lowPorts: boolean;
}

export const UNIT_NAME = "usmp-gateway.service";
/** The state directory of the system's service. */
export const SYSTEM_DATA = "/var/lib/usmp";

/** A unit of systemd 247 or newer, 250 with a credential. `usmp service install --dry-run` prints it. */
export function unitText(parts: UnitParts): string {
  const { scope, node, program, data, config, masterCredential } = parts;
  const words = [
    node,
    program,
    "gateway",
    "--data",
    data,
    ...(config === undefined ? [] : ["--config", config]),
    ...(masterCredential === undefined ? [] : ["--master-file", CREDENTIAL]),
  ];
  return [
    "# Written by: usmp service install. It writes it anew; put changes into a drop-in (systemctl edit usmp-gateway).",
    "[Unit]",
    "Description=USMP gateway",
    ...(scope === "system" ? ["Wants=network-online.target", "After=network-online.target time-sync.target"] : []),
    "StartLimitIntervalSec=300",
    "StartLimitBurst=10",
    "",
    "[Service]",
    // Node has no datagram sockets of the Unix domain, so there is no READY=1 to send: install and status ask the control socket instead.
    "Type=exec",
    `ExecStart=${words.map((word) => (word === CREDENTIAL ? word : quoted(word))).join(" ")}`,
    "# Lines of the pretty format would carry payloads into the journal.",
    "Environment=USMP_LOG_FORMAT=json",
    "Restart=on-failure",
    "RestartSec=2",
    "# Exit code 2: a wrong setting, which another start does not put right.",
    "RestartPreventExitStatus=2",
    "# SIGTERM says BYE to every device, which takes less than 5 s with 1,000 of them.",
    "TimeoutStopSec=15",
    "KillMode=mixed",
    "UMask=0077",
    "# Sessions and handshakes over TCP have a descriptor each.",
    "LimitNOFILE=65536",
    "# A core dump would hold keys.",
    "LimitCORE=0",
    ...(scope === "system" ? systemHardening(parts) : []),
    ...HARDENING,
    "",
    "[Install]",
    `WantedBy=${scope === "system" ? "multi-user.target" : "default.target"}`,
    "",
  ].join("\n");
}

/** %d: the directory of the service's credentials. */
const CREDENTIAL = "%d/master";

/** Needs no privilege of the manager, so that a user's own has it as well. */
const HARDENING = [
  "NoNewPrivileges=yes",
  "LockPersonality=yes",
  "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK",
  "RestrictNamespaces=yes",
  "RestrictRealtime=yes",
  "RestrictSUIDSGID=yes",
  "SystemCallArchitectures=native",
  "SystemCallFilter=@system-service",
  "SystemCallFilter=~@privileged",
  "SystemCallErrorNumber=EPERM",
  "# Not MemoryDenyWriteExecute: V8 compiles JavaScript while it runs.",
];

function systemHardening({ masterCredential, lowPorts }: UnitParts): string[] {
  const capability = lowPorts ? "CAP_NET_BIND_SERVICE" : "";
  return [
    "# A user that exists while the service runs, or the system's user usmp if there is one.",
    "DynamicUser=yes",
    "User=usmp",
    "StateDirectory=usmp",
    "StateDirectoryMode=0700",
    ...(masterCredential === undefined ? [] : [`LoadCredential=master:${escapePercent(masterCredential)}`]),
    "ProtectSystem=strict",
    "ProtectHome=yes",
    "PrivateTmp=yes",
    "PrivateDevices=yes",
    "ProtectClock=yes",
    "ProtectControlGroups=yes",
    "ProtectHostname=yes",
    "ProtectKernelLogs=yes",
    "ProtectKernelModules=yes",
    "ProtectKernelTunables=yes",
    "ProtectProc=invisible",
    "RemoveIPC=yes",
    `CapabilityBoundingSet=${capability}`,
    `AmbientCapabilities=${capability}`,
  ];
}

/** A word of ExecStart: systemd.service(5), Command lines, and systemd.unit(5), Specifiers. */
function quoted(word: string): string {
  const escaped = escapePercent(word).replaceAll("\\", "\\\\").replaceAll("$", "$$$$");
  return /^[\w/.:@%$+-]+$/.test(escaped) ? escaped : `"${escaped.replaceAll('"', '\\"')}"`;
}

function escapePercent(text: string): string {
  return text.replaceAll("%", "%%");
}
