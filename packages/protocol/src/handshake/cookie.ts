import { COOKIE_LENGTH } from "../constants.ts";
import { constantTimeEqual } from "../crypto/equal.ts";
import type { CryptoProvider } from "../crypto/provider.ts";
import { Secret } from "../crypto/secret.ts";
import { addMs, type Instant } from "../time.ts";
import type { Hello } from "../wire/message.ts";

/** A cookie is good for this long at least, and twice this at most (spec section 6). */
const ROTATION_MS = 30_000;
/** How much later than due shared secrets may come before a jar draws its own: another process's timer is late at times. */
const SHARED_GRACE_MS = 1_000;
const SECRET_LENGTH = 32;

/**
 * Address validation without state: the cookie in HELLO_RETRY is a MAC over the address that asked, its device id and its
 * public key, under a secret that changes every 30 s of monotonic time; this and the last secret are good.
 */
export class CookieJar {
  readonly #crypto: CryptoProvider;
  #current: Secret;
  #previous: Secret;
  #rotateAt: Instant;

  constructor(crypto: CryptoProvider, now: Instant) {
    this.#crypto = crypto;
    this.#current = this.#draw();
    this.#previous = this.#draw();
    this.#rotateAt = addMs(now, ROTATION_MS);
  }

  /** The cookie for a HELLO that came from `address`. */
  issue(address: string, hello: Hello, now: Instant): Uint8Array {
    this.#rotate(now);
    return this.#mac(this.#current, address, hello);
  }

  /** True when the HELLO brings back a cookie that was issued for the same address, id and key not long ago. */
  verify(address: string, hello: Hello & { readonly cookie: Uint8Array }, now: Instant): boolean {
    this.#rotate(now);
    return (
      constantTimeEqual(hello.cookie, this.#mac(this.#current, address, hello)) ||
      constantTimeEqual(hello.cookie, this.#mac(this.#previous, address, hello))
    );
  }

  /**
   * Takes secrets that other jars have as well, so that each verifies what any of them issued. They are to come every ROTATION_MS; when
   * they stay away for a second longer, this jar goes on with secrets of its own. They become this jar's to wipe.
   */
  share(current: Secret, previous: Secret, now: Instant): void {
    this.wipe();
    this.#current = current;
    this.#previous = previous;
    this.#rotateAt = addMs(now, ROTATION_MS + SHARED_GRACE_MS);
  }

  wipe(): void {
    this.#current.wipe();
    this.#previous.wipe();
  }

  #rotate(now: Instant): void {
    if (now < this.#rotateAt) return;
    this.#previous.wipe();
    // After a pause of more than one period the present secret is too old as well: its cookies would outlive 60 s.
    const late = now >= addMs(this.#rotateAt, ROTATION_MS);
    if (late) this.#current.wipe();
    this.#previous = late ? this.#draw() : this.#current;
    this.#current = this.#draw();
    // Counted from when it was due: a rotation that happens late must not lengthen the life of the cookies before it.
    this.#rotateAt = addMs(late ? now : this.#rotateAt, ROTATION_MS);
  }

  #draw(): Secret {
    const bytes = new Uint8Array(new ArrayBuffer(SECRET_LENGTH));
    this.#crypto.randomFill(bytes);
    return Secret.adopt(bytes);
  }

  #mac(secret: Secret, address: string, hello: Hello): Uint8Array {
    const where = Uint8Array.from(address, (character) => character.charCodeAt(0));
    // The fixed-length fields come first, so that no two inputs share one concatenation.
    return this.#crypto.hmacSha256(secret, [hello.deviceId, hello.publicKey, where]).subarray(0, COOKIE_LENGTH);
  }
}
