//! The tool's library on a simulated disk; rebuilding and repairing there, with crashes.

use std::path::Path;

use recension::env::Env;
use recension::inspect::diff;
use recension::limits::Limits;
use recension::pack::Depth;
use recension::sim::{CrashPolicy, SimEnv};
use recension::{
    Batch, CheckDepth, Draft, Durability, Expect, Progress, RebuildMode, RepairMode, Result, Store, repair,
};
use sst_dump::file::StoreFiles;
use sst_dump::file::{Item, is_finding, walk};

const DIR: &str = "/store";

fn open(env: &Env) -> Result<Store> {
    Store::builder(DIR).env(env.clone()).limits(Limits::TINY).open()
}

fn machine(seed: u64) -> SimEnv {
    let sim = SimEnv::new(seed);
    let store = open(&sim.env()).unwrap();
    for i in 0..160_u64 {
        let entity = format!("e{}", i % 7);
        let draft =
            if i % 23 == 22 { Draft::tombstone() } else { Draft::new(format!("text {i} ").repeat(9)) };
        let batch = Batch::new().put(entity, Expect::Any, draft).unwrap();
        store.commit_with(batch, Durability::Buffered).unwrap();
    }
    store.flush().unwrap();
    store.close().unwrap();
    sim
}

/// All that a store answers, as text.
fn told(store: &Store) -> String {
    let mut text = String::new();
    for change in store.changes(0).unwrap() {
        text += &format!("{:?}\n", change.unwrap().sequence);
    }
    for entity in 0..7 {
        for revision in store.history(format!("e{entity}")).unwrap() {
            let revision = revision.unwrap();
            let content = revision.content().unwrap().into_bytes();
            text += &format!("e{entity} {} {content:?}\n", revision.number());
        }
    }
    text
}

fn check(store: &Store) {
    let report = store.check(CheckDepth::Deep, &mut Progress::new(&mut |_, _, _| true)).unwrap();
    assert!(report.is_clean(), "{:?}", report.findings);
}

#[test]
fn every_file_of_a_simulated_disk_can_be_gone_through() {
    let sim = machine(1);
    let env = sim.env();
    let files = StoreFiles::read(&*env.fs, Path::new(DIR)).unwrap();
    assert!(files.files.len() > 5);
    for (id, kind, _) in &files.files {
        walk(&*env.fs, &files.dir.join(id.file_name(*kind)), Depth::Contents, &mut |item| {
            if let Item::Part(part) = item {
                assert!(!is_finding(&part.state), "{part:?}");
            }
            Ok(())
        })
        .unwrap();
    }
    let report = diff(&*env.fs, &files, 16, &mut |found| panic!("{found:?}")).unwrap();
    assert!(report.changes >= 160 && report.windows > 5);
}

#[test]
fn a_crash_at_any_step_of_a_rebuild_loses_nothing() {
    let before = {
        let store = open(&machine(2).env()).unwrap();
        told(&store)
    };
    let mut done = false;
    let mut step = 1;
    while !done {
        let sim = machine(2);
        sim.fs.kill_at_change(sim.fs.changes() + step);
        let builder = Store::builder(DIR).env(sim.env()).limits(Limits::TINY);
        done = builder.rebuild(RebuildMode::Apply).is_ok();
        let sim = sim.crash(&CrashPolicy::STRICT);
        let store = open(&sim.env()).unwrap_or_else(|error| panic!("step {step}: {error}"));
        assert_eq!(told(&store), before, "step {step}");
        check(&store);
        step += 3;
    }
    assert!(step > 20);
}

#[test]
fn a_crash_at_any_step_of_a_repair_leaves_the_damaged_store_as_it_was() {
    let sim = machine(3);
    let before = told(&open(&sim.env()).unwrap());
    for step in (1..200).step_by(17) {
        let sim = machine(3);
        sim.fs.kill_at_change(sim.fs.changes() + step);
        let mut go = |_: &'static str, _: u64, _: u64| true;
        let repaired = repair(
            &sim.env(),
            Path::new(DIR),
            Path::new("/new"),
            RepairMode::Apply,
            &mut Progress::new(&mut go),
        );
        let sim = sim.crash(&CrashPolicy::STRICT);
        if repaired.is_ok() {
            let new = Store::builder("/new").env(sim.env()).open().unwrap();
            assert_eq!(told(&new), before);
            check(&new);
        }
        assert_eq!(told(&open(&sim.env()).unwrap()), before, "step {step}");
    }
}
