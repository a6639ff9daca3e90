export {
  AddressError,
  type ConnectAddress,
  checkHostAndPort,
  formatAddress,
  type ListenAddress,
  parseConnectAddress,
  parseListenAddress,
} from "./address.ts";
export { TransportError } from "./errors.ts";
export {
  MemoryNetwork,
  type MemoryStreamOptions,
  memoryDatagramPair,
  memoryStreamPair,
  type Scheduler,
} from "./memory.ts";
export { type ConnectTcpOptions, connectTcp, type ListenTcpOptions, listenTcp } from "./tcp.ts";
export type {
  ConnectedDatagramTransport,
  DatagramHandlers,
  DatagramTransport,
  PeerAddress,
  StreamHandlers,
  StreamListener,
  StreamTransport,
} from "./transport.ts";
export type { DatagramSender } from "./udp-batch.ts";
export { type BindUdpOptions, bindUdp, type ConnectUdpOptions, connectUdp } from "./udp.ts";
