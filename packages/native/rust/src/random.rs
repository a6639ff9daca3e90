//! Random bytes.

use crate::binding::{Answer, Arguments, Fault};
use aws_lc_rs::rand;

/// `randomFill(out)`: fills it from aws-lc's generator, which the system seeds.
pub fn fill(arguments: &mut Arguments<'_>) -> Result<Answer, Fault> {
    rand::fill(arguments.bytes(0)?).map_err(|_| Fault::Internal)?;
    Ok(Answer::Nothing)
}
