//! Follows the change feed from a cursor, while somebody else writes.
//!
//! `cargo run --example feed`
#![allow(clippy::disallowed_methods, reason = "the rule is for the engine; programs have threads")]

use std::time::Duration;

use recension::{Batch, ChangeKind, Draft, Expect, Store};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    let store = Store::open(dir.path().join("wiki.db"))?;
    store.put("Q1", Expect::Absent, Draft::new("universe"))?;

    let writer = store.clone();
    let writing = std::thread::spawn(move || -> recension::Result<()> {
        // Two changes that are one commit: the feed says where it ends.
        let batch = Batch::new().put("Q2", Expect::Absent, Draft::new("Earth"))?;
        writer.commit(batch.put("Q3", Expect::Absent, Draft::new("life"))?)?;
        writer.delete("Q1", Expect::Head(1))?;
        Ok(())
    });

    // The cursor is a sequence number: keep it, and go on behind it after a restart.
    let mut changes = store.changes(0)?;
    while changes.cursor() < 4 {
        let Some(change) = changes.wait(Some(Duration::from_secs(10)))? else { break };
        let what = match &change.kind {
            ChangeKind::Revision(revision) if revision.is_tombstone() => {
                format!("{} deleted", revision.entity())
            }
            ChangeKind::Revision(revision) => format!("{} revision {}", revision.entity(), revision.number()),
            other => format!("{other:?}"),
        };
        let end = if change.commit_rest == 0 { "  (end of commit)" } else { "" };
        println!("{:>3}  {what}{end}", change.sequence);
    }
    writing.join().map_err(|_| "the writer panicked")??;
    store.close()?;
    Ok(())
}
