//! The layout of a session frame (spec sections 2 and 4): header(12) || nonce(12) || ciphertext || tag(16).

use crate::crc;
use aws_lc_rs::aead::{Aad, LessSafeKey, NONCE_LEN, Nonce};
use zeroize::Zeroize;

const MAGIC: [u8; 2] = [0xcd, 0xab];
const VERSION: u8 = 2;
const DATA: u8 = 0x05;
const DATA_FRAG: u8 = 0x09;
const LAST_SEQ: u32 = u32::MAX;
const AAD_LENGTH: usize = 10;
const HEADER_LENGTH: usize = 12;
const TEXT_START: usize = HEADER_LENGTH + NONCE_LEN;
const TAG_LENGTH: usize = 16;
const MAX_PAYLOAD_LENGTH: usize = 480;

/// The session's part of every nonce.
pub const NONCE_PREFIX_LENGTH: usize = 8;

/// What a session frame has beside its text.
pub const OVERHEAD: usize = TEXT_START + TAG_LENGTH;

/// Seals a prepared frame in place, and writes its CRC. False when it is too short to be one.
pub fn seal(key: &LessSafeKey, frame: &mut [u8]) -> bool {
    if frame.len() < OVERHEAD {
        return false;
    }
    let (head, rest) = frame.split_at_mut(TEXT_START);
    let (text, tag_room) = rest.split_at_mut(rest.len() - TAG_LENGTH);
    let Ok(nonce) = Nonce::try_assume_unique_for_key(&head[HEADER_LENGTH..]) else { return false };
    let Ok(tag) = key.seal_in_place_separate_tag(nonce, Aad::from(&head[..AAD_LENGTH]), text) else {
        return false;
    };
    tag_room.copy_from_slice(tag.as_ref());
    let crc = crc::of_frame(frame);
    frame[AAD_LENGTH..HEADER_LENGTH].copy_from_slice(&crc.to_le_bytes());
    true
}

/// Opens a frame into `out`, which is exactly as long as its text. False, with `out` zeroed, when the tag does not verify.
pub fn open(key: &LessSafeKey, frame: &[u8], out: &mut [u8]) -> bool {
    let (head, rest) = frame.split_at(TEXT_START);
    let (text, tag) = rest.split_at(rest.len() - TAG_LENGTH);
    let opened = Nonce::try_assume_unique_for_key(&head[HEADER_LENGTH..])
        .and_then(|nonce| key.open_separate_gather(nonce, Aad::from(&head[..AAD_LENGTH]), text, tag, out));
    if opened.is_err() {
        out.zeroize();
    }
    opened.is_ok()
}

/// The whole frame that `bytes` begins with, by its length field alone.
pub fn first(bytes: &[u8]) -> Option<&[u8]> {
    let payload_length = usize::from(u16::from_le_bytes(*bytes.get(8..)?.first_chunk()?));
    bytes.get(..HEADER_LENGTH + payload_length)
}

/// The data frame that `bytes` begins with, when nothing is wrong with it but, perhaps, its tag. The checks are those of the core, in
/// its order (spec P6: the CRC before any cryptography).
pub fn first_data<'a>(bytes: &'a [u8], seq: u32, prefix: &[u8; NONCE_PREFIX_LENGTH]) -> Option<&'a [u8]> {
    let frame = first(bytes)?;
    let well_formed = frame.len() >= OVERHEAD
        && frame.len() <= HEADER_LENGTH + MAX_PAYLOAD_LENGTH
        && frame[..2] == MAGIC
        && frame[2] == VERSION
        && frame[AAD_LENGTH..HEADER_LENGTH] == crc::of_frame(frame).to_le_bytes();
    let expected = seq.to_le_bytes();
    let in_order = well_formed
        && matches!(frame[3], DATA | DATA_FRAG)
        && seq != LAST_SEQ
        && frame[4..8] == expected
        && frame[HEADER_LENGTH..HEADER_LENGTH + 4] == expected
        && frame[HEADER_LENGTH + 4..TEXT_START] == *prefix;
    in_order.then_some(frame)
}
