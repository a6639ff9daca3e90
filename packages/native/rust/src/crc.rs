//! CRC-16/IBM of spec section 2: reflected polynomial 0xA001, initial 0xFFFF, no final xor.

/// x^16 + x^15 + x^2 + 1 is sparse, and so are its powers of two: P^64 = x^1024 + x^960 + x^128 + 1. In words of 64 bits, the word that
/// leads a message by 16 can be dropped after it was added to those 1, 14 and 16 places behind it: three xors for eight bytes.
const LEAD: usize = 16;
const WORD: usize = 8;

/// Below this the tables alone are as fast.
const FOLD_FROM: usize = 192;
/// The longest payload that is folded; a frame has 480 bytes.
const FOLD_TO: usize = 64 * WORD;

/// Slice n is the CRC of a byte value with n zero bytes behind it ("slicing-by-8").
static SLICES: [[u16; 256]; WORD] = slices();

/// The CRC of a frame's bytes 0..10 and 12.., that is of all but the CRC field; the frame has at least 12.
pub fn of_frame(frame: &[u8]) -> u16 {
    resume(resume(0xffff, &frame[..10]), &frame[12..])
}

fn resume(crc: u16, bytes: &[u8]) -> u16 {
    if !(FOLD_FROM..=FOLD_TO).contains(&bytes.len()) {
        return by_tables(crc, bytes);
    }
    let (whole, tail) = bytes.as_chunks::<WORD>();
    let mut words = [0u64; FOLD_TO / WORD];
    for (word, chunk) in words.iter_mut().zip(whole) {
        *word = u64::from_le_bytes(*chunk);
    }
    words[0] ^= u64::from(crc);
    let folded = whole.len() - LEAD;
    for i in 0..folded {
        let word = words[i];
        words[i + 1] ^= word;
        words[i + 14] ^= word;
        words[i + 16] ^= word;
    }
    let rest = words[folded..whole.len()].iter();
    let crc = rest.fold(0, |crc, word| by_tables(crc, &word.to_le_bytes()));
    by_tables(crc, tail)
}

fn by_tables(mut crc: u16, bytes: &[u8]) -> u16 {
    let (whole, tail) = bytes.as_chunks::<WORD>();
    for chunk in whole {
        let mut head = *chunk;
        head[0] ^= crc as u8;
        head[1] ^= (crc >> 8) as u8;
        crc = 0;
        for (slice, byte) in SLICES.iter().rev().zip(head) {
            crc ^= slice[usize::from(byte)];
        }
    }
    tail.iter().fold(crc, |crc, byte| (crc >> 8) ^ SLICES[0][usize::from(crc as u8 ^ byte)])
}

const fn slices() -> [[u16; 256]; WORD] {
    let mut table = [[0u16; 256]; WORD];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u16;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xa001 } else { crc >> 1 };
            bit += 1;
        }
        table[0][byte] = crc;
        byte += 1;
    }
    let mut n = 1;
    while n < WORD {
        byte = 0;
        while byte < 256 {
            let before = table[n - 1][byte];
            table[n][byte] = (before >> 8) ^ table[0][(before & 0xff) as usize];
            byte += 1;
        }
        n += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bitwise(mut crc: u16, bytes: &[u8]) -> u16 {
        for byte in bytes {
            crc ^= u16::from(*byte);
            for _ in 0..8 {
                crc = if crc & 1 == 1 { (crc >> 1) ^ 0xa001 } else { crc >> 1 };
            }
        }
        crc
    }

    #[test]
    fn gives_the_check_value_of_the_specification() {
        assert_eq!(resume(0xffff, b"123456789"), 0x4b37);
    }

    #[test]
    fn equals_the_definition_for_every_length_around_the_folds() {
        let bytes: Vec<u8> = (0u32..700).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        for length in 0..=bytes.len() {
            for crc in [0, 0xffff, 0xa5c3] {
                assert_eq!(resume(crc, &bytes[..length]), bitwise(crc, &bytes[..length]), "length {length}");
            }
        }
    }

    #[test]
    fn leaves_the_field_out() {
        let mut frame = [7u8; 40];
        let crc = of_frame(&frame);
        frame[10] = 1;
        frame[11] = 2;
        assert_eq!(of_frame(&frame), crc);
        frame[12] ^= 1;
        assert_ne!(of_frame(&frame), crc);
    }
}
