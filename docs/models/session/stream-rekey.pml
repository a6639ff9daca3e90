/*
 * REKEY over an in-order transport: nothing is lost, every frame is the next one or the end of the connection.
 *
 * One end or both follow our rules (docs/rekey.md; packages/protocol/src/record/stream-epochs.ts) or those of the field's SDK, which
 * swaps both keys at once on sending and on receiving REKEY. packages/protocol/test/models walks two real connections along
 * random runs of this file.
 *
 *   -DC_REF -DS_REF            the client, the server is the field's SDK
 *   -DC_REKEYS=n -DS_REKEYS=n  how often each side rekeys
 *   -DC_MSGS=n -DS_MSGS=n      messages of each side
 *   -DQUIET_LINE               a REKEY begins only when nothing is on its way in either direction
 *   -DTRACE -DRUNS=n           print every step of n runs, for the walk
 *   -DMUT_...                  a rule left out; it must fail
 */
#ifndef C_REKEYS
#define C_REKEYS 0
#endif
#ifndef S_REKEYS
#define S_REKEYS 0
#endif
#ifndef C_MSGS
#define C_MSGS 3
#endif
#ifndef S_MSGS
#define S_MSGS 3
#endif
#ifndef RUNS
#define RUNS 1
#endif
#ifdef C_REF
#define FIELD_C 1
#else
#define FIELD_C 0
#endif
#ifdef S_REF
#define FIELD_S 1
#else
#define FIELD_S 0
#endif
#define C 0
#define S 1
#define isField(p) ((p) == C -> FIELD_C : FIELD_S)
/* Epochs are numbers: 0 is the handshake's, and each has one child for a REKEY of either side. */
#define child(e, who) (2 * (e) + 1 + (who))
#define MAX_READABLE 3
#define at(p, i) ((p) * MAX_READABLE + (i))

mtype = { DATA, REKEY };
mtype = { start, frame, message, rekey, finish };

/* A frame: type, epoch of its key, seq, the message's number. net[p]: from p to the other; a frame waits as long as it likes. */
chan net[2] = [8] of { mtype, byte, byte, byte };

byte sent[2], delivered[2];     /* of the messages of p */
byte toAsk[2];
byte txe[2], txSeq[2];
byte rd[6], rxSeq[6], rn[2];    /* readable epochs in the order in which the peer moves through them, and the next seq of each */
short run_number;

/* Why a run fails: pan prints the name. */
bool reordered, broken, diverged, undelivered, overfull;
#define must(why, condition) why = !(condition); assert(!why)

/* The step under way, and scratch. */
mtype t; byte e, s, v; byte p, i, n;
#ifdef TRACE
byte switched[2];
#define COUNT_SWITCH switched[p]++
#define STEP(name) printf("STEP %e %d\n", name, p)
#define SENT printf("SENT %e %d %d %d\n", t, e, s, v)
#define SHOW n = p; p = C; showEnd(); p = S; showEnd(); p = n; n = 0
inline showEnd() {
  printf("STATE %d %d %d %d :", p, txe[p], switched[p], delivered[p]);
  i = 0; do :: i < rn[p] -> printf(" %d", rd[at(p, i)]); i++ :: else -> break od; i = 0;
  printf("\n")
}
#else
#define COUNT_SWITCH skip
#define STEP(name) skip
#define SENT skip
#define SHOW skip
#endif

inline send(ty, value) {
  must(overfull, len(net[p]) < 8);
  t = ty; e = txe[p]; s = txSeq[p]; v = value;
  SENT; net[p]!t,e,s,v; txSeq[p]++;
  t = DATA; e = 0; s = 0; v = 0
}

inline sendUnder(ep) {
  txe[p] = ep; COUNT_SWITCH;
#ifdef MUT_CONTINUE_SEQ
  skip
#else
  txSeq[p] = 0
#endif
}

inline addReadable(ep) { rd[at(p, rn[p])] = ep; rxSeq[at(p, rn[p])] = 0; rn[p]++ }

inline readOnly(ep, next) {
  i = 0; do :: i < MAX_READABLE -> rd[at(p, i)] = 0; rxSeq[at(p, i)] = 0; i++ :: else -> break od; i = 0;
  rd[at(p, 0)] = ep; rxSeq[at(p, 0)] = next; rn[p] = 1
}

/* StreamEpochs.initiate(), after the REKEY was sealed. */
inline initiate() {
  n = child(txe[p], p);
  sendUnder(n);
  if
  :: isField(p) -> readOnly(n, 0)
#ifdef MUT_DROP_OLD_RX
  :: !isField(p) -> readOnly(n, 0)
#else
  :: !isField(p) -> addReadable(n)
#endif
  fi;
  n = 0
}

/* StreamEpochs.follow(): e is the epoch that the REKEY came under, by now the first that is readable. */
inline follow() {
  n = child(e, 1 - p);
  if
#ifdef MUT_CLIENT_YIELDS
  :: false
#else
#ifdef MUT_BOTH_WIN
  :: !isField(p) && rn[p] > 1 -> rd[at(p, 0)] = n; rxSeq[at(p, 0)] = 0
#else
#ifdef MUT_FORGET_LOSER
  :: !isField(p) && rn[p] > 1 && p == C -> readOnly(txe[p], 0)
#else
  :: !isField(p) && rn[p] > 1 && p == C -> rd[at(p, 0)] = n; rxSeq[at(p, 0)] = 0    /* R6: ours wins; what came under its epoch stays readable */
#endif
#endif
#endif
  :: else -> readOnly(n, 0); sendUnder(n)
  fi;
  n = 0
}

/* StreamEpochs.open(): the epoch in use, or the first frame of a later one, which retires those before it. */
inline arrive() {
  net[1 - p]?t,e,s,v;
  STEP(frame);
  i = 0; do :: i < rn[p] && !(rd[at(p, i)] == e && rxSeq[at(p, i)] == s) -> i++ :: else -> break od;
  must(broken, i < rn[p]);
  n = i; i = 0;
  if
  :: n > 0 && n < rn[p] ->
#ifdef MUT_KEEP_OLD
       rxSeq[at(p, n)]++
#else
       do
       :: n > 0 -> i = 0;
            do :: i + 1 < rn[p] -> rd[at(p, i)] = rd[at(p, i + 1)]; rxSeq[at(p, i)] = rxSeq[at(p, i + 1)]; i++ :: else -> break od;
            rn[p]--; rd[at(p, rn[p])] = 0; rxSeq[at(p, rn[p])] = 0; n--
       :: else -> break
       od;
       i = 0; rxSeq[at(p, 0)]++
#endif
  :: else -> rxSeq[at(p, 0)]++
  fi;
  n = 0;
  if
  :: t == DATA -> must(reordered, v == delivered[1 - p] + 1); delivered[1 - p]++
  :: t == REKEY -> follow()
  fi;
  t = DATA; e = 0; s = 0; v = 0; SHOW; p = 0
}

inline offerMessage() { STEP(message); sent[p]++; send(DATA, sent[p]); SHOW; p = 0 }
inline askRekey() { STEP(rekey); toAsk[p]--; send(REKEY, 0); initiate(); SHOW; p = 0 }

inline begin() {
  sent[C] = 0; sent[S] = 0; delivered[C] = 0; delivered[S] = 0; toAsk[C] = C_REKEYS; toAsk[S] = S_REKEYS;
  txe[C] = 0; txe[S] = 0; txSeq[C] = 0; txSeq[S] = 0; t = DATA;
  p = C; readOnly(0, 0); p = S; readOnly(0, 0); p = C;
#ifdef TRACE
  switched[C] = 0; switched[S] = 0;
#endif
  STEP(start)
}

inline end() {
  STEP(finish);
  must(undelivered, delivered[C] == C_MSGS && delivered[S] == S_MSGS);
  must(diverged, txe[C] == txe[S])
}

#define either(condition) if :: condition(C) -> p = C :: condition(S) -> p = S fi
#define mayArrive(x) (len(net[1 - x]) > 0)
#define mayOffer(x) (sent[x] < (x == C -> C_MSGS : S_MSGS))
#ifdef QUIET_LINE
#define calm (len(net[C]) + len(net[S]) == 0)
#else
#define calm true
#endif
/* Ours begins no second REKEY before the peer has followed the first. */
#ifdef MUT_UNSETTLED
#define settled(x) (rn[x] < MAX_READABLE)
#else
#define settled(x) (isField(x) || rn[x] == 1)
#endif
#define mayAsk(x) (toAsk[x] > 0 && calm && settled(x))
/* A side that must wait for its peer to follow would bring that about with a PING, which is not in here. */
#define nothingMoves (len(net[C]) + len(net[S]) == 0 && sent[C] == C_MSGS && sent[S] == S_MSGS && !mayAsk(C) && !mayAsk(S))

init {
  do
  :: run_number < RUNS ->
       atomic { run_number++; begin() };
       do
       :: atomic { either(mayArrive); arrive() }
       :: atomic { either(mayOffer); offerMessage() }
       :: atomic { either(mayAsk); askRekey() }
       :: atomic { nothingMoves -> end(); break }
       od
  :: else -> break
  od
}
