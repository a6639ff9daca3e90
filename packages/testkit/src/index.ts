export { type CountingCrypto, type CryptoCalls, countingCrypto } from "./counting-crypto.ts";
export { flipBits } from "./damage.ts";
export { FrameCutter } from "./frame-cutter.ts";
export {
  type Delivery,
  type Direction,
  type LinkCounts,
  type LinkEvent,
  type LinkTap,
  opposite,
} from "./link-events.ts";
export { datagramTransports, deliverOnClock, simulatedAddress, streamTransports } from "./link-transports.ts";
export { NonceLedger, NonceLedgerError } from "./nonce-ledger.ts";
export {
  PythonClient,
  type PythonConnectOptions,
  type PythonCrowdMember,
  type PythonProtocol,
  type PythonPsk,
  type PythonServeOptions,
  PythonServer,
} from "./python-peer.ts";
export { PythonError } from "./python-process.ts";
export {
  type ReplayCall,
  type Replayed,
  type ReplayScript,
  type ReplayStep,
  replayThroughSdk,
} from "./python-replay.ts";
export { PYTHON_SDK_VERSION, type PythonSdk, pythonSdk } from "./python-sdk.ts";
export type { PythonClose, PythonSession, PythonSessionState } from "./python-session.ts";
export { type CryptoScript, type ScriptedCrypto, scriptedCrypto } from "./scripted-crypto.ts";
export { type SdkEvent, SdkPeer } from "./sdk-model/peer.ts";
export { SdkTcpPeer } from "./sdk-model/tcp.ts";
export { SdkUdpClient, SdkUdpServer } from "./sdk-model/udp.ts";
export { seededCrypto } from "./seeded-crypto.ts";
export { SeededRandom } from "./seeded-random.ts";
export { runSeed, seeds, withSeed } from "./seeds.ts";
export {
  type DatagramConditions,
  type DatagramDelivery,
  DatagramLink,
  type DatagramLinkOptions,
  type Fate,
} from "./simulated-link.ts";
export { type StreamConditions, type StreamDelivery, StreamLink, type StreamLinkOptions } from "./simulated-stream.ts";
export {
  type RelayedConnection,
  type RelayedPiece,
  type Rewrite,
  TcpRelay,
  type TcpRelayOptions,
} from "./tcp-relay.ts";
export { toyCrypto } from "./toy-crypto.ts";
export { type RecordKeyWrapper, wrapRecordKeys } from "./traffic-key-observer.ts";
export { UdpRelay, type UdpRelayOptions } from "./udp-relay.ts";
export { VirtualClock } from "./virtual-clock.ts";
