//! The keys of one epoch of a session: both directions, and the 64 bytes that the next epoch is derived from.

use crate::binding::{Answer, Arguments, Fault};
use crate::exchange::PUBLIC_KEY_LENGTH;
use crate::frame::{self, NONCE_PREFIX_LENGTH};
use crate::store;
use aws_lc_rs::aead::{AES_256_GCM, LessSafeKey, UnboundKey};
use aws_lc_rs::agreement::{self, PrivateKey, UnparsedPublicKey, X25519};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use aws_lc_rs::hmac;
use zeroize::{Zeroize, Zeroizing};

const KEY_LENGTH: usize = 32;
const KEYS_LENGTH: usize = 2 * KEY_LENGTH;
const ACKNOWLEDGEMENT_MAC_LENGTH: usize = 8;

const SHORT_FRAME: Fault = Fault::Range("a session frame has at least 40 bytes");
const BAD_RANGE: Fault = Fault::Range("start and end must lie in the bytes, in this order");

/// A direction's expanded key is made when its first frame goes through, so that an idle session holds none. Dropping wipes all: the
/// derived bytes here, the expanded keys because aws-lc overwrites what it frees.
pub struct TrafficKeys {
    derived: [u8; KEYS_LENGTH],
    nonce_prefix: [u8; NONCE_PREFIX_LENGTH],
    transmit_is_first: bool,
    expanded: [Option<LessSafeKey>; 2],
}

impl Drop for TrafficKeys {
    fn drop(&mut self) {
        self.derived.zeroize();
    }
}

impl TrafficKeys {
    /// On the heap from the start: moving it would leave copies of the keys behind.
    fn new(nonce_prefix: [u8; NONCE_PREFIX_LENGTH], transmit_is_first: bool) -> Box<Self> {
        Box::new(Self { derived: [0; KEYS_LENGTH], nonce_prefix, transmit_is_first, expanded: [None, None] })
    }

    /// HKDF-SHA256 (RFC 5869) straight into its place.
    fn derive(mut self: Box<Self>, ikm: &[u8], salt: &[u8], info: &[u8]) -> Result<Box<Self>, Fault> {
        Salt::new(HKDF_SHA256, salt)
            .extract(ikm)
            .expand(&[info], DerivedLength)
            .and_then(|okm| okm.fill(&mut self.derived))
            .map_err(|_| Fault::Internal)?;
        Ok(self)
    }

    fn half(&self, transmit: bool) -> usize {
        usize::from(transmit != self.transmit_is_first)
    }

    fn raw(&self, transmit: bool) -> &[u8] {
        let half = self.half(transmit);
        &self.derived[half * KEY_LENGTH..][..KEY_LENGTH]
    }

    fn key(&mut self, transmit: bool) -> Result<&LessSafeKey, Fault> {
        let half = self.half(transmit);
        if self.expanded[half].is_none() {
            let key = UnboundKey::new(&AES_256_GCM, self.raw(transmit)).map_err(|_| Fault::Internal)?;
            self.expanded[half] = Some(LessSafeKey::new(key));
        }
        self.expanded[half].as_ref().ok_or(Fault::Internal)
    }
}

struct DerivedLength;
impl KeyType for DerivedLength {
    fn len(&self) -> usize {
        KEYS_LENGTH
    }
}

/// `deriveTrafficKeys(pair, transmitIsFirst, scratch, saltLength, infoLength)`, where scratch is peer public key(32) || nonce
/// prefix(8) || salt || info. Answers the handle, or 0 when the shared secret is all zero (RFC 7748 section 6.1).
pub fn derive(arguments: &mut Arguments<'_>) -> Result<Answer, Fault> {
    let (pair, transmit_is_first) = (arguments.whole(0)?, arguments.flag(1)?);
    let (salt_length, info_length) = (arguments.whole(3)? as usize, arguments.whole(4)? as usize);
    let mut rest = &*arguments.bytes(2)?;
    let peer = take(&mut rest, PUBLIC_KEY_LENGTH)?;
    let prefix = take(&mut rest, NONCE_PREFIX_LENGTH)?;
    let (salt, info) = (take(&mut rest, salt_length)?, take(&mut rest, info_length)?);
    store::with(|store| {
        let pair = store.pairs.get(pair).ok_or(Fault::Stale)?;
        match exchanged(pair, peer, TrafficKeys::new(array(prefix)?, transmit_is_first), salt, info)? {
            Some(keys) => keep(store.traffic.insert(keys)),
            None => Ok(Answer::Number(0.0)),
        }
    })
}

/// None when X25519 answers an all-zero secret: with 32 bytes it has no other way to fail.
fn exchanged(
    pair: &PrivateKey,
    peer: &[u8],
    keys: Box<TrafficKeys>,
    salt: &[u8],
    info: &[u8],
) -> Result<Option<Box<TrafficKeys>>, Fault> {
    agreement::agree(pair, UnparsedPublicKey::new(&X25519, peer), None, |shared| {
        Ok(Some(keys.derive(shared, salt, info)))
    })
    .unwrap_or_else(|nothing: Option<Result<_, Fault>>| nothing)
    .transpose()
}

/// `importTrafficKeys(first, second, transmitIsFirst, prefix)`
pub fn import(arguments: &mut Arguments<'_>) -> Result<Answer, Fault> {
    let mut keys = TrafficKeys::new(array(arguments.bytes(3)?)?, arguments.flag(2)?);
    for (index, room) in keys.derived.as_chunks_mut::<KEY_LENGTH>().0.iter_mut().enumerate() {
        let key: &[u8] = arguments.bytes(index)?;
        *room = *<&[u8; KEY_LENGTH]>::try_from(key).map_err(|_| Fault::Range("a traffic key has 32 bytes"))?;
    }
    store::with(|store| keep(store.traffic.insert(keys)))
}

/// `nextTrafficKeys(handle, initiatorIsUs, scratch, saltLength, infoLength)`, where scratch is salt || info. Spec section 5: the
/// initiator's transmit key goes first, into the derivation and out of it.
pub fn next(arguments: &mut Arguments<'_>) -> Result<Answer, Fault> {
    let (handle, initiator_is_us) = (arguments.whole(0)?, arguments.flag(1)?);
    let (salt_length, info_length) = (arguments.whole(3)? as usize, arguments.whole(4)? as usize);
    let mut rest = &*arguments.bytes(2)?;
    let (salt, info) = (take(&mut rest, salt_length)?, take(&mut rest, info_length)?);
    store::with(|store| {
        let base = store.traffic.get(handle).ok_or(Fault::Stale)?;
        let mut ikm = Zeroizing::new([0; KEYS_LENGTH]);
        ikm[..KEY_LENGTH].copy_from_slice(base.raw(initiator_is_us));
        ikm[KEY_LENGTH..].copy_from_slice(base.raw(!initiator_is_us));
        let keys = TrafficKeys::new(base.nonce_prefix, initiator_is_us).derive(&*ikm, salt, info)?;
        keep(store.traffic.insert(keys))
    })
}

/// `wipeTrafficKeys(handle)`
pub fn wipe(arguments: &mut Arguments<'_>) -> Result<Answer, Fault> {
    let handle = arguments.whole(0)?;
    Ok(Answer::Flag(store::with(|store| store.traffic.remove(handle))))
}

/// `seal(handle, transmit, frame)`
pub fn seal(arguments: &mut Arguments<'_>) -> Result<Answer, Fault> {
    let (handle, transmit) = (arguments.whole(0)?, arguments.flag(1)?);
    let bytes = arguments.bytes(2)?;
    with_keys(
        handle,
        |keys| {
            if frame::seal(keys.key(transmit)?, bytes) { Ok(Answer::Nothing) } else { Err(SHORT_FRAME) }
        },
    )
}

/// `sealRun(handle, transmit, bytes, start, end)`
pub fn seal_run(arguments: &mut Arguments<'_>) -> Result<Answer, Fault> {
    let (handle, transmit) = (arguments.whole(0)?, arguments.flag(1)?);
    let (start, end) = (arguments.whole(3)? as usize, arguments.whole(4)? as usize);
    let run = arguments.bytes(2)?.get_mut(start..end).ok_or(BAD_RANGE)?;
    require_whole_frames(run)?;
    with_keys(handle, |keys| {
        let key = keys.key(transmit)?;
        let mut rest = run;
        while let Some(length) = frame::first(rest).map(<[u8]>::len) {
            let (frame, behind) = rest.split_at_mut(length);
            if !frame::seal(key, frame) {
                return Err(SHORT_FRAME);
            }
            rest = behind;
        }
        Ok(Answer::Nothing)
    })
}

/// `open(handle, transmit, frame, out)`
pub fn open(arguments: &mut Arguments<'_>) -> Result<Answer, Fault> {
    let (handle, transmit) = (arguments.whole(0)?, arguments.flag(1)?);
    let (bytes, out) = arguments.input_and_output(2, 3)?;
    if bytes.len().checked_sub(frame::OVERHEAD) != Some(out.len()) {
        return Err(Fault::Range("the output must be 40 bytes shorter than the frame"));
    }
    with_keys(handle, |keys| Ok(Answer::Flag(frame::open(keys.key(transmit)?, &bytes, out))))
}

/// `openRun(handle, transmit, bytes, start, end, seq, out)`
pub fn open_run(arguments: &mut Arguments<'_>) -> Result<Answer, Fault> {
    let (handle, transmit) = (arguments.whole(0)?, arguments.flag(1)?);
    let (start, end) = (arguments.whole(3)? as usize, arguments.whole(4)? as usize);
    let seq = u32::try_from(arguments.whole(5)?);
    let mut seq = seq.map_err(|_| Fault::Range("a sequence number has 32 bits"))?;
    let (bytes, mut out) = arguments.input_and_output(2, 6)?;
    let mut rest = bytes.get(start..end).ok_or(BAD_RANGE)?;
    with_keys(handle, |keys| {
        let prefix = keys.nonce_prefix;
        let key = keys.key(transmit)?;
        let mut opened = 0u32;
        while let Some(frame) = frame::first_data(rest, seq, &prefix) {
            let Some((text, room)) = out.split_at_mut_checked(frame.len() - frame::OVERHEAD) else { break };
            if !frame::open(key, frame, text) {
                break;
            }
            (rest, out) = (&rest[frame.len()..], room);
            (opened, seq) = (opened + 1, seq + 1);
        }
        Ok(Answer::Number(f64::from(opened)))
    })
}

/// `acknowledgementMac(handle, transmit, scratch, length)`: over scratch[0..length), written to scratch[0..8).
pub fn acknowledgement_mac(arguments: &mut Arguments<'_>) -> Result<Answer, Fault> {
    let (handle, transmit, length) = (arguments.whole(0)?, arguments.flag(1)?, arguments.whole(3)? as usize);
    let scratch = arguments.bytes(2)?;
    if scratch.len() < length.max(ACKNOWLEDGEMENT_MAC_LENGTH) {
        return Err(Fault::Range("the scratch is too short"));
    }
    with_keys(handle, |keys| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, keys.raw(transmit));
        let mac = hmac::sign(&key, &scratch[..length]);
        scratch[..ACKNOWLEDGEMENT_MAC_LENGTH].copy_from_slice(&mac.as_ref()[..ACKNOWLEDGEMENT_MAC_LENGTH]);
        Ok(Answer::Nothing)
    })
}

fn with_keys<T>(handle: u64, use_them: impl FnOnce(&mut TrafficKeys) -> Result<T, Fault>) -> Result<T, Fault> {
    store::with(|store| use_them(store.traffic.get(handle).ok_or(Fault::Stale)?))
}

fn keep(handle: Option<u64>) -> Result<Answer, Fault> {
    handle.map(|handle| Answer::Number(handle as f64)).ok_or(Fault::Internal)
}

/// Before anything is sealed, so that a run is sealed whole or not at all.
fn require_whole_frames(run: &[u8]) -> Result<(), Fault> {
    let mut rest = run;
    while !rest.is_empty() {
        let frame = frame::first(rest).ok_or(Fault::Range("the frames do not end where the run does"))?;
        if frame.len() < frame::OVERHEAD {
            return Err(SHORT_FRAME);
        }
        rest = &rest[frame.len()..];
    }
    Ok(())
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Result<&'a [u8], Fault> {
    let (taken, left) = rest.split_at_checked(length).ok_or(Fault::Range("the scratch is too short"))?;
    *rest = left;
    Ok(taken)
}

fn array(prefix: &[u8]) -> Result<[u8; NONCE_PREFIX_LENGTH], Fault> {
    prefix.try_into().map_err(|_| Fault::Range("the session's part of the nonce has 8 bytes"))
}
