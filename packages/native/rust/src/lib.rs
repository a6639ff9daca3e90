//! The cryptography of USMP as a Node-API addon: keys live here and are named by numbers in JavaScript.
//!
//! Unsafe code is confined to `binding`, which speaks with Node, and to one line in `sockets`; the rest is safe Rust over
//! aws-lc-rs. Every function takes what JavaScript gives it as untrusted: wrong types, lengths and numbers become exceptions.

mod binding;
mod crc;
mod exchange;
mod frame;
mod mac;
mod random;
mod slab;
mod sockets;
mod store;
mod traffic_keys;
#[cfg(test)]
mod wycheproof;

use binding::{Answer, Arguments, Export, Fault};

/// Changes with every change of what is exported, so that an addon of another build is never taken for this one's.
const INTERFACE: f64 = 1.0;

/// All that JavaScript can call, under these names.
static EXPORTS: &[Export] = &[
    Export { name: "interfaceVersion", run: |_| Ok(Answer::Number(INTERFACE)) },
    Export { name: "libraryVersion", run: |_| Ok(Answer::Text(env!("USMP_AWS_LC_RS").to_owned())) },
    Export { name: "randomFill", run: random::fill },
    Export { name: "hmacSha256", run: mac::hmac_sha256 },
    Export { name: "generateKeyPair", run: exchange::generate },
    Export { name: "importKeyPair", run: exchange::import },
    Export { name: "wipeKeyPair", run: exchange::wipe },
    Export { name: "deriveTrafficKeys", run: traffic_keys::derive },
    Export { name: "importTrafficKeys", run: traffic_keys::import },
    Export { name: "nextTrafficKeys", run: traffic_keys::next },
    Export { name: "wipeTrafficKeys", run: traffic_keys::wipe },
    Export { name: "seal", run: traffic_keys::seal },
    Export { name: "sealRun", run: traffic_keys::seal_run },
    Export { name: "open", run: traffic_keys::open },
    Export { name: "openRun", run: traffic_keys::open_run },
    Export { name: "acknowledgementMac", run: traffic_keys::acknowledgement_mac },
    Export { name: "heldKeys", run: held_keys },
    Export { name: "reusePortSocket", run: sockets::reuse_port_socket },
    Export { name: "sendDatagrams", run: sockets::send_datagrams },
];

/// How many key pairs and traffic keys this thread holds: what tests of forgetting look at.
fn held_keys(_: &mut Arguments<'_>) -> Result<Answer, Fault> {
    store::with(|store| Ok(Answer::Number((store.pairs.len() + store.traffic.len()) as f64)))
}
