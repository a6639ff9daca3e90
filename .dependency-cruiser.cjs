/**
 * Who may import whom. The drawing is in docs/architecture.md; TypeScript's project references hold the same border
 * between packages, these rules hold it inside @usmp/protocol as well.
 */

/** Everything in `from` may import only itself, what `to` lists, and nothing else of this repository. */
const only = (name, from, to) => ({
  name,
  severity: "error",
  from: { path: `^${from}` },
  to: { path: "^(packages|apps)/", pathNot: [from, ...to].map((path) => `^${path}`) },
});

const protocol = (...layers) => layers.map((layer) => `packages/protocol/src/${layer}`);
const gateway = (...layers) => layers.map((layer) => `apps/gateway/src/${layer}`);
const base = protocol("errors\\.ts$", "time\\.ts$", "constants\\.ts$");
const wireAndCrypto = [...protocol("wire/", "crypto/"), ...base];
const index = (...names) => names.map((name) => `packages/${name}/src/index\\.ts$`);

module.exports = {
  forbidden: [
    { name: "no-cycles", severity: "error", from: {}, to: { circular: true } },
    { name: "no-unresolved", severity: "error", from: {}, to: { couldNotResolve: true } },

    // Between packages: only through another package's index.
    only("protocol-imports-no-package", "packages/protocol/src/", []),
    only("native-imports-protocol", "packages/native/src/", index("protocol")),
    only("crypto-imports-protocol-and-native", "packages/crypto/src/", index("protocol", "native")),
    only("transport-imports-no-package", "packages/transport/src/", []),
    only("usmp-imports-the-libraries", "packages/usmp/src/", index("protocol", "crypto", "native", "transport")),
    only("testkit-imports-the-libraries", "packages/testkit/src/", index("protocol", "crypto", "transport")),
    only("gateway-imports-the-libraries", "apps/gateway/src/", index("usmp", "protocol", "crypto")),
    only("cli-imports-usmp-and-gateway", "apps/cli/src/", [
      ...index("usmp", "protocol", "crypto"),
      "apps/gateway/src/index\\.ts$",
    ]),
    {
      name: "protocol-has-no-dependency",
      comment: "The core is sans-IO and runs anywhere: no Node module, no package from a registry.",
      severity: "error",
      from: { path: "^packages/protocol/src/" },
      to: { dependencyTypes: ["core", "npm", "npm-dev", "npm-peer", "npm-optional", "npm-no-pkg", "npm-unknown"] },
    },
    {
      name: "shipped-code-imports-declared-dependencies",
      severity: "error",
      from: { path: "^(packages/(?!testkit/)|apps/)[^/]+/(src|bin)/|^apps/[^/]+/bin/" },
      // A peer is one that its user declares.
      to: { dependencyTypes: ["npm-dev", "npm-no-pkg", "npm-unknown"], dependencyTypesNot: ["npm-peer"] },
    },

    // Inside the gateway: keys and storage know nothing of sockets, and the doctor sees a gateway as the command line does.
    only("gateway-master-and-keys-import-base", "apps/gateway/src/(master|keys|time)/", [
      ...gateway("(master|keys|time)/", "(records|errors)\\.ts$"),
      ...index("protocol", "usmp"),
    ]),
    only("gateway-storage-imports-keys", "apps/gateway/src/(registry|audit|backup)/", [
      ...gateway(
        "(registry|audit|backup|master|keys|time)/",
        "(records|errors)\\.ts$",
        "why/(cause|refusal-record)\\.ts$",
      ),
      ...index("protocol", "usmp"),
    ]),

    // Inside the core: connection -> handshake, record, recovery, fairness -> wire, crypto -> errors, time, constants.
    only("core-base-imports-base", "packages/protocol/src/(errors|time|constants)\\.ts$", base),
    only("core-wire-imports-base", "packages/protocol/src/wire/", base),
    // bytes.ts (little-endian reader and writer, concat) is the one wire file that knows nothing of frames.
    only("core-crypto-imports-base", "packages/protocol/src/crypto/", [...protocol("wire/bytes\\.ts$"), ...base]),
    only("core-handshake-imports-wire-and-crypto", "packages/protocol/src/handshake/", wireAndCrypto),
    only("core-record-imports-wire-and-crypto", "packages/protocol/src/record/", wireAndCrypto),
    only("core-recovery-imports-wire-and-crypto", "packages/protocol/src/recovery/", wireAndCrypto),
    only("core-fairness-imports-base", "packages/protocol/src/fairness/", base),
    only("core-connection-imports-the-rest", "packages/protocol/src/connection/", [
      ...protocol("handshake/", "record/", "recovery/", "fairness/"),
      ...wireAndCrypto,
    ]),
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    exclude: { path: "^(packages|apps)/[^/]+/dist/" },
    tsPreCompilationDeps: true, // type-only imports are imports too
    tsConfig: { fileName: "tsconfig.base.json" },
    enhancedResolveOptions: {
      exportsFields: ["exports"],
      conditionNames: ["usmp-source", "import", "node", "default"],
      extensions: [".ts", ".mjs", ".js"],
    },
  },
};
