//! What a program hears of a store through `tracing`.
#![allow(clippy::disallowed_methods, reason = "real files")]

use std::fmt::Write;
use std::sync::{Arc, Mutex};

use recension::limits::Limits;
use recension::sim::{CrashPolicy, FaultKind, SimEnv};
use recension::{Batch, Compaction, Draft, Durability, Expect, Packing, Progress, Store};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Keeps each event as a line: level, target, message, fields.
#[derive(Clone, Default)]
struct Listener(Arc<Mutex<Vec<String>>>);

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        write!(self.0, " {}={value:?}", field.name()).unwrap();
    }
}

impl Subscriber for Listener {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &Event<'_>) {
        let mut line = Line(format!("{} {}", event.metadata().level(), event.metadata().target()));
        event.record(&mut line);
        self.0.lock().unwrap().push(line.0);
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

impl Listener {
    #[track_caller]
    fn heard(&self, level: &str, words: &str) -> String {
        let lines = self.0.lock().unwrap();
        let found = lines
            .iter()
            .find(|line| line.starts_with(level) && line.contains(words) && line.contains(" recension::"));
        found.unwrap_or_else(|| panic!("no {level} {words:?} in {lines:#?}")).clone()
    }
}

fn builder(machine: &SimEnv) -> recension::StoreBuilder {
    Store::builder("/db").env(machine.env()).limits(Limits::TINY).packing(Packing::WhenAsked)
}

fn load(store: &Store, durability: Durability) {
    for n in 0..300 {
        let batch =
            Batch::new().put(format!("e{}", n % 9), Expect::Any, Draft::new("some text ".repeat(n % 40)));
        store.commit_with(batch.unwrap(), durability).unwrap();
    }
}

#[test]
fn a_program_that_listens_hears_what_a_store_does_and_which_store_it_is() {
    let listener = Listener::default();
    tracing::subscriber::with_default(listener.clone(), || {
        let machine = SimEnv::new(1);
        let store = builder(&machine).open().unwrap();
        let opened = listener.heard("INFO", "the store is open");
        assert!(opened.contains("path=/db") && opened.contains("created=true"), "{opened}");
        load(&store, Durability::Sync);
        store.flush().unwrap();
        listener.heard("DEBUG", "a memtable was flushed");
        store.pack(&mut Progress::none()).unwrap();
        listener.heard("DEBUG", "a segment was sealed");
        listener.heard("DEBUG", "a segment was packed");
        store.compact(Compaction::Full, &mut Progress::none()).unwrap();
        listener.heard("DEBUG", "tables were compacted");
        store.close().unwrap();
        listener.heard("INFO", "the store was closed");
    });
}

#[test]
fn a_cut_and_a_latch_are_told_louder_than_the_rest() {
    let listener = Listener::default();
    tracing::subscriber::with_default(listener.clone(), || {
        let mut machine = SimEnv::new(7);
        // Until a crash leaves something to cut off.
        for _ in 0..50 {
            let store = builder(&machine).open().unwrap();
            for _ in 0..8 {
                let batch = Batch::new().put("e", Expect::Any, Draft::new("x".repeat(3000))).unwrap();
                store.commit_with(batch, Durability::Buffered).unwrap();
            }
            machine.fs.power_off();
            drop(store);
            machine = machine.crash(&CrashPolicy::POSIX);
            machine.fs.kill_never();
            let store = builder(&machine).open().unwrap();
            if !store.open_report().cuts.is_empty() {
                break;
            }
        }
        let cut = listener.heard("WARN", "never acknowledged and is cut off");
        assert!(cut.contains(".seg") && cut.contains("offset="), "{cut}");

        let store = builder(&machine.process_kill()).open();
        drop(store);
        let machine = SimEnv::new(8);
        let store = builder(&machine).open().unwrap();
        machine.fs.fail_next(FaultKind::WriteError, ".seg", 0);
        while store.put("e", Expect::Any, Draft::new("x")).is_ok() {}
        listener.heard("ERROR", "takes no more writes");
    });
}
