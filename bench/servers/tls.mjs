/**
 * The yardstick: node:tls with TLS 1.3, an external PSK and an X25519 exchange (psk_dhe_ke, the mode OpenSSL asks for by default).
 *
 * Node hands the key over through OpenSSL's TLS 1.2 callback, which binds it to SHA-256: so the suite is TLS_AES_128_GCM_SHA256 and
 * cannot be AES-256. Session tickets are left as Node sends them; it has no switch for them in TLS 1.3.
 */
import { createServer } from "node:tls";
import { answerRequests } from "../child.mjs";
import { byteServer } from "./byte-server.mjs";

await answerRequests(
  byteServer((key, onSocket) =>
    createServer(
      {
        pskCallback: () => key,
        pskIdentityHint: "",
        minVersion: "TLSv1.3",
        ciphers: "TLS_AES_128_GCM_SHA256",
        ecdhCurve: "X25519",
        noDelay: true,
      },
      onSocket,
    ),
  ),
);
