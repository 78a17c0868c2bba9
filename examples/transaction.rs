//! Moves money between two accounts from several threads: read at a snapshot, write, commit if nothing read has changed, else again.
//!
//! `cargo run --example transaction`
#![allow(clippy::disallowed_methods, reason = "the rule is for the engine; programs have threads")]

use recension::{Draft, Durability, ErrorKind, Expect, Revision, Store};

fn amount(account: Option<Revision>) -> Result<i64, Box<dyn std::error::Error + Send + Sync>> {
    let Some(bytes) =
        account.map(|account| account.content()).transpose()?.and_then(|content| content.into_bytes())
    else {
        return Ok(0);
    };
    Ok(std::str::from_utf8(&bytes)?.parse()?)
}

/// Answers how many attempts it took.
fn transfer(
    store: &Store,
    from: &str,
    to: &str,
    sum: i64,
) -> Result<u32, Box<dyn std::error::Error + Send + Sync>> {
    for attempt in 1.. {
        let mut transaction = store.transaction();
        let (left, right) = (amount(transaction.get(from)?)?, amount(transaction.get(to)?)?);
        transaction.put(from, Draft::new((left - sum).to_string()))?;
        transaction.put(to, Draft::new((right + sum).to_string()))?;
        match transaction.commit(Durability::Sync) {
            Ok(_) => return Ok(attempt),
            Err(error) if error.kind() == ErrorKind::Conflict => {}
            Err(error) => return Err(error.into()),
        }
    }
    unreachable!("the loop ends with a commit")
}

fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let dir = tempfile::tempdir()?;
    let store = Store::open(dir.path().join("bank.db"))?;
    store.put("ann", Expect::Absent, Draft::new("100"))?;
    store.put("ben", Expect::Absent, Draft::new("100"))?;

    let threads: Vec<_> = (0..4)
        .map(|n| {
            let store = store.clone();
            let (from, to) = if n % 2 == 0 { ("ann", "ben") } else { ("ben", "ann") };
            std::thread::spawn(move || {
                (0..10).map(|_| transfer(&store, from, to, n + 1)).sum::<Result<u32, _>>()
            })
        })
        .collect();
    let mut attempts = 0;
    for thread in threads {
        attempts += thread.join().map_err(|_| "a thread panicked")??;
    }

    let (ann, ben) = (amount(store.get("ann")?)?, amount(store.get("ben")?)?);
    println!("40 transfers in {attempts} attempts: ann has {ann}, ben has {ben}");
    assert_eq!(ann + ben, 200, "nothing is lost");
    store.close()?;
    Ok(())
}
