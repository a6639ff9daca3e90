import { describe, expect, test } from "vitest";
import { parseDeviceTable } from "../../src/enrolment/device-table.ts";

const parse = (text: string) => parseDeviceTable(text, "fleet.csv");

describe("a table of devices", () => {
  test("without a heading has id, name, tags, key", () => {
    expect(parse("7a:d3:e6:a9:9b:17,Garden,outdoor battery,hex:00\n")).toEqual([
      { line: 1, id: "7a:d3:e6:a9:9b:17", name: "Garden", tags: ["outdoor", "battery"], key: "hex:00" },
    ]);
  });

  test("takes its columns from a heading, in any order and case, with a byte order mark and CRLF", () => {
    expect(parse("\uFEFFName,ID\r\nGarden,7a:d3:e6:a9:9b:17\r\n")).toEqual([
      { line: 2, id: "7a:d3:e6:a9:9b:17", name: "Garden", tags: [], key: undefined },
    ]);
  });

  test("quoted cells hold commas and quotes; comments and empty lines are left out; a missing id is one to be made", () => {
    const rows = parse('# fleet\n\n,"the ""big"", old one"\n,plain\n');
    expect(rows.map(({ line, id, name }) => ({ line, id, name }))).toEqual([
      { line: 3, id: undefined, name: 'the "big", old one' },
      { line: 4, id: undefined, name: "plain" },
    ]);
  });

  test.each([
    ["", "has no devices"],
    ["id,name\n", "has no devices"],
    ["id,colour\n1,2\n", 'line 1: there is no column "colour"'],
    ["a,b,c,d,e\n", "line 1: it has 5 columns"],
    ['aa:bb:cc:dd:ee:ff,"open\n', "line 1: a quote"],
    ['aa:bb:cc:dd:ee:ff,mid"dle\n', "line 1: a quote"],
    ["aa:bb:cc:dd:ee:ff\n\nAA:BB:CC:DD:EE:FF\n", "line 3: device AA:BB:CC:DD:EE:FF stands in line 1 already"],
  ])("%j is refused, naming file and line", (text, problem) => {
    expect(() => parse(text)).toThrow(problem);
    expect(() => parse(text)).toThrow("fleet.csv");
  });

  test("more devices than one file may have are refused", () => {
    expect(() => parse(",x\n".repeat(100_001))).toThrow("at most 100000");
  });
});
