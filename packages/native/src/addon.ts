/**
 * What the addon exports: rust/src/lib.rs, whose INTERFACE number is this file's. Handles are numbers, never 0; bytes pass in arrays of
 * the caller's, because an array that the addon makes costs more than what it does.
 */
export interface Addon {
  interfaceVersion(): number;
  /** The version of aws-lc-rs. */
  libraryVersion(): string;

  randomFill(out: Uint8Array): void;
  /** Of scratch[0..length), into scratch[0..32). */
  hmacSha256(key: Uint8Array, scratch: Uint8Array, length: number): void;

  /** The public key goes to scratch[0..32). */
  generateKeyPair(scratch: Uint8Array): number;
  importKeyPair(privateKey: Uint8Array, scratch: Uint8Array): number;
  wipeKeyPair(pair: number): boolean;

  /** scratch: peer's public key, 8 bytes of session id, salt, info. Answers 0 when the shared secret is all zero. */
  deriveTrafficKeys(
    pair: number,
    transmitIsFirst: boolean,
    scratch: Uint8Array,
    saltLength: number,
    infoLength: number,
  ): number;
  importTrafficKeys(first: Uint8Array, second: Uint8Array, transmitIsFirst: boolean, noncePrefix: Uint8Array): number;
  /** scratch: salt, info. */
  nextTrafficKeys(
    keys: number,
    initiatorIsUs: boolean,
    scratch: Uint8Array,
    saltLength: number,
    infoLength: number,
  ): number;
  wipeTrafficKeys(keys: number): boolean;

  seal(keys: number, transmit: boolean, frame: Uint8Array): void;
  sealRun(keys: number, transmit: boolean, bytes: Uint8Array, start: number, end: number): void;
  open(keys: number, transmit: boolean, frame: Uint8Array, out: Uint8Array): boolean;
  openRun(
    keys: number,
    transmit: boolean,
    bytes: Uint8Array,
    start: number,
    end: number,
    seq: number,
    out: Uint8Array,
  ): number;
  /** Of scratch[0..length), into scratch[0..8). */
  acknowledgementMac(keys: number, transmit: boolean, scratch: Uint8Array, length: number): void;
  /** Key pairs and traffic keys that this thread holds. */
  heldKeys(): number;

  /** Linux. The descriptor of a bound socket; throws an Error whose code is the errno as a decimal number. */
  reusePortSocket(udp: boolean, host: string, port: number): number;
  /** Linux. The table has 20 bytes for each of `count` datagrams: length u16, port u16, address (16). Answers how many are done with. */
  sendDatagrams(fd: number, ipv6: boolean, bytes: Uint8Array, table: Uint8Array, count: number): number;
}

/** The number that rust/src/lib.rs calls INTERFACE. */
export const INTERFACE_VERSION = 1;
