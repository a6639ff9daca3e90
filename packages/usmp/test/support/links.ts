import { defaultCrypto } from "@usmp/crypto";
import { SeededRandom, seededCrypto, VirtualClock } from "@usmp/testkit";
import type { Link, LinkState } from "usmp";
import { onTestFinished } from "vitest";
import { SimulatedNetwork } from "./simulated-network.ts";

export interface LinkOnNetwork {
  readonly network: SimulatedNetwork;
  readonly link: Link;
  readonly states: () => readonly LinkState[];
  readonly names: () => LinkState["name"][];
  readonly elapse: (milliseconds: number) => Promise<void>;
}

/** A link on a network of its own, and what it told. */
export async function begin(
  transport: "tcp" | "udp",
  reconnect: Parameters<SimulatedNetwork["link"]>[1] = {},
  mode: SimulatedNetwork["mode"] = "serves",
  options: Parameters<SimulatedNetwork["link"]>[2] = {},
): Promise<LinkOnNetwork> {
  const network = new SimulatedNetwork(new VirtualClock());
  network.mode = mode;
  const states: LinkState[] = [];
  const crypto = seededCrypto(defaultCrypto(), new SeededRandom(7));
  const onState = (state: LinkState): void => void states.push(state);
  const link = await network.link(transport, { ...reconnect, onState }, { crypto, ...options });
  onTestFinished(() => link.abort());
  return {
    network,
    link,
    states: () => states,
    names: () => states.map(({ name }) => name),
    elapse: (milliseconds: number) => network.clock.elapse(milliseconds),
  };
}
