import type { EnrolledDevice } from "../control/methods.ts";
import { hexDigits } from "./key-forms.ts";

/** Namespace and entry that the snippets read: a blob of the raw key. The field's documents use the same names for a string. */
export const NVS_NAMESPACE = "usmp";
export const NVS_ENTRY = "psk";

/**
 * Input of Espressif's NVS partition generator: the raw key as a blob, which nvs_get_blob() and Preferences.getBytes() read. The
 * generator takes no comments. It holds the key: mode 0600, and gone once it is flashed.
 */
export function nvsCsv({ psk }: Pick<EnrolledDevice, "psk">): string {
  return `key,type,encoding,value\n${NVS_NAMESPACE},namespace,,\n${NVS_ENTRY},data,hex2bin,${hexDigits(psk)}\n`;
}

/** "7ad3e6a99b17.csv". */
export function nvsFileName(id: string): string {
  return `${id.replaceAll(":", "")}.csv`;
}

/**
 * The commands from such a file to a flashed device, first the encrypted way. Offset and size are those of the default partition
 * tables: ESP-IDF has 0x6000 bytes at 0x9000, Arduino 0x5000 there.
 */
export function nvsCommands(csv: string): { readonly encrypted: readonly string[]; readonly plain: readonly string[] } {
  const base = csv.replace(/\.csv$/, "");
  const name = base.slice(base.lastIndexOf("/") + 1);
  const directory = base.includes("/") ? base.slice(0, base.lastIndexOf("/")) : ".";
  const word = (path: string): string => (/^[\w./-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`);
  const flash = `esptool --chip auto write-flash 0x9000 ${word(`${base}.bin`)}`;
  return {
    encrypted: [
      "python3 -m pip install esp-idf-nvs-partition-gen esptool",
      `python3 -m esp_idf_nvs_partition_gen generate-key --outdir ${word(directory)} --keyfile ${word(`${name}-nvs.bin`)}`,
      `python3 -m esp_idf_nvs_partition_gen encrypt ${word(csv)} ${word(`${base}.bin`)} 0x5000 --inputkey ${word(`${directory}/keys/${name}-nvs.bin`)}`,
      flash,
      `esptool --chip auto write-flash NVS_KEYS_OFFSET ${word(`${directory}/keys/${name}-nvs.bin`)}   # NVS_KEYS_OFFSET: of the partition nvs_keys in your table`,
      `rm ${word(csv)}`,
    ],
    plain: [
      "python3 -m pip install esp-idf-nvs-partition-gen esptool",
      `python3 -m esp_idf_nvs_partition_gen generate ${word(csv)} ${word(`${base}.bin`)} 0x5000`,
      flash,
      `rm ${word(csv)} ${word(`${base}.bin`)}`,
    ],
  };
}
