//! The simulated disk against the simplest model of one: a vector now, and a vector as of the last sync.

use std::path::Path;

use proptest::prelude::*;
use recension::env::{Access, Fs, write_all_at};
use recension::sim::{CrashPolicy, FaultKind, Faults, Rate, SimFs};

#[derive(Clone, Debug)]
enum Step {
    Write(u64, usize, u8),
    SetLen(u64),
    Allocate(u64, u64),
    Sync,
    FailedSync,
}

fn place() -> impl Strategy<Value = u64> {
    prop_oneof![0_u64..10, 4090_u64..4100, 0_u64..13_000]
}

fn step() -> impl Strategy<Value = Step> {
    let size = prop_oneof![1_usize..20, 4000_usize..9000];
    prop_oneof![
        6 => (place(), size, 1_u8..).prop_map(|(a, b, c)| Step::Write(a, b, c)),
        2 => place().prop_map(Step::SetLen),
        1 => (place(), 1_u64..9000).prop_map(|(a, b)| Step::Allocate(a, b)),
        3 => Just(Step::Sync),
    ]
}

fn grow(bytes: &mut Vec<u8>, len: u64) {
    bytes.resize(bytes.len().max(len as usize), 0);
}

/// Runs the steps; answers the disk, the file as it is, and as it was when it was last synced.
fn run(seed: u64, steps: &[Step]) -> (SimFs, Vec<u8>, Vec<u8>) {
    let fs = SimFs::new(seed);
    fs.write_file("/f", b"").unwrap();
    let mut file = fs.open(Path::new("/f"), Access::ReadWrite).unwrap();
    let harmless =
        FaultKind::HARMLESS.iter().fold(Faults::NONE, |faults, it| faults.with(*it, Rate::percent(20)));
    fs.set_faults(harmless);
    let (mut now, mut synced) = (Vec::new(), Vec::new());
    for step in steps {
        match step {
            Step::Write(offset, len, byte) => {
                write_all_at(&*file, &vec![*byte; *len], *offset).unwrap();
                grow(&mut now, offset + *len as u64);
                now[*offset as usize..*offset as usize + len].fill(*byte);
            }
            Step::SetLen(len) => {
                file.set_len(*len).unwrap();
                now.resize(*len as usize, 0);
            }
            Step::Allocate(offset, len) => {
                file.allocate(*offset, *len).unwrap();
                grow(&mut now, offset + len);
            }
            Step::Sync => {
                file.sync_data().unwrap();
                synced.clone_from(&now);
            }
            Step::FailedSync => {
                fs.fail_at(fs.calls() + 1, FaultKind::SyncError);
                assert!(file.sync_data().is_err());
                file = fs.open(Path::new("/f"), Access::ReadWrite).unwrap();
            }
        }
    }
    (fs, now, synced)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_crash_keeps_between_what_was_synced_and_what_was_written(seed: u64, steps in proptest::collection::vec(step(), 1..30)) {
        let (fs, now, synced) = run(seed, &steps);
        prop_assert_eq!(&fs.read_file("/f").unwrap(), &now);
        let used = fs.used();
        for (policy, want) in [(CrashPolicy::NOTHING, &synced), (CrashPolicy::EVERYTHING, &now)] {
            let crashed = fs.fork().crash(&policy);
            prop_assert_eq!(&crashed.read_file("/f").unwrap(), want);
            // The disk goes on from there as from any other.
            let file = crashed.open(Path::new("/f"), Access::ReadWrite).unwrap();
            crashed.heal();
            write_all_at(&*file, b"more", want.len() as u64).unwrap();
            file.sync_data().unwrap();
            let more = [&want[..], b"more"].concat();
            prop_assert_eq!(crashed.crash(&CrashPolicy::NOTHING).read_file("/f").unwrap(), more);
        }
        prop_assert_eq!(fs.used(), used);
        prop_assert_eq!(fs.process_kill().read_file("/f").unwrap(), now);
    }

    #[test]
    fn what_is_written_again_after_a_failed_sync_is_as_durable_as_anything(
        seed: u64,
        before in proptest::collection::vec(step(), 1..15),
        after in proptest::collection::vec(step(), 0..15),
    ) {
        let steps = [&before[..], &[Step::FailedSync, Step::SetLen(0), Step::Sync], &after, &[Step::Sync]].concat();
        let (fs, now, _) = run(seed, &steps);
        prop_assert_eq!(&fs.read_file("/f").unwrap(), &now);
        fs.evict_all();
        prop_assert_eq!(&fs.read_file("/f").unwrap(), &now);
        prop_assert_eq!(fs.crash(&CrashPolicy::PARANOID).read_file("/f").unwrap(), now);
    }

    #[test]
    fn no_crash_invents_bytes(seed: u64, steps in proptest::collection::vec(step(), 1..20)) {
        let (fs, now, synced) = run(seed, &steps);
        let longest = steps.iter().filter_map(|step| match step {
            Step::Write(offset, len, _) => Some(offset + *len as u64),
            Step::SetLen(len) => Some(*len),
            Step::Allocate(offset, len) => Some(offset + len),
            _ => None,
        }).max().unwrap_or(0).max(now.len() as u64).max(synced.len() as u64);
        let crashed = fs.crash(&CrashPolicy::STRICT).read_file("/f").unwrap();
        prop_assert!(crashed.len() as u64 <= longest);
        for (at, byte) in crashed.iter().enumerate() {
            let at = at as u64;
            let written = steps.iter().any(|step| matches!(step,
                Step::Write(offset, len, it) if it == byte && (*offset..offset + *len as u64).contains(&at)));
            prop_assert!(*byte == 0 || written, "byte {} at {}", byte, at);
        }
    }
}
