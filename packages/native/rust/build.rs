//! Tells the crate which aws-lc-rs it was built with, for `usmp doctor`: the crate itself does not say.

use std::fs;

fn main() {
    println!("cargo:rerun-if-changed=Cargo.lock");
    let lock = fs::read_to_string("Cargo.lock").unwrap_or_default();
    let version = lock
        .split("name = \"aws-lc-rs\"\nversion = \"")
        .nth(1)
        .and_then(|rest| rest.split('"').next())
        .unwrap_or("unknown");
    println!("cargo:rustc-env=USMP_AWS_LC_RS={version}");
}
