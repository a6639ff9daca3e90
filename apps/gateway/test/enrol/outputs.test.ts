import { stripVTControlCharacters } from "node:util";
import jsQR from "jsqr";
import { describe, expect, test } from "vitest";
import { describeKeyForms, keyForms } from "../../src/enrol/key-forms.ts";
import { nvsCommands, nvsCsv, nvsFileName } from "../../src/enrol/nvs.ts";
import { enrolmentUri, qrForTerminal } from "../../src/enrol/qr.ts";

/** A CommonJS module whose types say that its function is called default. */
const decode = jsQR as unknown as typeof jsQR.default;

const TEST_KEY = "4f11c76b64f4f9f4410580132d3fec12c1cdafcf3fdfbe17bca60d36bb2be2a6";
const device = { id: "7a:d3:e6:a9:9b:17", psk: TEST_KEY, generation: 3 };

describe("the two forms of a key", () => {
  test("are both written, named, and in the grammar of --psk", () => {
    expect(keyForms(TEST_KEY)).toEqual({
      raw: `hex:${TEST_KEY}`,
      rawBytes: 32,
      text: `text:${TEST_KEY}`,
      cutInC: false,
    });
    const lines = describeKeyForms(TEST_KEY).join("\n");
    expect(lines).toMatch(/RAW form, 32 bytes.*TEXT form, 64 characters/s);
    expect(lines).toContain(`hex:${TEST_KEY}`);
    expect(lines).toContain(`text:${TEST_KEY}`);
  });

  test("of a key of another length there is one", () => {
    expect(keyForms(`hex:${"a1".repeat(64)}`)).toMatchObject({ rawBytes: 64, text: undefined });
  });

  test("a zero byte is told, and zero digits across a byte's border are none", () => {
    expect(keyForms(`hex:${"11".repeat(31)}00`).cutInC).toBe(true);
    expect(keyForms(`hex:${"a0".repeat(16)}${"0b".repeat(16)}`).cutInC).toBe(false);
    expect(describeKeyForms(`hex:00${"11".repeat(31)}`).join("\n")).toContain("would cut it");
  });
});

describe("QR code", () => {
  test("what a terminal shows reads back as the enrolment", () => {
    const uri = enrolmentUri(device);
    expect(uri).toBe(`usmp:enrol?id=7a:d3:e6:a9:9b:17&generation=3&key=${TEST_KEY}`);
    expect(read(qrForTerminal(uri))).toBe(uri);
  });

  test("sets both colours on every line, and fits a terminal of 80 columns", () => {
    for (const line of qrForTerminal(enrolmentUri(device)).split("\n")) {
      expect(line.startsWith("\u001b[30;107m")).toBe(true);
      expect(line.endsWith("\u001b[0m")).toBe(true);
      expect(withoutColours(line).length).toBeLessThanOrEqual(80);
    }
  });
});

describe("NVS image input", () => {
  test("is the raw key as a blob, in the four columns of the partition generator", () => {
    expect(nvsCsv(device)).toBe(`key,type,encoding,value\nusmp,namespace,,\npsk,data,hex2bin,${TEST_KEY}\n`);
    expect(nvsCsv({ psk: `hex:${TEST_KEY}` })).toBe(nvsCsv(device));
    expect(nvsFileName(device.id)).toBe("7ad3e6a99b17.csv");
  });

  test("the commands encrypt it, flash it, and remove the file; paths are quoted when they must be", () => {
    const { encrypted, plain } = nvsCommands("out dir/7ad3e6a99b17.csv");
    expect(encrypted.join("\n")).toContain(
      "esp_idf_nvs_partition_gen encrypt 'out dir/7ad3e6a99b17.csv' 'out dir/7ad3e6a99b17.bin' 0x5000",
    );
    expect(encrypted.at(-1)).toBe("rm 'out dir/7ad3e6a99b17.csv'");
    expect(plain.join("\n")).toContain("generate 'out dir/7ad3e6a99b17.csv'");
    expect(plain.at(-1)).toContain("rm ");
    expect([...encrypted, ...plain].join("\n")).not.toContain(TEST_KEY);
  });
});

function withoutColours(text: string): string {
  return stripVTControlCharacters(text);
}

/** Reads a code as a camera would: characters to modules, modules to pixels. */
function read(shown: string): string | undefined {
  const lines = withoutColours(shown).split("\n");
  const columns = (lines[0] as string).length;
  const pixelsPerModule = 4;
  const width = columns * pixelsPerModule;
  const height = lines.length * 2 * pixelsPerModule;
  const image = new Uint8ClampedArray(width * height * 4).fill(255);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const module = Math.floor(y / pixelsPerModule);
      const character = lines[module >> 1]?.[Math.floor(x / pixelsPerModule)] ?? " ";
      const dark = character === "█" || character === (module % 2 === 0 ? "▀" : "▄");
      if (dark) image.fill(0, (y * width + x) * 4, (y * width + x) * 4 + 3);
    }
  }
  return decode(image, width, height)?.data;
}
