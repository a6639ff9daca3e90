/** CRC-16/IBM, reflected polynomial 0xA001, one table row per byte value (spec section 2; "123456789" gives 0x4B37). */
const TABLE: Uint16Array = new Uint16Array(256).map((_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xa001 : crc >>> 1;
  return crc;
});

/** CRC of bytes[start..end), continuing from `crc` (initial 0xFFFF; no final xor), so that parts can be chained. */
export function crc16(bytes: Uint8Array, start = 0, end: number = bytes.length, crc = 0xffff): number {
  let value = crc;
  for (let i = start; i < end; i++) value = (value >>> 8) ^ (TABLE[(value ^ (bytes[i] as number)) & 0xff] as number);
  return value;
}
