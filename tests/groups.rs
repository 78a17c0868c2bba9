//! Contents of one entity that were committed together stand in group frames: in the log they read back bit for bit, and a pack takes the
//! groups as they are.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use recension::limits::Limits;
use recension::sim::{CrashPolicy, SimEnv};
use recension::{
    AcceptClockSteps, Batch, ByteSize, CheckDepth, Compaction, Draft, Expect, LiveChanges, Packing, Progress,
    Store, StoreBuilder,
};

fn builder(env: &SimEnv) -> StoreBuilder {
    Store::builder("/store")
        .limits(Limits::TINY)
        .memory(ByteSize(1 << 20))
        .accept_clock_steps(AcceptClockSteps::AtOnce)
        .packing(Packing::WhenAsked)
        .env(env.env())
}

fn all(_: &'static str, _: u64, _: u64) -> bool {
    true
}

/// A revision that compresses alone, only together with its neighbours, or not at all.
fn content(kind: u8, entity: u8, edit: u64) -> Vec<u8> {
    match kind % 5 {
        0 => format!("line after line, {entity}; ").repeat(30 + edit as usize % 7).into_bytes(),
        1 => {
            let mut same = vec![0; 900];
            blake3::Hasher::new().update(&[entity]).finalize_xof().fill(&mut same);
            same.extend_from_slice(&edit.to_le_bytes());
            same
        }
        2 => {
            let mut noise = vec![0; 300];
            blake3::Hasher::new().update(&edit.to_le_bytes()).finalize_xof().fill(&mut noise);
            noise
        }
        3 => Vec::new(),
        _ => format!("{edit}").into_bytes(),
    }
}

/// What was written, by entity, oldest first: contents by slot.
type Written = BTreeMap<String, Vec<Vec<Vec<u8>>>>;

#[derive(Clone, Debug)]
enum Step {
    /// Revisions: entity, kind of content, whether there is a further slot.
    Commit(Vec<(u8, u8, bool)>, bool),
    Reopen,
    ProcessKill,
    PowerCut,
    Idle,
    Pack,
    Full,
}

fn step() -> impl Strategy<Value = Step> {
    let revisions = proptest::collection::vec((0_u8..3, 0_u8..5, proptest::bool::weighted(0.2)), 1..14);
    prop_oneof![
        12 => (revisions, any::<bool>()).prop_map(|(revisions, run)| Step::Commit(revisions, run)),
        1 => Just(Step::Reopen),
        1 => Just(Step::ProcessKill),
        1 => Just(Step::PowerCut),
        1 => Just(Step::Idle),
        1 => Just(Step::Pack),
        1 => Just(Step::Full),
    ]
}

fn commit(store: &Store, written: &mut Written, revisions: &[(u8, u8, bool)], run: bool, edit: &mut u64) {
    let mut batch = Batch::new();
    for (entity, kind, slot) in revisions {
        *edit += 1;
        let mut contents = vec![content(*kind, *entity, *edit)];
        let mut draft = Draft::new(contents[0].clone());
        if *slot {
            contents.push(content(0, *entity, *edit + 1));
            draft = draft.slot("media", Some(contents[1].clone().into()));
        }
        let name = format!("entity {entity}");
        batch = batch.put(&name, Expect::Any, draft).unwrap();
        written.entry(name).or_default().push(contents);
    }
    store.commit(if run { batch.as_run() } else { batch }).unwrap();
}

/// Everything is there, on every path.
fn has(store: &Store, written: &Written) {
    for (entity, revisions) in written {
        let history: Vec<_> = store.history(entity).unwrap().map(Result::unwrap).collect();
        assert_eq!(history.len(), revisions.len(), "{entity}");
        for (revision, contents) in history.iter().rev().zip(revisions) {
            assert_eq!(revision.content().unwrap().bytes().unwrap()[..], contents[0][..]);
            if let Some(slot) = contents.get(1) {
                assert_eq!(revision.slots().unwrap()[0].1.bytes().unwrap()[..], slot[..]);
            }
        }
        let head = store.get(entity).unwrap().unwrap();
        assert_eq!(head.content().unwrap().bytes().unwrap()[..], revisions.last().unwrap()[0][..]);
        // The oldest of a group first, without its neighbours having been asked for.
        for number in [1, revisions.len() as u64 / 2 + 1] {
            let revision = store.revision(entity, number).unwrap().unwrap();
            let contents = &revisions[usize::try_from(number).unwrap() - 1];
            assert_eq!(revision.content().unwrap().bytes().unwrap()[..], contents[0][..]);
        }
    }
    let report = store.check(CheckDepth::Deep, &mut Progress::new(&mut all)).unwrap();
    assert_eq!(report.findings, []);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn contents_that_were_grouped_read_back_bit_for_bit_wherever_they_are(
        steps in proptest::collection::vec(step(), 1..40),
        seed in any::<u64>(),
    ) {
        let mut env = SimEnv::new(seed);
        let mut store = builder(&env).open().unwrap();
        let mut written = Written::new();
        let mut edit = 0;
        for step in steps.into_iter().chain([Step::Reopen]) {
            match step {
                Step::Commit(revisions, run) => commit(&store, &mut written, &revisions, run, &mut edit),
                Step::Reopen => {
                    store.close().unwrap();
                    store = builder(&env).open().unwrap();
                }
                Step::ProcessKill => {
                    env = env.process_kill();
                    store = builder(&env).open().unwrap();
                }
                Step::PowerCut => {
                    env = env.crash(&CrashPolicy::PARANOID);
                    store = builder(&env).open().unwrap();
                }
                Step::Idle => drop(env.jobs.run_until_idle(10_000)),
                Step::Pack => store.pack(&mut Progress::new(&mut all)).unwrap(),
                Step::Full => store.compact(Compaction::Full, &mut Progress::new(&mut all)).unwrap(),
            }
            has(&store, &written);
        }
        env.jobs.run_for(Duration::from_secs(1));
        let mut live = LiveChanges::open_in(env.env(), "/store".as_ref(), 0).unwrap();
        let mut count = 0;
        while let Some(change) = live.poll().unwrap() {
            count += 1;
            prop_assert_eq!(change.sequence, count);
        }
        prop_assert_eq!(count, edit);
    }
}

fn page(edit: u64) -> String {
    (0..60)
        .map(|line| format!("line {line} of the page, edited in {}\n", edit.saturating_sub(line) / 3))
        .collect()
}

/// A store whose log holds two groups of four and a content by itself, and the name of the segment.
fn two_groups(env: &SimEnv) -> (Store, String) {
    let store = builder(env).open().unwrap();
    for name in ["A", "B"] {
        let batch = (0..4).fold(Batch::new(), |batch, edit| {
            batch.put(name, Expect::Any, Draft::new(page(edit)).comment(format!("edit {edit}"))).unwrap()
        });
        store.commit(batch.as_run()).unwrap();
    }
    store.put("C", Expect::Any, Draft::new(page(9))).unwrap();
    let segment = env.fs.files().into_iter().find(|name| name.ends_with(".seg")).unwrap();
    (store, segment)
}

fn is_right(store: &Store, name: &str, number: u64) -> recension::Result<bool> {
    let edit = if name == "C" { 9 } else { number - 1 };
    Ok(store.revision(name, number)?.unwrap().content()?.bytes().unwrap() == page(edit).as_bytes())
}

#[test]
fn damage_inside_a_group_costs_its_revisions_and_no_others() {
    let env = SimEnv::new(1);
    let (store, segment) = two_groups(&env);
    store.close().unwrap();
    let intact = env.fs.read_file(&segment).unwrap();
    let frame = [0x28, 0xb5, 0x2f, 0xfd];
    let at = intact.windows(4).position(|bytes| bytes == frame).expect("a zstd frame in the log");
    let mut bytes = intact.clone();
    bytes[at + 40] ^= 0x10;
    env.fs.write_file(&segment, &bytes).unwrap();
    let store = builder(&env).open().unwrap();
    for number in 1..=4 {
        let error = is_right(&store, "A", number).unwrap_err().to_string();
        assert!(error.contains(&format!("the content of change {number} slot 0")), "{error}");
        assert!(is_right(&store, "B", number).unwrap());
    }
    assert!(is_right(&store, "C", 1).unwrap());
    let report = store.check(CheckDepth::Deep, &mut Progress::new(&mut all)).unwrap();
    let found = format!("{:?}", report.findings);
    for number in 1..=4 {
        assert!(found.contains(&format!("the content of change {number} slot 0")), "{found}");
    }
    assert_eq!(report.findings.len(), 4, "{found}");
}

#[test]
fn a_pack_takes_full_groups_of_the_log_as_they_are() {
    let env = SimEnv::new(2);
    let (store, segment) = two_groups(&env);
    let log = env.fs.read_file(&segment).unwrap();
    let frame = [0x28, 0xb5, 0x2f, 0xfd];
    let frames: Vec<usize> =
        log.windows(4).enumerate().filter(|(_, bytes)| *bytes == frame).map(|(at, _)| at).collect();
    store.pack(&mut Progress::new(&mut all)).unwrap();
    let packs: Vec<String> = env.fs.files().into_iter().filter(|name| name.ends_with(".pack")).collect();
    let pack = env.fs.read_file(&packs[0]).unwrap();
    for at in &frames[..2] {
        let group = &log[*at..at + 60];
        assert!(pack.windows(60).any(|bytes| bytes == group), "the group at {at} was compressed anew");
    }
    for number in 1..=4 {
        assert!(is_right(&store, "A", number).unwrap() && is_right(&store, "B", number).unwrap());
    }
    assert!(is_right(&store, "C", 1).unwrap());
}

#[test]
fn a_commit_of_one_revision_is_as_it_was() {
    let env = SimEnv::new(3);
    let store = builder(&env).open().unwrap();
    for edit in 0..9 {
        store.put("A", Expect::Any, Draft::new(page(edit))).unwrap();
    }
    let log = env.fs.files().into_iter().find(|name| name.ends_with(".seg")).unwrap();
    let log = env.fs.read_file(&log).unwrap();
    assert!(!log.windows(4).any(|bytes| bytes == [0x28, 0xb5, 0x2f, 0xfd]));
}
