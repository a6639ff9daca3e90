const SLASH = 0x2f;

export const LINE_COMMANDS = ["rekey", "ping", "reconnect", "bye", "stats", "help"] as const;
export type LineCommand = (typeof LINE_COMMANDS)[number];

export type LineMeaning =
  | { readonly do: "send"; readonly message: Uint8Array }
  | { readonly do: "run"; readonly command: LineCommand }
  | { readonly do: "refuse"; readonly problem: string };

/** What a line given to `usmp connect` means: a message, or a command that begins with a slash. `raw` makes all lines messages. */
export function readLine(line: Uint8Array, raw: boolean): LineMeaning {
  if (raw || line[0] !== SLASH) return { do: "send", message: line };
  if (line[1] === SLASH) return { do: "send", message: line.subarray(1) };
  const word = new TextDecoder().decode(line.subarray(1)).trimEnd();
  const command = LINE_COMMANDS.find((known) => known === word);
  if (command !== undefined) return { do: "run", command };
  const known = LINE_COMMANDS.map((name) => `/${name}`).join(" ");
  return {
    do: "refuse",
    problem: `/${word}: no such command (there are ${known}); to send it as a message, write //${word}`,
  };
}

export const LINE_HELP = `/ping   measure the round trip
/rekey  begin a new epoch with new keys
/stats  counters of this session
/reconnect  with --reconnect: try now instead of later
/bye    end the session
/help   this list
//text  send "/text" as a message`;
