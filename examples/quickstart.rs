//! Writes, reads, and what a stale writer is told.
//!
//! `cargo run --example quickstart [DIRECTORY]`

use recension::{AsOf, Draft, ErrorKind, Expect, Head, Store};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let temporary = tempfile::tempdir()?;
    let path = std::env::args().nth(1).map_or_else(|| temporary.path().join("wiki.db"), Into::into);
    let store = Store::open(&path)?;

    // A write states what it expects to find.
    let first = store.put("Paris", Expect::Any, Draft::new("Paris is a city.").author("ann"))?;
    let head = first.outcome().revision().unwrap_or_default();
    store.put(
        "Paris",
        Expect::Head(head),
        Draft::new("Paris is a city in France.").author("ben").comment("where it is"),
    )?;

    // Somebody who has not seen Ben's edit does not overwrite it.
    let stale = store.put("Paris", Expect::Head(head), Draft::new("Paris is a town."));
    match stale {
        Err(error) if error.kind() == ErrorKind::Conflict => println!("refused: {error}"),
        other => println!("unexpected: {other:?}"),
    }

    for revision in store.history("Paris")? {
        let revision = revision?;
        let fields = revision.fields()?;
        let author = String::from_utf8_lossy(fields.author.as_deref().unwrap_or_default()).into_owned();
        let text = revision.content()?.into_bytes().unwrap_or_default();
        println!("{:>3}  {author:<5} {}", revision.number(), String::from_utf8_lossy(&text));
    }

    // Deleting is a revision, too, and every past state can be read.
    store.delete("Paris", Expect::Any)?;
    assert!(matches!(store.head("Paris")?, Head::Deleted(_)));
    assert!(matches!(store.as_of("Paris", AsOf::Sequence(first.sequence))?, Head::Live(_)));
    store.undelete("Paris", Expect::Any)?;
    println!("back as revision {}", store.head("Paris")?.number());
    store.close()?;
    Ok(())
}
