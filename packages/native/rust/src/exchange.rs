//! X25519 key pairs (RFC 7748).

use crate::binding::{Answer, Arguments, Fault};
use crate::store;
use aws_lc_rs::agreement::{PrivateKey, X25519};

pub const PUBLIC_KEY_LENGTH: usize = 32;

/// `generateKeyPair(scratch)`: writes the public key to scratch[0..32); answers the handle.
pub fn generate(arguments: &mut Arguments<'_>) -> Result<Answer, Fault> {
    let pair = PrivateKey::generate(&X25519).map_err(|_| Fault::Internal)?;
    keep(pair, arguments.bytes(0)?)
}

/// `importKeyPair(privateKey, scratch)`: as above, for 32 private bytes.
pub fn import(arguments: &mut Arguments<'_>) -> Result<Answer, Fault> {
    let (private_key, scratch) = arguments.input_and_output(0, 1)?;
    let pair = PrivateKey::from_private_key(&X25519, &private_key)
        .map_err(|_| Fault::Range("an X25519 private key has 32 bytes"))?;
    keep(pair, scratch)
}

/// `wipeKeyPair(handle)`
pub fn wipe(arguments: &mut Arguments<'_>) -> Result<Answer, Fault> {
    let handle = arguments.whole(0)?;
    Ok(Answer::Flag(store::with(|store| store.pairs.remove(handle))))
}

fn keep(pair: PrivateKey, scratch: &mut [u8]) -> Result<Answer, Fault> {
    let public = pair.compute_public_key().map_err(|_| Fault::Internal)?;
    scratch
        .get_mut(..PUBLIC_KEY_LENGTH)
        .ok_or(Fault::Range("the scratch is shorter than a public key"))?
        .copy_from_slice(public.as_ref());
    let handle = store::with(|store| store.pairs.insert(pair)).ok_or(Fault::Internal)?;
    Ok(Answer::Number(handle as f64))
}
