//! Threads in every order: whole stores on the simulated disk, with callers and background jobs as threads of the `shuttle` scheduler,
//! which draws at each lock and atomic who goes on. Run by `tools/test-shuttle`; empty in an ordinary build.
//!
//! Each test is shown to bite: with the planted mistake that it is there for, it fails.
#![cfg(shuttle)]
#![allow(clippy::disallowed_methods, reason = "the number of schedules comes from the environment")]

#[path = "shuttle/support.rs"]
mod support;

use recension::{Batch, CheckDepth, Compaction, Draft, Durability, Error, Expect, Progress};
use shuttle::thread;
use support::{Machine, bites, explore, number_of, text};

/// Reserve and publish: several writers on one entity.
fn writers_of_one_entity() {
    let machine = Machine::new(1);
    let store = machine.open();
    store.put("shared", Expect::Absent, Draft::new(text(0, 1))).expect("the first revision");
    let writers: Vec<_> = (1..=3_u64)
        .map(|writer| {
            let store = store.clone();
            thread::spawn(move || {
                let mut acknowledged = Vec::new();
                for round in 0..3_u64 {
                    let head = number_of(&store, "shared");
                    let durability = if round == 1 { Durability::Buffered } else { Durability::Sync };
                    let draft = Draft::new(text(writer, round));
                    let batch = Batch::new().put("shared", Expect::Head(head), draft).expect("a batch");
                    match store.commit_with(batch, durability) {
                        Ok(committed) => {
                            assert_eq!(committed.outcomes[0].revision(), Some(head + 1));
                            acknowledged.push((head + 1, text(writer, round)));
                            if durability == Durability::Sync {
                                assert!(store.durable() >= committed.sequence, "acknowledged as durable");
                            }
                            assert!(
                                number_of(&store, "shared") > head,
                                "its own write is visible to the writer"
                            );
                        }
                        Err(Error::Conflict { actual, .. }) => {
                            let told = actual.number();
                            assert!(told > head, "a conflict names a newer head");
                            assert!(
                                number_of(&store, "shared") >= told,
                                "nobody is told of a head that is not there"
                            );
                        }
                        Err(other) => panic!("{other}"),
                    }
                }
                acknowledged
            })
        })
        .collect();
    let mut all: Vec<_> = writers.into_iter().flat_map(|writer| writer.join().expect("a writer")).collect();
    all.sort();
    assert!(all.windows(2).all(|pair| pair[0].0 < pair[1].0), "no revision was given to two writers");
    let last = number_of(&store, "shared");
    assert_eq!(last, all.len() as u64 + 1, "refusals use no number up");
    assert_eq!(store.published(), last, "nor a sequence number");
    for (number, content) in &all {
        let revision = store.revision("shared", *number).expect("readable").expect("there");
        assert_eq!(revision.content().expect("readable").bytes(), Some(content));
    }
    store.close().expect("closed");
    machine.nothing_wrong();
}

#[test]
fn writers_of_one_entity_form_one_chain() {
    explore(writers_of_one_entity);
}

#[test]
fn and_a_check_outside_the_section_would_be_seen() {
    bites("cas outside the section", writers_of_one_entity);
}

#[test]
fn and_an_answer_that_overtakes_would_be_seen() {
    bites("answers overtake", writers_of_one_entity);
}

/// Acknowledged and durable: after a power cut everything that was acknowledged with `Sync` is there.
fn acknowledged_commits_survive() {
    let machine = Machine::new(2);
    let store = machine.open();
    let writers: Vec<_> = (0..3_u64)
        .map(|writer| {
            let store = store.clone();
            thread::spawn(move || {
                for number in 1..=3_u64 {
                    let expect = if number == 1 { Expect::Absent } else { Expect::Head(number - 1) };
                    store
                        .put(format!("w{writer}"), expect, Draft::new(text(writer, number)))
                        .expect("committed");
                }
            })
        })
        .collect();
    for writer in writers {
        writer.join().expect("a writer");
    }
    let after = machine.power_cut();
    drop(store);
    let store = after.open();
    for writer in 0..3 {
        assert_eq!(number_of(&store, &format!("w{writer}")), 3);
    }
    store.close().expect("closed");
}

#[test]
fn acknowledged_commits_survive_a_power_cut() {
    explore(acknowledged_commits_survive);
}

#[test]
fn and_an_acknowledgement_before_the_sync_would_be_seen() {
    bites("ack before sync", acknowledged_commits_survive);
}

/// Memtable rotation, flush and compaction under writers and readers: heads never go back, everything stays readable.
fn rotation_under_readers() {
    let machine = Machine::new(3);
    let store = machine.open();
    let writer = {
        let store = store.clone();
        thread::spawn(move || {
            for number in 1..=8_u64 {
                let expect = if number == 1 { Expect::Absent } else { Expect::Head(number - 1) };
                let mut batch = Batch::new().put("e", expect, Draft::new(text(7, number))).expect("a batch");
                for other in 0..6 {
                    let draft =
                        Draft::new(text(other, number)).author("somebody with a name that takes space");
                    batch = batch.put(format!("other {other}"), Expect::Any, draft).expect("a batch");
                }
                store.commit_with(batch, Durability::Buffered).expect("committed");
            }
        })
    };
    let reader = {
        let store = store.clone();
        thread::spawn(move || {
            let mut seen = 0;
            for _ in 0..6 {
                let number = number_of(&store, "e");
                assert!(number >= seen, "a head never goes back: {number} after {seen}");
                seen = number;
                if seen > 0 {
                    let oldest = store.revision("e", 1).expect("readable").expect("there");
                    assert_eq!(oldest.content().expect("readable").bytes(), Some(&text(7, 1)));
                }
            }
        })
    };
    let flusher = {
        let store = store.clone();
        thread::spawn(move || {
            store.flush().expect("flushed");
            store.compact(Compaction::Full, &mut Progress::new(&mut |_, _, _| true)).expect("compacted");
        })
    };
    for thread in [writer, reader, flusher] {
        thread.join().expect("a thread");
    }
    assert_eq!(number_of(&store, "e"), 8);
    let check = store.check(CheckDepth::Deep, &mut Progress::new(&mut |_, _, _| true)).expect("checked");
    assert_eq!(check.findings, []);
    store.close().expect("closed");
    machine.nothing_wrong();
}

#[test]
fn heads_do_not_go_back_while_memtables_rotate() {
    explore(rotation_under_readers);
}

/// Cache fill against publish.
fn fills_race_with_writes() {
    let machine = Machine::new(4);
    let store = machine.open();
    store.put("e", Expect::Absent, Draft::new(text(0, 1))).expect("the first revision");
    let reader = {
        let store = store.clone();
        thread::spawn(move || {
            for _ in 0..3 {
                let head = store.get("e").expect("readable").expect("live");
                // The content is kept with the head in the cache.
                let content = head.content().expect("readable");
                assert_eq!(content.bytes(), Some(&text(0, head.number())));
            }
        })
    };
    for number in 2..=4_u64 {
        store.put("e", Expect::Head(number - 1), Draft::new(text(0, number))).expect("committed");
        let head = store.get("e").expect("readable").expect("live");
        assert_eq!(head.number(), number, "who wrote reads what was written");
        assert_eq!(head.content().expect("readable").bytes(), Some(&text(0, number)));
    }
    reader.join().expect("the reader");
    store.close().expect("closed");
}

#[test]
fn a_head_put_into_the_cache_is_never_older_than_what_was_acknowledged() {
    explore(fills_race_with_writes);
}

#[test]
fn and_a_stale_fill_would_be_seen() {
    bites("stale head cache fill", fills_race_with_writes);
}

#[test]
fn and_a_stale_hit_would_be_seen() {
    bites("stale head cache hit", fills_race_with_writes);
}

/// Version pinning: iterators go on while what they read from is compacted away and deleted.
fn iterators_outlive_files() {
    let machine = Machine::new(5);
    let store = machine.open();
    for number in 1..=12_u64 {
        let expect = if number == 1 { Expect::Absent } else { Expect::Head(number - 1) };
        let batch = Batch::new().put("e", expect, Draft::new(text(9, number))).expect("a batch");
        store.commit_with(batch, Durability::Buffered).expect("committed");
        if number % 4 == 0 {
            store.flush().expect("flushed");
        }
    }
    let reader = {
        let store = store.clone();
        thread::spawn(move || {
            let mut next = 12;
            for revision in store.history("e").expect("a history") {
                let revision = revision.expect("readable");
                assert_eq!(revision.number(), next);
                assert_eq!(revision.content().expect("readable").bytes(), Some(&text(9, next)));
                next -= 1;
            }
            assert_eq!(next, 0);
        })
    };
    let compacter = {
        let store = store.clone();
        thread::spawn(move || {
            store.compact(Compaction::Full, &mut Progress::new(&mut |_, _, _| true)).expect("compacted");
        })
    };
    reader.join().expect("the reader");
    compacter.join().expect("the compaction");
    store.close().expect("closed");
    machine.nothing_wrong();
}

#[test]
fn an_iterator_goes_on_while_its_files_are_compacted_away() {
    explore(iterators_outlive_files);
}
