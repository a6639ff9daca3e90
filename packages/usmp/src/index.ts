export type { Breach, CloseReason, CryptoProvider, ProofTrial, RekeyPolicy } from "@usmp/protocol";
export { Secret, UsageError } from "@usmp/protocol";
export { AddressError, formatAddress, parseConnectAddress, parseListenAddress } from "@usmp/transport";
export type {
  ConnectOptions,
  LabelledPsk,
  ListenAddress,
  ListenLimits,
  ListenOptions,
  MessageHandler,
  Move,
  Peer,
  Psk,
  PskAnswer,
  PskLookup,
  Refusal,
  RekeySettings,
  Server,
  ServerStatistics,
  Session,
  SessionHandler,
  SessionHandlerContext,
  SessionSettings,
  SessionStatistics,
  TransportName,
  WaitOptions,
  WorkerApplication,
  WorkerEvent,
} from "./api.ts";
export { connect } from "./client.ts";
export { type Clock, systemClock } from "./clock.ts";
export { formatDeviceId, parseDeviceId } from "./device-id.ts";
export {
  ConnectError,
  DeliveryUnknownError,
  describeReason,
  ListenError,
  SessionClosedError,
  UsmpError,
  type UsmpErrorCode,
} from "./errors.ts";
export { listen } from "./listen.ts";
export {
  admitPsk,
  checkKeyStrength,
  estimateKeyBits,
  looksLikeHex,
  type ParsedKey,
  parseKey,
  type StrengthPolicy,
} from "./psk.ts";
export { PUBLISHED_KEY_TEXTS, publishedKey } from "./published-keys.ts";
export type {
  BackoffOptions,
  Delivery,
  DropReason,
  Fate,
  GiveUpOptions,
  Link,
  LinkEnd,
  LinkOptions,
  LinkState,
  LinkStatistics,
  OutboxOptions,
  ReconnectOptions,
  Wake,
  WakeSource,
} from "./reconnect/api.ts";
export { describeLinkEnd, LinkClosedError, OutboxFullError } from "./reconnect/errors.ts";
export { type NetworkChangesOptions, networkChanges } from "./reconnect/network-changes.ts";
