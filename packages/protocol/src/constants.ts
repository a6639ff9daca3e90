/** Numbers of USMP wire version 2, by section of the spec; below them, the limits that are ours to choose. */

// Section 2: frame
export const MAGIC = 0xabcd;
export const VERSION = 0x02;
export const HEADER_LENGTH = 12;
export const CRC_OFFSET = 10;
export const MAX_PAYLOAD_LENGTH = 480;
export const MAX_FRAME_LENGTH: number = HEADER_LENGTH + MAX_PAYLOAD_LENGTH;

// Section 3: handshake
export const DEVICE_ID_LENGTH = 6;
export const PUBLIC_KEY_LENGTH = 32;
export const CHALLENGE_NONCE_LENGTH = 32;
export const PROOF_LENGTH = 32;
export const SESSION_ID_LENGTH = 16;
export const COOKIE_LENGTH = 16;
export const MIN_PSK_LENGTH = 16;

// Section 4: session frames
export const GCM_NONCE_LENGTH = 12;
export const TAG_LENGTH = 16;
/** Bytes that sealing adds to a plaintext: the clear nonce before it and the tag after it. */
export const SEALED_OVERHEAD: number = GCM_NONCE_LENGTH + TAG_LENGTH;
export const MAX_FRAGMENT_LENGTH: number = MAX_PAYLOAD_LENGTH - SEALED_OVERHEAD;
export const MAX_FRAGMENTS = 4;
export const MAX_MESSAGE_LENGTH: number = MAX_FRAGMENT_LENGTH * MAX_FRAGMENTS;
/** The last sequence number of an epoch; only BYE may carry it. */
export const LAST_SEQ = 0xffffffff;
export const MAX_CONTROL_FRAMES_PER_SECOND = 8;
export const REPLAY_WINDOW_SIZE = 64;

// Section 5: rekey
export const REKEY_SALT_LENGTH = 32;

// Section 6: UDP
export const UTACK_MAGIC = 0xacac;
export const UTACK_LENGTH = 7;
export const UTACK_MAC_LENGTH = 8;
/** HELLO with a cookie has this payload length; it belongs to UDP alone. */
export const COOKIE_HELLO_LENGTH: number = DEVICE_ID_LENGTH + PUBLIC_KEY_LENGTH + COOKIE_LENGTH;

// Ours: settings have these defaults (milliseconds)
export const DEFAULT_HANDSHAKE_TIMEOUT_MS = 10_000;
export const DEFAULT_KEEPALIVE_MS = 30_000;
export const DEFAULT_IDLE_TIMEOUT_MS = 60_000;
