export { type Loaded, type LoadedNative, loadNative, type NotLoaded } from "./load.ts";
export type { NativeSockets } from "./sockets.ts";
