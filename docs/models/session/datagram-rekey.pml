/*
 * REKEY and acknowledgement over datagrams: stop and wait, on a network that loses, doubles, delays and reorders.
 *
 * One end or both follow our rules (docs/rekey.md, R1 to R6; packages/protocol/src: record/datagram-epochs.ts, connection/datagram.ts,
 * connection/lanes.ts) or those of the field's SDK. Each step is one call of the code: a datagram arrives, the application asks for
 * something, an alarm rings. packages/protocol/test/models walks two real connections along random runs of this file.
 *
 * Not in it: PING and PONG, BYE, addresses, forged datagrams (without a key they change nothing), and several frames in flight: a rekey
 * begins, and is acknowledged, only when nothing is on its way.
 *
 *   -DC_REF -DS_REF            the client, the server is the field's SDK
 *   -DC_REKEYS=n -DS_REKEYS=n  how often each side asks for a rekey
 *   -DNMSG=n                   messages each way; with -DFRAGMENTS each message takes two of them
 *   -DLOSS=n -DCOPIES=n        datagrams that are lost; that are doubled or delayed, the copy for as long as the network likes
 *   -DSEQ0=n                   where both ends begin to count
 *   -DALIAS=n                  a copy with a lower seq is acknowledged under its own key alone (64 in the code, R2)
 *   -DQUIET=n                  rounds of retransmission without a copy of the REKEY after which the hold ends (R4)
 *   -DRECEIVING                the SDK's application is always in recv()
 *   -DTRACE -DRUNS=n           print every step of n runs, for the walk
 *   -DMUT_...                  a rule left out; it must fail
 */
#ifndef C_REKEYS
#define C_REKEYS 0
#endif
#ifndef S_REKEYS
#define S_REKEYS 0
#endif
#ifndef LOSS
#define LOSS 0
#endif
#ifndef COPIES
#define COPIES 0
#endif
#ifndef NMSG
#define NMSG 2
#endif
#ifndef SEQ0
#define SEQ0 0
#endif
#ifndef ALIAS
#define ALIAS 0
#endif
#ifndef QUIET
#define QUIET 2
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
#define oursAlone (!FIELD_C && !FIELD_S)
#define bit(s) (1 << (s))
/* Epochs are numbers: 0 is the handshake's, and each has one child for a REKEY of either side. */
#define child(e, who) (2 * (e) + 1 + (who))
#define MAX_READABLE 4
#define at(p, i) ((p) * MAX_READABLE + (i))
#ifdef FRAGMENTS
#define midMessage(p) (sent[p] & 1)
#else
#define midMessage(p) 0
#endif
#define frozen(p) (hold[p] || (own[p] && !ownAcked[p]))
#define idle(p) (wt[p] == NONE && !midMessage(p))
#ifdef RECEIVING
#define busy(p) (isField(p) && len(inbox[p]) > 0)
#else
#define busy(p) 0
#endif
#define quietLink (len(net[C]) + len(net[S]) + len(inbox[C]) + len(inbox[S]) == 0 && !rt[C] && !rt[S])
#define waits(p) (wt[p] != NONE || (hold[p] && !owe[p]))
#define doneWith(p) (offered[p] == NMSG && toAsk[p] == 0 && queued[p] == 0 && !asked[p] && !waits(p) && !owe[p])

mtype = { DATA, REKEY, UTACK, NONE };
mtype = { lost, once, copied, late };
mtype = { start, datagram, copy, message, rekey, resend, pause, unhold, retire, finish };

/* A datagram: type, epoch of its key, seq, the message's number, the type that it acknowledges. net[p]: from p to the other. */
chan net[2] = [6] of { mtype, byte, byte, byte, mtype };
/* What the SDK's transport has acknowledged and its application has not yet asked for: 4,096 bytes in the field. */
chan inbox[2] = [3] of { mtype, byte, byte, byte };

/* What the step under way sends. */
chan out = [6] of { mtype, byte, byte, byte, mtype };

byte losses, copies;
/* The datagram that the network keeps a copy of, or holds up. */
mtype keptType; byte keptFrom, keptEpoch, keptSeq, keptValue; mtype keptAcks;

/* What each application did and got. */
byte offered[2];    /* messages handed over */
byte toAsk[2];      /* rekeys still to be asked for */
byte delivered[2];  /* delivered[p]: messages of p that the other's application got */
byte acked[2];      /* acked[p]: messages that p takes for delivered */

/* Sending: the frame on its way, what waits, and the next number. */
mtype wt[2]; byte we[2], ws[2], wv[2];
byte queued[2], sent[2], seq[2];
/* Our rules: DatagramEpochs. rd: readable epochs, oldest first, and the seqs that came under each. */
byte txe[2];
#ifdef TRACE
byte switched[2];
#define countSwitch switched[p]++
#else
#define countSwitch skip
#endif
byte rd[8]; short seen[8]; byte rn[2];
bool asked[2];
bool own[2], ownAcked[2], tied[2]; byte ownBase[2], ownNext[2];
bool hold[2]; byte heldNext[2]; byte quiet[2];
bool owe[2]; byte oweEpoch[2], oweSeq[2];
byte firstFragment[2];
/* The field's rules: one epoch for both directions, swapped at once. Its window is in seen[at(p, 0)]. */
byte cur[2]; byte tries[2];

bool rt[2];         /* this end's alarms of the round have not rung yet */
byte rounds;        /* of retransmission, since a message was last acknowledged */
short run_number;

/* Why a run fails: pan prints the name. */
bool reordered, unreadable, torn, lostAcked, gaveUp, stuck, diverged, undelivered;
#define must(why, condition) why = !(condition); assert(!why)

/* The step under way: whose, the datagram, and scratch. */
mtype t, ta; byte e, s, v; byte p, i, j, n; bool ok;

#ifdef TRACE
#define STEP(name) printf("STEP %e %d\n", name, p)
#define SENT(fate) printf("SENT %e %d %d %d %e %e\n", t, e, s, v, ta, fate)
byte acting;
#define SHOW acting = p; p = C; showEnd(); p = S; showEnd(); p = acting
inline showEnd() {
  countForgettable();
  printf("STATE %d %d %d %e %d %d %d %d %d :", p, txe[p], switched[p], wt[p], hold[p], owe[p], n, delivered[p], acked[p]);
  n = 0; j = 0; do :: j < rn[p] -> printf(" %d", rd[at(p, j)]); j++ :: else -> break od; j = 0;
  printf("\n")
}
#else
#define STEP(name) skip
#define SENT(fate) skip
#define SHOW skip
#endif

/* ---- the network ---- */

inline keep() { copies--; keptType = t; keptFrom = p; keptEpoch = e; keptSeq = s; keptValue = v; keptAcks = ta }

inline send(ty, ep, sq, vl, ac) { out!ty,ep,sq,vl,ac }

/* What one step has sent meets its fate. */
inline carry() {
  do
  :: nempty(out) ->
       out?t,e,s,v,ta;
       if
       :: losses > 0 -> losses--; SENT(lost)
       :: nfull(net[p]) -> net[p]!t,e,s,v,ta; SENT(once)
       :: copies > 0 && keptType == NONE && nfull(net[p]) -> keep(); net[p]!t,e,s,v,ta; SENT(copied)
       :: copies > 0 && keptType == NONE -> keep(); SENT(late)
       :: full(net[p]) -> SENT(lost)
       fi
  :: empty(out) -> break
  od;
  t = NONE; e = 0; s = 0; v = 0; ta = NONE
}

/* ---- our rules ---- */

/* i: where the epoch stands among the readable ones of p; rn[p] when it is none of them. */
inline find(ep) { i = 0; do :: i < rn[p] && rd[at(p, i)] != ep -> i++ :: else -> break od }

inline forgetOldest() {
  i = 0;
  do :: i + 1 < rn[p] -> rd[at(p, i)] = rd[at(p, i + 1)]; seen[at(p, i)] = seen[at(p, i + 1)]; i++ :: else -> break od;
  rn[p]--; rd[at(p, rn[p])] = 0; seen[at(p, rn[p])] = 0; i = 0
}

inline addReadable(ep) {
  if :: rn[p] == MAX_READABLE -> forgetOldest() :: else fi;
  rd[at(p, rn[p])] = ep; rn[p]++
}

/* The loser's epoch stands right behind the common one, before our own. */
inline addLoser(base, ep) {
  find(base); j = rn[p];
  do :: j > i + 1 -> rd[at(p, j)] = rd[at(p, j - 1)]; seen[at(p, j)] = seen[at(p, j - 1)]; j-- :: else -> break od;
  rd[at(p, i + 1)] = ep; seen[at(p, i + 1)] = 0; rn[p]++; i = 0; j = 0
}

inline sendUnder(ep) {
  txe[p] = ep; countSwitch;
#ifdef MUT_DROP_OLD_RX
  do :: rd[at(p, 0)] != ep -> forgetOldest() :: else -> break od
#endif
}

/* Connection.advance() and Lanes.pump(). */
inline advance() {
  if :: owe[p] && idle(p) -> owe[p] = 0; send(UTACK, oweEpoch[p], oweSeq[p], 0, REKEY); quiet[p] = 0; oweEpoch[p] = 0; oweSeq[p] = 0
     :: else fi;
#ifdef MUT_REKEY_INSIDE_MESSAGE
  if :: asked[p] && !own[p] && wt[p] == NONE && !frozen(p) ->
#else
  if :: asked[p] && !own[p] && idle(p) && !frozen(p) ->
#endif
        asked[p] = 0; own[p] = 1; ownAcked[p] = 0; tied[p] = 0; ownBase[p] = txe[p]; ownNext[p] = child(txe[p], p);
        addReadable(ownNext[p]);
        wt[p] = REKEY; we[p] = txe[p]; ws[p] = seq[p]; wv[p] = 0; seq[p]++;
        send(REKEY, we[p], ws[p], 0, NONE)
     :: else fi;
  if :: wt[p] == NONE && queued[p] > 0 && (midMessage(p) || (!frozen(p) && !(asked[p] && !own[p]))) ->
        queued[p]--; sent[p]++;
        wt[p] = DATA; we[p] = txe[p]; ws[p] = seq[p]; wv[p] = sent[p]; seq[p]++;
        send(DATA, we[p], ws[p], wv[p], NONE)
     :: else fi
}

inline ourUtack() {
  if
  :: wt[p] != NONE && ta == wt[p] && s == ws[p] ->
       find(we[p]); j = (i < rn[p] -> i : rn[p] - 1); find(e);
#ifdef MUT_UTACK_UNDER_OLDER_KEY
       ok = (i < rn[p]);
#else
       ok = (i < rn[p] && i >= j);    /* R3: under its own key or a newer one */
#endif
       i = 0; j = 0;
       if
       :: ok ->
            if :: wt[p] == DATA -> acked[p]++; rounds = 0;
                    if :: !isField(1 - p) -> must(lostAcked, delivered[p] >= acked[p]) :: else fi
               :: wt[p] == REKEY -> ownAcked[p] = 1; sendUnder(ownNext[p])
            fi;
            wt[p] = NONE; we[p] = 0; ws[p] = 0; wv[p] = 0
       :: else
       fi;
       ok = 0
  :: else
  fi
}

/* DatagramEpochs.follow() and DatagramConnection.#onRekey(). */
inline follow() {
  n = child(e, 1 - p);
  if
#ifdef MUT_NO_TIEBREAK
  :: own[p] && ownBase[p] == e -> addReadable(n); own[p] = 0; hold[p] = 1; heldNext[p] = n;
       if :: wt[p] == REKEY -> wt[p] = NONE; we[p] = 0; ws[p] = 0 :: else fi;
       owe[p] = 1; oweEpoch[p] = e; oweSeq[p] = s
#else
  :: own[p] && ownBase[p] == e && p == C && !tied[p] -> tied[p] = 1;    /* R6: ours wins; what comes under its epoch stays readable */
#ifndef MUT_FORGET_LOSER
       addLoser(e, n);
#endif
       send(UTACK, e, s, 0, REKEY)
#endif
  :: !(own[p] && ownBase[p] == e) && (e != txe[p] || hold[p]) -> send(UTACK, e, s, 0, REKEY)    /* left behind */
#ifndef MUT_NO_TIEBREAK
  :: own[p] && ownBase[p] == e && tied[p] -> send(UTACK, e, s, 0, REKEY)
  :: own[p] && ownBase[p] == e && p == S -> followed()
#endif
  :: !(own[p] && ownBase[p] == e) && e == txe[p] && !hold[p] -> followed()
  fi;
  n = 0
}

inline followed() {
  addReadable(n); own[p] = 0; ownAcked[p] = 0;
  if :: wt[p] == REKEY -> wt[p] = NONE; we[p] = 0; ws[p] = 0 :: else fi;
#ifdef MUT_NO_HOLD
  sendUnder(n);
#else
  hold[p] = 1; heldNext[p] = n;
#endif
#ifdef MUT_NO_WITHHOLD
  send(UTACK, e, s, 0, REKEY); quiet[p] = 0
#else
  owe[p] = 1; oweEpoch[p] = e; oweSeq[p] = s    /* R4: advance() pays when nothing of ours is on its way */
#endif
}

inline accept() {
  seen[at(p, i)] = seen[at(p, i)] | bit(s);
  if
#ifdef MUT_NO_IMPLICIT_ACK
  :: own[p] && e == ownNext[p] && ownAcked[p] -> own[p] = 0
#else
  :: own[p] && e == ownNext[p] ->    /* R3: it acknowledges our REKEY */
       own[p] = 0;
       if :: !ownAcked[p] -> sendUnder(e); if :: wt[p] == REKEY -> wt[p] = NONE; we[p] = 0; ws[p] = 0 :: else fi
          :: else fi
#endif
  :: else ->
       if :: hold[p] && e == heldNext[p] -> hold[p] = 0; sendUnder(e); heldNext[p] = 0; quiet[p] = 0 :: else fi
  fi
}

inline ourCopy() {
  if
  :: t == REKEY && owe[p] -> skip
  :: else ->
       if :: t == REKEY -> quiet[p] = 0 :: else fi;
#ifdef MUT_NO_SECOND_UTACK
       skip
#else
       send(UTACK, e, s, 0, t);
#endif
#ifndef MUT_SINGLE_UTACK
       j = 0;    /* R2: under every key of the transition */
       do :: j < rn[p] -> if :: rd[at(p, j)] != e && s >= ALIAS -> send(UTACK, rd[at(p, j)], s, 0, t) :: else fi; j++
          :: else -> break od;
       j = 0
#endif
  fi
}

inline ourFrame() {
  find(e);
  if
  :: i == rn[p] ->    /* not authentic for us: nothing happens */
       i = 0;
       if :: oursAlone && t == DATA -> must(unreadable, v <= delivered[1 - p]) :: else fi
  :: i < rn[p] && (seen[at(p, i)] & bit(s)) -> i = 0;
#ifdef MUT_NO_REPLAY_WINDOW
       if :: t == DATA -> must(reordered, v == delivered[1 - p] + 1) :: else fi;
#endif
       ourCopy()
  :: else ->
       accept(); i = 0;
       if
       :: t == DATA ->
            must(reordered, v == delivered[1 - p] + 1); delivered[1 - p]++;
#ifdef FRAGMENTS
            if :: v & 1 -> firstFragment[p] = s :: else -> must(torn, s == firstFragment[p] + 1); firstFragment[p] = 0 fi;
#endif
            send(UTACK, e, s, 0, DATA)
       :: t == REKEY -> follow()
       fi
  fi
}

inline ourAlarm() {
  if
  :: wt[p] != NONE -> STEP(resend); send(wt[p], we[p], ws[p], wv[p], NONE)
  :: wt[p] == NONE && hold[p] && !owe[p] && quiet[p] < QUIET -> STEP(pause); quiet[p]++
  :: wt[p] == NONE && hold[p] && !owe[p] && quiet[p] >= QUIET ->
       STEP(unhold); hold[p] = 0; sendUnder(heldNext[p]); heldNext[p] = 0; quiet[p] = 0
  :: wt[p] == NONE && !(hold[p] && !owe[p]) -> STEP(pause)
  fi
}

/* R1: n, the number of epochs that nothing needs any more: those before the newest that the peer has shown, the one that we send under,
   the one of a frame on its way and the base of a REKEY of ours. */
inline countForgettable() {
  n = 0; i = 0;
  do :: i < rn[p] -> if :: seen[at(p, i)] != 0 -> n = i :: else fi; i++ :: else -> break od;
  find(txe[p]); if :: i < n -> n = i :: else fi;
  if :: wt[p] != NONE -> find(we[p]); if :: i < n -> n = i :: else fi :: else fi;
  if :: own[p] -> find(ownBase[p]); if :: i < n -> n = i :: else fi :: else fi;
#ifdef MUT_RETIRE_UNPROVEN
  find(txe[p]); n = i;
#endif
  i = 0
}

/* ---- the field's rules ---- */

inline fieldFrame() {
  if
  :: t == UTACK ->
       if :: wt[p] != NONE && ta == wt[p] && s == ws[p] && e == cur[p] ->
               if :: wt[p] == DATA -> acked[p]++; rounds = 0
                  :: wt[p] == REKEY -> cur[p] = child(cur[p], p); seq[p] = 0; seen[at(p, 0)] = 0    /* rekey() swaps both keys now */
               fi;
               wt[p] = NONE; tries[p] = 0
          :: else fi
  :: t != UTACK && len(inbox[p]) < 3 -> send(UTACK, cur[p], s, 0, t); inbox[p]!t,e,s,v    /* before it is authentic */
  :: t != UTACK && len(inbox[p]) == 3
  fi
}

inline fieldReceives() {
  inbox[p]?t,e,s,v;
  if
  :: e == cur[p] && !(seen[at(p, 0)] & bit(s)) ->
       seen[at(p, 0)] = seen[at(p, 0)] | bit(s);
       if :: t == DATA -> must(reordered, v == delivered[1 - p] + 1); delivered[1 - p]++
          :: t == REKEY -> cur[p] = child(cur[p], 1 - p); seq[p] = 0; seen[at(p, 0)] = 0
       fi
  :: else
  fi;
  t = NONE; e = 0; s = 0; v = 0
}

inline fieldAlarm() {
  if
  :: wt[p] != NONE && tries[p] < 4 -> tries[p]++; send(wt[p], we[p], ws[p], wv[p], NONE)
  :: wt[p] != NONE && tries[p] >= 4 -> must(gaveUp, 0)    /* OSError out of send() or rekey() */
  :: else
  fi
}

/* ---- steps ---- */

/* What the end p has done so far makes it send; then both ends can be compared with the code's. */
inline finishStep() {
  if :: !isField(p) -> advance() :: else fi;
  carry(); SHOW; p = 0
}

inline arrive() {
  net[1 - p]?t,e,s,v,ta;
  STEP(datagram);
  if :: isField(p) -> fieldFrame()
     :: !isField(p) && t == UTACK -> ourUtack()
     :: !isField(p) && t != UTACK -> ourFrame()
  fi;
  finishStep()
}

inline offerMessage() {
  STEP(message);
  offered[p]++;
  if
  :: isField(p) -> wt[p] = DATA; we[p] = cur[p]; ws[p] = seq[p]; wv[p] = offered[p]; seq[p]++; send(DATA, we[p], ws[p], wv[p], NONE)
  :: else -> queued[p]++;
#ifdef FRAGMENTS
       offered[p]++; queued[p]++
#endif
  fi;
  finishStep()
}

inline askRekey() {
  STEP(rekey);
  toAsk[p]--;
  if
  :: isField(p) -> wt[p] = REKEY; we[p] = cur[p]; ws[p] = seq[p]; wv[p] = 0; seq[p]++; send(REKEY, we[p], ws[p], 0, NONE)
  :: else -> asked[p] = 1
  fi;
  finishStep()
}

inline alarm() {
  rt[p] = 0;
  if :: isField(p) -> fieldAlarm() :: else -> ourAlarm() fi;
  finishStep()
}

inline retireOld() {
  countForgettable();
  if
  :: n > 0 -> STEP(retire); do :: n > 0 -> forgetOldest(); n-- :: else -> break od; finishStep()
  :: else -> p = 0
  fi
}

inline copyArrives() {
  p = keptFrom;
  STEP(copy);
  net[p]!keptType,keptEpoch,keptSeq,keptValue,keptAcks;
  keptType = NONE; keptFrom = 0; keptEpoch = 0; keptSeq = 0; keptValue = 0; keptAcks = NONE; p = 0
}

inline end() {
  STEP(finish);
  must(undelivered, delivered[C] == NMSG && delivered[S] == NMSG && acked[C] == NMSG && acked[S] == NMSG);
  if :: oursAlone -> must(diverged, txe[C] == txe[S])    /* so the next REKEY has a common base */
     :: else -> must(diverged, (FIELD_C -> cur[C] : txe[C]) == (FIELD_S -> cur[S] : txe[S]))
  fi
}

inline begin() {
  losses = LOSS; copies = COPIES; keptType = NONE; rounds = 0; t = NONE; ta = NONE;
  toAsk[C] = C_REKEYS; toAsk[S] = S_REKEYS;
  do
  :: i < 2 ->
       offered[i] = 0; delivered[i] = 0; acked[i] = 0; wt[i] = NONE; sent[i] = 0; seq[i] = SEQ0; txe[i] = 0; rn[i] = 1;
       own[i] = 0; ownAcked[i] = 0; tied[i] = 0; ownBase[i] = 0; ownNext[i] = 0; cur[i] = 0; tries[i] = 0; i++
  :: else -> break
  od;
  i = 0; do :: i < 8 -> rd[i] = 0; seen[i] = 0; i++ :: else -> break od; i = 0;
#ifdef TRACE
  switched[C] = 0; switched[S] = 0;
#endif
  STEP(start)
}

/* Either end, where the condition holds for it. */
#define either(condition) if :: condition(C) -> p = C :: condition(S) -> p = S fi

/* An end of ours may be handed a message while a REKEY or the hold makes it wait; the SDK's send() waits itself. */
#define mayOffer(x) (offered[x] < NMSG && (isField(x) -> wt[x] == NONE && !busy(x) : queued[x] == 0 && wt[x] != DATA && !midMessage(x)))
/* A second rekey of ours would first bring a PING about, which is not in here. */
#define mayAsk(x) (toAsk[x] > 0 && (isField(x) -> wt[x] == NONE && !busy(x) : !asked[x] && !own[x]))
#define mayArrive(x) (len(net[1 - x]) > 0 && !busy(x))
#define mayRing(x) rt[x]
#define mayRetire(x) (!isField(x) && quietLink && idle(x) && !hold[x] && rn[x] > 1)

init {
  do
  :: run_number < RUNS ->
       atomic { run_number++; begin() };
       do
       :: atomic { either(mayArrive); arrive() }
       :: atomic { either(mayOffer); offerMessage() }
       :: atomic { either(mayAsk); askRekey() }
       :: atomic { either(mayRetire); retireOld() }
       :: atomic { nempty(inbox[C]) -> p = C; fieldReceives(); p = 0 }
       :: atomic { nempty(inbox[S]) -> p = S; fieldReceives(); p = 0 }
       :: atomic { either(mayRing); alarm() }
       :: atomic { quietLink && (waits(C) || waits(S)) ->
            rounds++; must(stuck, rounds <= LOSS + COPIES + 6 + 2 * QUIET); rt[C] = 1; rt[S] = 1 }
       :: atomic { keptType != NONE && nfull(net[keptFrom]) -> copyArrives() }
       :: atomic { doneWith(C) && doneWith(S) && quietLink && keptType == NONE -> end(); break }
       od
  :: else -> break
  od
}
