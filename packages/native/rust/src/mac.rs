//! HMAC-SHA256 (RFC 2104).

use crate::binding::{Answer, Arguments, Fault};
use aws_lc_rs::hmac::{HMAC_SHA256, Key, sign};

/// `hmacSha256(key, scratch, length)`: of scratch[0..length), written to scratch[0..32).
pub fn hmac_sha256(arguments: &mut Arguments<'_>) -> Result<Answer, Fault> {
    let length = arguments.whole(2)? as usize;
    let (key, scratch) = arguments.input_and_output(0, 1)?;
    let message = scratch.get(..length).ok_or(Fault::Range("the message is longer than the scratch"))?;
    let mac = sign(&Key::new(HMAC_SHA256, &key), message);
    scratch
        .get_mut(..mac.as_ref().len())
        .ok_or(Fault::Range("the scratch is shorter than a MAC"))?
        .copy_from_slice(mac.as_ref());
    Ok(Answer::Nothing)
}
