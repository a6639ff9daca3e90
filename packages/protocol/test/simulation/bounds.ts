/**
 * What one connection may hold or do at once: the memory side of the oracles. Each is a number of the design; a change of the design
 * that needs another one changes it here, with its reason.
 */

/** Datagrams after one input: UTACKs under each live key, a window of frames with the rest of a message, a control frame. */
export const MAX_DATAGRAMS_PER_INPUT = 42;

/** Frames after one input on a stream: the answers to what one chunk held, and the messages that waited for a REKEY. */
export const MAX_EVENTS_PER_INPUT = 64;

/** Epochs whose keys one session holds: old, loser's, winner's and the one after. */
export const MAX_LIVE_EPOCHS = 4;

/** Messages of which a part is on its way: a whole congestion window. */
export const MAX_UNKNOWN = 32;

/** Moments at which something was due, in one schedule: what needs more goes round in circles. */
export const MAX_STEPS = 60_000;

/** Datagrams that wait in the socket of a process that is suspended; what comes more is lost. */
export const SOCKET_BUFFER = 64;
