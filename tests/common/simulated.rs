//! A small store on the simulator, and texts to put into it.

#![allow(dead_code, reason = "each test uses a part of it")]

use recension::limits::Limits;
use recension::sim::SimEnv;
use recension::{AcceptClockSteps, ByteSize, Packing, Store, StoreBuilder};

/// The store in `/store`, with tiny limits, so that sealing, flushing, packing and merging happen after a few changes.
pub fn builder(env: &SimEnv) -> StoreBuilder {
    Store::builder("/store")
        .limits(Limits::TINY)
        .memory(ByteSize(1 << 20))
        .accept_clock_steps(AcceptClockSteps::AtOnce)
        .env(env.env())
}

/// The store in `/db`, with tiny limits and room for caches, packed only when that is asked for.
pub fn unpacked(machine: &SimEnv) -> StoreBuilder {
    Store::builder("/db")
        .env(machine.env())
        .limits(Limits::TINY)
        .memory(ByteSize::mib(8))
        .packing(Packing::WhenAsked)
}

/// A page of twenty lines, of which each edit changes a few.
pub fn text(edit: u64) -> String {
    (0..20).map(|line| format!("line {line}, edited in {}\n", edit.saturating_sub(line) / 7)).collect()
}

/// Goes on, whatever is told of the progress.
pub fn all(_: &'static str, _: u64, _: u64) -> bool {
    true
}
