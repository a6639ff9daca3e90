import { defaultCrypto } from "@usmp/crypto";
import { loadNative, type NativeSockets } from "@usmp/native";

/** The addon's, unless there is none or USMP_CRYPTO keeps it out. */
export function nativeSockets(): NativeSockets | undefined {
  const native = loadNative();
  return "crypto" in native && native.crypto === defaultCrypto() ? native.sockets : undefined;
}
