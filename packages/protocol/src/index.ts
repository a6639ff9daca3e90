import * as constants from "./constants.ts";

export {
  type ClientConfig,
  type ConnectionConfig,
  checkDeviceId,
  checkPsk,
  DEFAULT_REKEYING,
  DEFAULT_TIMING,
  type KeyLimits,
  parseRekeying,
  parseTiming,
  type Rekeying,
  type RekeyPolicy,
  type ServerConfig,
  type Timing,
} from "./connection/config.ts";
export { Connection, type ConnectionState } from "./connection/connection.ts";
export { Counters, type DropCause } from "./connection/counters.ts";
export { DatagramConnection, type DatagramOptions } from "./connection/datagram.ts";
export type { Datagram } from "./connection/datagram-channel.ts";
export { DatagramClient } from "./connection/datagram-client.ts";
export type { DatagramServer } from "./connection/datagram-server.ts";
export { DatagramEndpoint, type EndpointConfig } from "./connection/endpoint.ts";
export type {
  Address,
  AuthenticationFailure,
  Breach,
  CloseReason,
  ConnectionEvent,
  HandshakeAwait,
  Undelivered,
} from "./connection/events.ts";
export type { KeyLimit } from "./connection/key-life.ts";
export { StreamConnection, type StreamOptions } from "./connection/stream.ts";
export { StreamClient } from "./connection/stream-client.ts";
export { type StreamHost, StreamServer } from "./connection/stream-server.ts";
export { constantTimeEqual } from "./crypto/equal.ts";
export { canonicalHmacKey, isAllZero, rekeyInfo, sessionKeyInfo } from "./crypto/key-schedule.ts";
export type {
  CryptoProvider,
  KeyPair,
  RecordKey,
  Side,
  TrafficKeyRequest,
  TrafficKeys,
} from "./crypto/provider.ts";
export { Secret } from "./crypto/secret.ts";
export { UsageError, type UsageErrorCode, type Violation } from "./errors.ts";
export { Gate } from "./fairness/gate.ts";
export { DEFAULT_LIMITS, divideLimits, type Limits, parseLimits } from "./fairness/limits.ts";
export { Recent } from "./fairness/recent.ts";
export { sourceOf } from "./fairness/source.ts";
export { type Rate, TokenBucket } from "./fairness/token-bucket.ts";
export { WaitingRoom } from "./fairness/waiting-room.ts";
export { ProofTrial } from "./handshake/proof-trial.ts";
export { clientProof, serverProof, type Transcript } from "./handshake/transcript.ts";
export { nonceMatches, openFrame, plaintextLength, sealedLength, sealFrame } from "./record/protection.ts";
export { addMs, earliest, type Instant, instant } from "./time.ts";
export { copyBytes } from "./wire/bytes.ts";
export { crc16 } from "./wire/crc16.ts";
export {
  decodeFrame,
  encodeFrame,
  type Frame,
  FrameType,
  type FrameTypeName,
  frameCrc,
  frameTypeName,
  isSessionType,
  payloadOf,
  writeCrc,
  writeHeader,
} from "./wire/frame.ts";
export { Framer } from "./wire/framer.ts";
export {
  type Challenge,
  type Hello,
  parseChallenge,
  parseHello,
  parseHelloAck,
  parseHelloRetry,
  parseSessionOk,
  type SessionOk,
} from "./wire/message.ts";
export { FrameSlab } from "./wire/output.ts";
export { decodeUtack, encodeSealedUtack, encodeUtack, looksLikeUtack, type Utack } from "./wire/utack.ts";
/** Numbers of the spec, by name. */
export { constants };
