import { expect, it } from "vitest";
import { establishedDatagram, newDatagramClient, sent, sentTypes } from "../support/datagrams.ts";
import { ROLES, START } from "../support/fixtures.ts";
import { ascii } from "../support/hex.ts";
import { closeReason, establishedStream, framesFrom, newStreamServer, onlyFrame } from "../support/streams.ts";

it.each(ROLES)("dismiss() of a stream %s says BYE and ends with the reason that it was given", (role) => {
  const { machine, raw } = establishedStream(role);
  machine.dismiss({ code: "replaced" }, START);
  expect(raw.open(onlyFrame(framesFrom(machine))).type).toBe("BYE");
  expect(closeReason(machine)).toEqual({ code: "replaced" });
  machine.dismiss({ code: "aborted" }, START);
  expect(framesFrom(machine)).toEqual([]);
});

it.each(ROLES)("dismiss() of a datagram %s says BYE once, past what waits, and ends at once", (role) => {
  const { machine, raw } = establishedDatagram(role);
  machine.send(ascii("on its way"), START);
  machine.send(ascii("waiting"), START);
  sent(machine);
  machine.dismiss({ code: "replaced" }, START);
  const { frames } = sent(machine);
  expect(frames.map((frame) => raw.open(frame).type)).toEqual(["BYE"]);
  expect(closeReason(machine)).toEqual({ code: "replaced" });
  expect(machine.pollTimeout()).toBeUndefined();
});

it("dismiss() before there is a session says nothing", () => {
  const stream = newStreamServer();
  stream.dismiss({ code: "replaced" }, START);
  expect(framesFrom(stream)).toEqual([]);
  const datagram = newDatagramClient();
  sentTypes(datagram);
  datagram.dismiss({ code: "replaced" }, START);
  expect(sentTypes(datagram)).toEqual([]);
});
