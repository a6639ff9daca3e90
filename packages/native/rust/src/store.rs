//! The keys of one thread. Each worker thread has its own, and a thread's keys are wiped when it ends.

use crate::slab::Slab;
use crate::traffic_keys::TrafficKeys;
use aws_lc_rs::agreement::PrivateKey;
use std::cell::RefCell;

/// Everything secret that outlives a call.
pub struct Store {
    /// OpenSSL's allocator, under aws-lc, overwrites a private key when it is freed.
    pub pairs: Slab<PrivateKey>,
    pub traffic: Slab<Box<TrafficKeys>>,
}

thread_local! {
    static STORE: RefCell<Store> = const { RefCell::new(Store { pairs: Slab::new(), traffic: Slab::new() }) };
}

/// Lends the store. Nothing in it calls back, so it is never lent twice.
pub fn with<T>(use_it: impl FnOnce(&mut Store) -> T) -> T {
    STORE.with_borrow_mut(use_it)
}
