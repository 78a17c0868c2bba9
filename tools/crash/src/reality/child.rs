//! The process that is killed.

use std::io::Write;
use std::path::Path;

use bytes::Bytes;
use recension::sim::{Prng, mix};
use recension::{Batch, ByteSize, Draft, Durability, ErrorKind, Expect, Store};

/// A store small enough that everything happens all the time.
pub(super) fn open(path: &Path) -> recension::Result<Store> {
    Store::builder(path).limits(crate::run::limits_of(0)).memory(ByteSize::mib(8)).open()
}

/// The n-th commit: an entity and a content.
pub(super) fn commit(seed: u64, n: u64) -> (String, Bytes) {
    let mut rng = Prng::new(mix(seed, n));
    let len = if rng.one_in(10) { rng.below(6000) } else { rng.below(400) };
    (format!("page {}", rng.below(23)), crate::script::content((n % 1_000_000) as u32, len as u32))
}

/// Writes commits behind `after`, at most so many, and prints the number of each when it is acknowledged. Ends at the first error that
/// waiting does not help against, without closing anything.
pub fn child(path: &Path, seed: u64, after: u64, most: u64) -> recension::Result<()> {
    let store = open(path)?;
    let mut out = std::io::stdout().lock();
    for n in after + 1..=after.saturating_add(most) {
        let (entity, content) = commit(seed, n);
        let batch = Batch::new().put(entity, Expect::Any, Draft::new(content))?;
        let durability = if n % 3 == 0 { Durability::Buffered } else { Durability::Sync };
        match store.commit_with(batch, durability) {
            Ok(committed) if committed.sequence == n => {}
            Ok(committed) => {
                let _ = writeln!(out, "WRONG commit {n} got sequence {}", committed.sequence);
                break;
            }
            Err(error) => {
                let known = [ErrorKind::Latched, ErrorKind::OutOfSpace, ErrorKind::Io, ErrorKind::Busy];
                if !known.contains(&error.kind()) {
                    let _ = writeln!(out, "WRONG commit {n}: {error}");
                }
                break;
            }
        }
        let _ = writeln!(out, "{n}.").and_then(|()| out.flush());
        if n.is_multiple_of(97) && store.flush().is_err() {
            break;
        }
    }
    std::process::abort()
}
