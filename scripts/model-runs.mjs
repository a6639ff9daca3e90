/** What the "models" stage checks: each run of a model, and what must come of it. */

/**
 * @typedef {object} SpinRun
 * @property {string} model in docs/models/session
 * @property {string} options of the model, described at its top
 * @property {string} expect "holds", or the name of the rule that must break
 * @property {string} why
 */

const DATAGRAM = "datagram-rekey.pml";
const STREAM = "stream-rekey.pml";
const BOTH = "C_REKEYS=1 S_REKEYS=1";
const FIELD_FOLLOWS = "S_REF C_REKEYS=1 LOSS=2 SEQ0=4";
const FIELD_REKEYS = "S_REF S_REKEYS=1 NMSG=2 RECEIVING ALIAS=15";
const STREAM_BOTH = "C_REKEYS=2 S_REKEYS=2 C_MSGS=2 S_MSGS=2";

/** @param {string} expect @param {string} options @param {string} why @returns {SpinRun} */
const datagram = (expect, options, why) => ({ model: DATAGRAM, expect, options, why });
/** @param {string} expect @param {string} options @param {string} why @returns {SpinRun} */
const stream = (expect, options, why) => ({ model: STREAM, expect, options, why });

/** The long searches first, so that two cores are busy to the end. @type {readonly SpinRun[]} */
export const SPIN_RUNS = [
  datagram("holds", `${BOTH} COPIES=2 NMSG=1`, "ours with ours, both at once, copies and delays"),
  datagram("holds", "C_REKEYS=1 LOSS=2 COPIES=1 NMSG=2", "ours with ours, one rekeys"),
  datagram("holds", `${BOTH} LOSS=1 COPIES=1 NMSG=1`, "ours with ours, both at once, a loss and a copy"),
  datagram("holds", `${BOTH} LOSS=2 NMSG=2`, "ours with ours, both at once, two losses"),
  datagram("holds", `${FIELD_FOLLOWS} COPIES=1 NMSG=1`, "ours rekeys, the field follows, its old seqs above the new"),
  datagram("holds", `${FIELD_REKEYS} LOSS=2`, "the field rekeys while its application receives, ours follows"),
  datagram("holds", `${BOTH} LOSS=1 NMSG=2 FRAGMENTS`, "ours with ours, messages of two frames"),
  datagram("holds", "C_REKEYS=2 S_REKEYS=1 LOSS=1 NMSG=1", "ours with ours, rekey upon rekey"),
  datagram("holds", "S_REF LOSS=2 COPIES=1 NMSG=2", "ours with the field, nobody rekeys"),
  // R3 and R4 lock the same door twice: towards the field either is enough, and neither is not.
  datagram("holds", `${FIELD_REKEYS} LOSS=1 MUT_NO_HOLD`, "without the hold (R4), R3 in place"),
  datagram("holds", `${FIELD_REKEYS} LOSS=1 MUT_UTACK_UNDER_OLDER_KEY`, "without R3, the hold (R4) in place"),
  datagram("holds", `${FIELD_REKEYS} LOSS=2 QUIET=1`, "a hold of one retransmission, R3 in place"),

  datagram("undelivered", "C_REF S_REF C_REKEYS=1 NMSG=3", "field with field loses acknowledged data"),
  datagram("gaveUp", "C_REF S_REF C_REKEYS=1 LOSS=1 RECEIVING", "field with field: after one loss the ends differ"),
  datagram("gaveUp", `C_REF S_REF ${BOTH} RECEIVING`, "field with field: both at once"),
  datagram("gaveUp", `S_REF ${BOTH} RECEIVING`, "ours and the field at once (R8)"),
  datagram("undelivered", "S_REF S_REKEYS=1 NMSG=3", "the field rekeys while its application does not receive"),
  datagram("undelivered", "S_REF C_REKEYS=1 LOSS=2", "ours rekeys the field, its old seqs not above the new (R2)"),
  datagram("stuck", `${BOTH} LOSS=1 NMSG=1 MUT_DROP_OLD_RX`, "mutant of R1: the old key dropped at the switch"),
  datagram("stuck", `${BOTH} LOSS=1 NMSG=1 MUT_RETIRE_UNPROVEN`, "mutant of R1: old keys wiped before the proof"),
  datagram("reordered", `${BOTH} COPIES=1 NMSG=1 MUT_NO_REPLAY_WINDOW`, "mutant of R1: no window for each epoch"),
  datagram("stuck", `${BOTH} LOSS=1 NMSG=1 MUT_NO_SECOND_UTACK`, "mutant of R2: a copy is not acknowledged"),
  datagram("gaveUp", `${FIELD_FOLLOWS} NMSG=2 MUT_SINGLE_UTACK`, "mutant of R2: one UTACK for an old copy"),
  datagram(
    "undelivered",
    "S_REF S_REKEYS=1 NMSG=2 RECEIVING LOSS=1 COPIES=1 ALIAS=0",
    "mutant of R2: two for a low seq",
  ),
  datagram(
    "undelivered",
    `${FIELD_REKEYS} LOSS=1 MUT_NO_HOLD MUT_UTACK_UNDER_OLDER_KEY`,
    "mutant of R3 and R4: a UTACK under an older key, no hold",
  ),
  datagram(
    "undelivered",
    `${FIELD_REKEYS} LOSS=1 QUIET=0 MUT_UTACK_UNDER_OLDER_KEY`,
    "mutant of R3 and R4: a UTACK under an older key, a hold that is too short",
  ),
  datagram("diverged", `${BOTH} QUIET=0 LOSS=1 MUT_NO_IMPLICIT_ACK`, "mutant of R3: no implicit acknowledgement"),
  datagram("reordered", `${FIELD_REKEYS} LOSS=1 MUT_NO_WITHHOLD`, "mutant of R4: the UTACK of REKEY not withheld"),
  datagram("diverged", `${BOTH} LOSS=1 NMSG=1 MUT_NO_TIEBREAK`, "mutant of R6: no tie-break"),
  datagram("unreadable", `${BOTH} LOSS=1 NMSG=1 MUT_FORGET_LOSER`, "mutant of R6: the loser's key not kept"),
  datagram("torn", `${BOTH} LOSS=1 FRAGMENTS MUT_REKEY_INSIDE_MESSAGE`, "mutant of R7: REKEY inside a message"),

  stream("holds", "C_REKEYS=1", "streams: ours with ours, one rekeys, frames in flight"),
  stream("holds", "C_REKEYS=2 S_REKEYS=2", "streams: ours with ours, both rekey, twice"),
  stream("holds", "S_REF C_REKEYS=1", "streams: ours rekeys the field, frames in flight"),
  stream("holds", "S_REF S_REKEYS=1 C_MSGS=0", "streams: the field rekeys and we are silent"),
  stream(
    "holds",
    `${STREAM_BOTH} MUT_UNSETTLED`,
    "streams: a second REKEY before the first is followed (only more keys)",
  ),
  stream("broken", "S_REF S_REKEYS=1", "streams: the field rekeys with our frames in flight"),
  stream("broken", "S_REF S_REKEYS=1 QUIET_LINE", "streams: the same, on a line that was quiet until then"),
  stream("broken", "C_REF S_REF C_REKEYS=1", "streams: field with field, frames in flight"),
  stream("broken", "C_REF S_REF C_REKEYS=1 S_REKEYS=1 C_MSGS=0 S_MSGS=0", "streams: field with field, both at once"),
  stream("broken", "S_REF C_REKEYS=1 S_REKEYS=1 C_MSGS=0 S_MSGS=0", "streams: ours and the field at once (R8)"),
  stream("broken", `${STREAM_BOTH} MUT_DROP_OLD_RX`, "streams: mutant of R1: the initiator drops its old key"),
  stream("diverged", `${STREAM_BOTH} MUT_KEEP_OLD`, "streams: mutant of R1: the old key outlives the first new frame"),
  stream("broken", "S_REF C_REKEYS=1 MUT_CONTINUE_SEQ", "streams: mutant of R5: seq goes on"),
  stream("broken", `${STREAM_BOTH} MUT_CLIENT_YIELDS`, "streams: mutant of R6: both yield"),
  stream("diverged", `${STREAM_BOTH} MUT_BOTH_WIN`, "streams: mutant of R6: both win"),
  stream("broken", `${STREAM_BOTH} MUT_FORGET_LOSER`, "streams: mutant of R6: the loser's key not kept"),
];

/**
 * @typedef {object} VerifpalRun
 * @property {string} model in docs/models/handshake
 * @property {readonly string[]} fails the queries that fail, all others pass
 * @property {string} why
 */

/** By construction: the PSK is leaked on purpose, and the equivalence pairs ends of different sessions. */
const ALWAYS_FAIL = ["confidentiality? psk", "equivalence? kc1, ks1"];

/** @type {readonly VerifpalRun[]} */
export const VERIFPAL_RUNS = [
  { model: "usmp_v2.vp", fails: ALWAYS_FAIL, why: "the handshake" },
  {
    model: "mutants/v1_no_pubS.vp",
    fails: [
      "confidentiality? m1",
      "confidentiality? psk",
      "authentication? Server -> Client: e2",
      "equivalence? kc1, ks1",
    ],
    why: "mutant: the server's public key not in the proofs",
  },
  {
    model: "mutants/v3_key_from_psk.vp",
    fails: ["confidentiality? m1", "confidentiality? m2", ...ALWAYS_FAIL],
    why: "mutant: keys from the PSK alone, no forward secrecy",
  },
];
export const VERIFPAL_QUERIES = 10;
