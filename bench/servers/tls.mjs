/**
 * The yardstick: node:tls with TLS 1.3, an external PSK and an X25519 exchange (psk_dhe_ke, the mode OpenSSL asks for by default).
 *
 * Node hands the key over through OpenSSL's TLS 1.2 callback, which binds it to SHA-256: so the suite is TLS_AES_128_GCM_SHA256 and
 * cannot be AES-256. Session tickets are left as Node sends them; it has no switch for them in TLS 1.3.
 */
import { createServer } from "node:tls";
import { answerRequests } from "../child.mjs";
import { collectGarbage } from "./garbage.mjs";

await answerRequests({
  serve({ psk }) {
    const key = Buffer.from(psk, "hex");
    const server = createServer(
      {
        pskCallback: () => key,
        pskIdentityHint: "",
        minVersion: "TLSv1.3",
        ciphers: "TLS_AES_128_GCM_SHA256",
        ecdhCurve: "X25519",
        noDelay: true,
      },
      (socket) => {
        socket.on("data", (bytes) => socket.write(bytes));
        socket.on("error", () => socket.destroy());
      },
    );
    return new Promise((resolve) => {
      server.listen({ host: "127.0.0.1", port: 0, backlog: 4096 }, () => {
        const address = server.address();
        resolve({ port: address !== null && typeof address === "object" ? address.port : undefined });
      });
    });
  },
  collect: collectGarbage,
});
