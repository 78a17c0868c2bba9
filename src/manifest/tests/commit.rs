//! Commits, file numbers, rewriting, and what happens when the disk fails.

use super::*;

fn put(number: u64) -> Edit {
    Edit::SetOption { key: format!("k{number:03}"), value: vec![b'v'; 100].into() }
}

#[test]
fn a_commit_is_visible_when_it_returns_and_there_after_a_power_cut() {
    let disk = Disk::new();
    let manifest = create(&disk);
    let before = manifest.state();
    let state = manifest.commit(vec![Edit::AddValueFile(segment(5, [1, 10])), flushed(10)]).unwrap();
    assert!(Arc::ptr_eq(&state, &manifest.state()));
    assert!(before.value_files.is_empty(), "a state that somebody holds does not change");
    for survives in [disk::Survives::Nothing, disk::Survives::All] {
        let again = reopen(&disk.crash(survives, survives));
        assert_eq!(essence(&again.state()), essence(&state));
    }
}

#[test]
fn a_commit_of_nothing_writes_nothing() {
    let disk = Disk::new();
    let manifest = create(&disk);
    let steps = disk.steps();
    manifest.commit(Vec::new()).unwrap();
    assert_eq!(disk.steps(), steps);
}

#[test]
fn numbers_are_given_out_once_with_one_commit_for_many() {
    let disk = Disk::new();
    let manifest = create(&disk);
    let mut given = Vec::new();
    let steps = disk.steps();
    for _ in 0..200 {
        given.push(manifest.allocate_file().unwrap().number);
    }
    assert!(disk.steps() - steps < 20, "{} steps", disk.steps() - steps);
    given.extend(manifest.announce(FileKind::Pack, 100).unwrap().iter().map(|id| id.number));
    given.push(manifest.allocate_file().unwrap().number);
    drop(manifest);
    let manifest = reopen(&disk);
    for _ in 0..5 {
        given.push(manifest.allocate_file().unwrap().number);
    }
    assert!(given.is_sorted_by(|a, b| a < b), "{given:?}");
    assert!(given.iter().all(|number| *number < manifest.state().next_file));
}

#[test]
fn numbers_of_files_in_the_directory_are_skipped() {
    let disk = Disk::new();
    drop(create(&disk));
    disk.put(&dir().join(id(5000).file_name(FileKind::Segment)), b"");
    let manifest = reopen(&disk);
    let number = manifest.allocate_file().unwrap().number;
    assert_eq!(number, 5001);
    assert!(manifest.state().next_file > 5001);
}

#[test]
fn new_files_carry_the_epoch() {
    let disk = Disk::new();
    let manifest = create(&disk);
    manifest.commit(vec![Edit::Epoch(7)]).unwrap();
    assert_eq!(manifest.allocate_file().unwrap().epoch, 7);
    assert_eq!(manifest.announce(FileKind::Pack, 1).unwrap()[0].epoch, 7);
}

#[test]
fn installing_a_file_ends_its_intent() {
    let disk = Disk::new();
    let manifest = create(&disk);
    let ids = manifest.announce(FileKind::RevisionTable, 3).unwrap();
    assert_eq!(manifest.state().intents.len(), 3);
    let table = TableInfo { id: ids[0], ..table(0, 0, ["a", "b"], [1, 2]) };
    manifest.commit(vec![Edit::AddTable(table), flushed(2), Edit::IntentDone(ids[2])]).unwrap();
    assert_eq!(manifest.state().intents, [(ids[1], FileKind::RevisionTable)].into());
}

#[test]
fn edits_are_replaced_by_a_snapshot_when_they_grow_long() {
    let disk = Disk::new();
    let manifest = create(&disk);
    let first = manifest_path(&disk);
    let mut longest = 0;
    for n in 0..500 {
        manifest.commit(vec![put(n % 10)]).unwrap();
        longest = longest.max(disk.bytes(&manifest_path(&disk)).len());
    }
    assert_eq!(disk.names(dir()).len(), 1);
    assert_ne!(manifest_path(&disk), first);
    assert!((4 << 10..8 << 10).contains(&longest), "{longest}");
    assert_eq!(manifest.state().options.len(), 10);
    let state = manifest.state();
    drop(manifest);
    assert_eq!(reopen(&disk).state(), state);
}

#[test]
fn a_full_disk_refuses_a_commit_and_breaks_nothing() {
    let disk = Disk::new();
    let manifest = create(&disk);
    manifest.commit(vec![put(1)]).unwrap();
    let state = manifest.state();
    disk.set_full(true);
    assert_eq!(manifest.commit(vec![put(2)]).unwrap_err().kind(), ErrorKind::OutOfSpace);
    assert!(Arc::ptr_eq(&manifest.state(), &state));
    assert_eq!(manifest.latched(), None);
    disk.set_full(false);
    manifest.commit(vec![put(3)]).unwrap();
    let state = manifest.state();
    drop(manifest);
    assert_eq!(reopen(&disk).state(), state);
}

#[test]
fn without_room_for_a_new_file_the_old_one_is_written_on() {
    let disk = Disk::new();
    let manifest = create(&disk);
    let first = manifest_path(&disk);
    let mut n = 0;
    while !manifest.writer.lock().log.as_ref().unwrap().is_long(Limits::TINY.manifest_bytes) {
        manifest.commit(vec![put(n % 10)]).unwrap();
        n += 1;
    }
    disk.set_full(true);
    assert_eq!(manifest.commit(vec![put(2)]).unwrap_err().kind(), ErrorKind::OutOfSpace);
    assert_eq!(manifest_path(&disk), first);
    assert_eq!(disk.names(dir()).len(), 1);
    disk.set_full(false);
    manifest.commit(vec![put(2)]).unwrap();
    assert_ne!(manifest_path(&disk), first);
}

#[test]
fn a_failed_step_latches_the_manifest_and_a_new_open_gives_the_state_before_or_after() {
    for step in 0.. {
        let disk = Disk::new();
        let manifest = create(&disk);
        manifest.commit(vec![put(1)]).unwrap();
        let before = essence(&manifest.state());
        let steps = disk.steps();
        disk.fail_after(step);
        let outcome = manifest.commit(vec![put(2)]);
        if disk.steps() - steps <= step {
            break;
        }
        let mut after = before.clone();
        after.options.insert("k002".into(), vec![b'v'; 100].into());
        if let Err(error) = &outcome {
            assert_eq!(error.kind(), ErrorKind::Latched, "step {step}");
            assert_eq!(essence(&manifest.state()), before, "what is not durable is not visible");
        }
        // Also if only the promise failed: the commit is there, the next one is refused.
        let next = manifest.commit(vec![put(3)]).unwrap_err();
        assert_eq!(next.kind(), ErrorKind::Latched);
        assert!(next.to_string().contains("the disk failed"), "{next}");
        assert!(manifest.latched().is_some());
        assert_eq!(
            manifest.allocate_file().map(|_| ()).err().map(|e| e.kind()),
            None,
            "reserved numbers remain"
        );
        let state = essence(&reopen(&disk).state());
        assert!(state == after || (outcome.is_err() && state == before), "step {step}");
    }
}

#[test]
fn threads_that_allocate_and_commit_at_once_get_different_numbers() {
    let dir = tempfile::tempdir().unwrap();
    let mode = OpenMode::Create { store: STORE };
    let (manifest, _) = Manifest::open(&Env::os(1), dir.path(), mode, &Limits::TINY).unwrap();
    let mut numbers: Vec<u64> = std::thread::scope(|scope| {
        let work = |worker: u64| {
            let manifest = &manifest;
            move || {
                let mut numbers = Vec::new();
                for n in 0..20 {
                    numbers.push(manifest.allocate_file().unwrap().number);
                    numbers.extend(manifest.announce(FileKind::Pack, 2).unwrap().iter().map(|id| id.number));
                    manifest.commit(vec![put(worker * 100 + n)]).unwrap();
                }
                numbers
            }
        };
        let threads: Vec<_> = (0..3).map(|worker| scope.spawn(work(worker))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let count = numbers.len();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!((numbers.len(), count), (180, 180));
    assert_eq!(manifest.state().options.len(), 60);
    let state = manifest.state();
    drop(manifest);
    let (manifest, _) = Manifest::open(&Env::os(1), dir.path(), OpenMode::ReadWrite, &Limits::TINY).unwrap();
    assert_eq!(manifest.state(), state);
}
