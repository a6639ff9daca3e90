import { expect, test } from "vitest";
import { LINE_COMMANDS, LINE_HELP, readLine } from "../src/line-command.ts";

const read = (line: string, raw = false) => readLine(Buffer.from(line), raw);
const sent = (line: string, raw = false) => {
  const meaning = read(line, raw);
  return meaning.do === "send" ? Buffer.from(meaning.message).toString() : meaning.do;
};

test("a line without a slash is a message, an empty one and one with a slash inside too", () => {
  for (const line of ["hello", "", " /ping", "a/b"]) expect(sent(line)).toBe(line);
});

test.each(LINE_COMMANDS)("/%s is a command, with blanks behind it too", (command) => {
  expect(read(`/${command}`)).toEqual({ do: "run", command });
  expect(read(`/${command}  `)).toEqual({ do: "run", command });
});

test("two slashes send one", () => {
  expect(sent("//ping")).toBe("/ping");
  expect(sent("///")).toBe("//");
});

test.each(["/", "/unknown", "/PING", "/rekey now", "/pin"])(
  "%s is no command, is not sent, and the way to send it is named",
  (line) => {
    const meaning = read(line);
    expect(meaning).toMatchObject({ do: "refuse", problem: expect.stringContaining(`write /${line}`) as string });
  },
);

test("raw sends every line as it is", () => {
  for (const line of ["/ping", "//ping", "/"]) expect(sent(line, true)).toBe(line);
});

test("the help names every command", () => {
  for (const command of LINE_COMMANDS) expect(LINE_HELP).toContain(`/${command}`);
});
