//! Each fault of a running simulated disk: what it looks like, and that careful work survives it.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use recension::env::{Access, File, Fs, LockMode, read_vec_at, write_all_at};
use recension::sim::{
    CrashPolicy, Damage, FaultKind, Faults, Op, Prng, Rate, Rule, SimClock, SimFs, ViolationKind,
};

fn path(name: &str) -> &Path {
    Path::new(name)
}

fn disk_with(bytes: &[u8]) -> (SimFs, Arc<dyn File>) {
    let fs = SimFs::new(7);
    fs.write_file("/d/f", bytes).unwrap();
    let file = fs.open(path("/d/f"), Access::ReadWrite).unwrap();
    (fs, file)
}

fn always(fs: &SimFs, kind: FaultKind) {
    fs.set_faults(Faults::NONE.with(kind, Rate::ALWAYS));
}

fn count(fs: &SimFs, kind: FaultKind) -> u64 {
    fs.stats().count(kind)
}

#[test]
fn short_and_interrupted_calls_are_survived_by_the_whole_reads_and_writes() {
    let (fs, file) = disk_with(b"");
    let bytes: Vec<u8> = (0..9000_u32).map(|i| i as u8).collect();
    let often = Rate::percent(60);
    fs.set_faults(
        Faults::NONE
            .with(FaultKind::ShortRead, often)
            .with(FaultKind::ShortWrite, often)
            .with(FaultKind::Interrupted, often),
    );
    assert!((0..50).any(|_| file.write_at(b"ab", 0).is_ok_and(|n| n == 1)), "a bare write may do less");
    write_all_at(&*file, &bytes, 0).unwrap();
    assert_eq!(read_vec_at(&*file, bytes.len(), 0).unwrap(), bytes);
    for kind in [FaultKind::ShortRead, FaultKind::ShortWrite, FaultKind::Interrupted] {
        assert!(count(&fs, kind) > 0, "{kind:?}");
    }
}

#[test]
fn every_call_can_fail() {
    let (fs, file) = disk_with(b"bytes");
    let all = [
        FaultKind::ReadError,
        FaultKind::WriteError,
        FaultKind::SyncError,
        FaultKind::NameError,
        FaultKind::MetaError,
    ];
    fs.set_faults(all.iter().fold(Faults::NONE, |faults, kind| faults.with(*kind, Rate::ALWAYS)));
    let d = path("/d");
    let mut buf = [0; 1];
    let failed = [
        file.read_at(&mut buf, 0).is_err(),
        file.map(1).is_err(),
        file.write_at(b"x", 0).is_err(),
        file.set_len(9).is_err(),
        file.allocate(0, 9).is_err(),
        file.sync_data().is_err(),
        file.len().is_err(),
        file.link_count().is_err(),
        fs.open(path("/d/f"), Access::Read).is_err(),
        fs.open(path("/d/n"), Access::CreateNew).is_err(),
        fs.rename(path("/d/f"), path("/d/g")).is_err(),
        fs.remove_file(path("/d/f")).is_err(),
        fs.hard_link(path("/d/f"), path("/d/h")).is_err(),
        fs.create_dir_all(path("/e")).is_err(),
        fs.read_dir(d).is_err(),
        fs.sync_dir(d).is_err(),
        fs.exists(d).is_err(),
        fs.try_lock(path("/d/l"), LockMode::Exclusive).is_err(),
        fs.canonical(d).is_err(),
        fs.free_space(d).is_err(),
    ];
    assert!(failed.iter().all(|it| *it), "{failed:?}");
    fs.heal();
    assert!(fs.exists(d).unwrap());
}

#[test]
fn a_call_about_names_that_fails_may_have_happened() {
    let happened = |seed| {
        let fs = SimFs::new(seed);
        fs.write_file("/f", b"").unwrap();
        always(&fs, FaultKind::NameError);
        assert!(fs.remove_file(path("/f")).is_err());
        fs.files().is_empty()
    };
    assert!((0..50).any(happened) && !(0..50).all(happened));
}

#[test]
fn after_a_failed_sync_reads_show_the_bytes_until_eviction_and_a_good_sync_does_not_save_them() {
    let lost = |seed| {
        let fs = SimFs::new(seed);
        fs.write_file("/f", b"old").unwrap();
        let file = fs.open(path("/f"), Access::ReadWrite).unwrap();
        write_all_at(&*file, b"new", 0).unwrap();
        fs.fail_at(fs.calls() + 1, FaultKind::SyncError);
        assert!(file.sync_data().is_err());
        assert_eq!(fs.read_file("/f").unwrap(), b"new", "the page cache still has it");
        let again = fs.open(path("/f"), Access::ReadWrite).unwrap();
        again.sync_data().unwrap();
        assert!(fs.violations().is_empty(), "a handle from after the failure may sync");
        file.sync_data().unwrap();
        assert_eq!(fs.violations()[0].kind, ViolationKind::SyncRetried);
        let crashed = fs.fork().crash(&CrashPolicy::EVERYTHING).read_file("/f").unwrap();
        fs.evict_all();
        assert_eq!(fs.read_file("/f").unwrap(), crashed, "the disk's truth comes out");
        crashed == b"old"
    };
    assert!((0..50).any(lost) && !(0..50).all(lost));
}

#[test]
fn bytes_written_again_after_a_failed_sync_are_saved_by_a_good_one() {
    for seed in 0..50 {
        let fs = SimFs::new(seed);
        fs.write_file("/f", b"old").unwrap();
        let file = fs.open(path("/f"), Access::ReadWrite).unwrap();
        write_all_at(&*file, b"new and longer", 0).unwrap();
        fs.fail_at(fs.calls() + 1, FaultKind::SyncError);
        assert!(file.sync_data().is_err());
        let file = fs.open(path("/f"), Access::ReadWrite).unwrap();
        write_all_at(&*file, b"new and longer", 0).unwrap();
        file.sync_data().unwrap();
        assert_eq!(fs.crash(&CrashPolicy::PARANOID).read_file("/f").unwrap(), b"new and longer");
    }
}

#[test]
fn a_failed_sync_of_a_directory_loses_names_that_are_still_shown() {
    let lost = |seed| {
        let fs = SimFs::new(seed);
        fs.open(path("/f"), Access::CreateNew).unwrap();
        fs.fail_at(fs.calls() + 1, FaultKind::SyncError);
        assert!(fs.sync_dir(path("/")).is_err());
        assert!(fs.exists(path("/f")).unwrap());
        fs.sync_dir(path("/")).unwrap();
        assert_eq!(fs.violations()[0].kind, ViolationKind::SyncRetried);
        fs.crash(&CrashPolicy::EVERYTHING).files().is_empty()
    };
    assert!((0..50).any(lost) && !(0..50).all(lost));
}

#[test]
fn a_lost_write_reads_well_until_the_page_cache_is_dropped() {
    let (fs, file) = disk_with(b"old");
    always(&fs, FaultKind::LostWrite);
    write_all_at(&*file, b"new", 0).unwrap();
    file.sync_data().unwrap();
    assert_eq!(fs.read_file("/d/f").unwrap(), b"new");
    assert_eq!(count(&fs, FaultKind::LostWrite), 1);
    always(&fs, FaultKind::Evict);
    assert_eq!(read_vec_at(&*file, 3, 0).unwrap(), b"old", "stale");
    assert_eq!(count(&fs, FaultKind::Evict), 1);
}

#[test]
fn a_misdirected_write_is_missing_in_one_place_and_damages_another() {
    let damaged_other = |seed| {
        let fs = SimFs::new(seed);
        fs.write_file("/a", &[1; 4096]).unwrap();
        fs.write_file("/b", &[2; 4096]).unwrap();
        let file = fs.open(path("/a"), Access::ReadWrite).unwrap();
        always(&fs, FaultKind::MisdirectedWrite);
        write_all_at(&*file, &[9; 512], 1024).unwrap();
        file.sync_data().unwrap();
        assert_eq!(fs.read_file("/a").unwrap()[1024..1536], [9; 512]);
        fs.heal();
        fs.evict_all();
        let (a, b) = (fs.read_file("/a").unwrap(), fs.read_file("/b").unwrap());
        if count(&fs, FaultKind::MisdirectedWrite) == 0 {
            return false;
        }
        assert_eq!(a[1024..1536], [1; 512], "it is not where it should be");
        assert_eq!((a.len(), b.len()), (4096, 4096));
        b.contains(&9)
    };
    assert!((0..60).any(damaged_other) && !(0..60).all(damaged_other));
}

#[test]
fn a_misdirected_read_gives_other_bytes_once() {
    let bytes: Vec<u8> = (0..4096_u32).map(|i| (i / 512) as u8).collect();
    let (fs, file) = disk_with(&bytes);
    always(&fs, FaultKind::MisdirectedRead);
    let wrong = (0..20).filter(|_| read_vec_at(&*file, 512, 512).unwrap() != [1; 512]).count();
    assert!(wrong > 5);
    assert_eq!(count(&fs, FaultKind::MisdirectedRead), wrong as u64);
    fs.heal();
    assert_eq!(read_vec_at(&*file, 4096, 0).unwrap(), bytes);
}

#[test]
fn bit_rot_stays() {
    let (fs, file) = disk_with(&[0; 5000]);
    always(&fs, FaultKind::BitRot);
    let first = read_vec_at(&*file, 100, 4000).unwrap();
    assert_eq!(first.iter().map(|byte| byte.count_ones()).sum::<u32>(), 1);
    fs.heal();
    assert_eq!(read_vec_at(&*file, 100, 4000).unwrap(), first);
    let fs = fs.crash(&CrashPolicy::NOTHING);
    assert_eq!(fs.read_file("/d/f").unwrap()[4000..4100], first);
}

#[test]
fn space_runs_out_and_comes_back() {
    let (fs, file) = disk_with(b"");
    fs.set_capacity(fs.used() + 3 * 4096);
    file.allocate(0, 8192).unwrap();
    assert_eq!(fs.free_space(path("/d")).unwrap(), 4096);
    assert_eq!(file.allocate(8192, 8192).unwrap_err().kind(), ErrorKind::StorageFull);
    let other = fs.open(path("/d/g"), Access::CreateNew).unwrap();
    assert_eq!(other.write_at(&[1; 9000], 0).unwrap(), 4096, "what fits");
    assert_eq!(other.write_at(&[1; 10], 4096).unwrap_err().kind(), ErrorKind::StorageFull);
    write_all_at(&*file, &[2; 8192], 0).unwrap();
    fs.remove_file(path("/d/g")).unwrap();
    assert_eq!(fs.free_space(path("/d")).unwrap(), 0, "an open file holds its space");
    drop(other);
    file.allocate(8192, 4096).unwrap();
    file.set_len(0).unwrap();
    assert_eq!(fs.free_space(path("/d")).unwrap(), 3 * 4096);
    fs.set_faults(Faults::NONE.with(FaultKind::NoSpace, Rate::ALWAYS));
    assert_eq!(file.write_at(b"x", 0).unwrap_err().kind(), ErrorKind::StorageFull);
}

#[test]
fn a_rule_hits_the_calls_it_names() {
    let (fs, file) = disk_with(b"");
    fs.write_file("/d/MANIFEST", b"").unwrap();
    let manifest = fs.open(path("/d/MANIFEST"), Access::ReadWrite).unwrap();
    let rule =
        Rule { ops: vec![Op::Sync], path: "MANIFEST".into(), skip: 1, count: 1, fault: FaultKind::SyncError };
    fs.fail_when(rule);
    let mut outcomes = Vec::new();
    for _ in 0..3 {
        file.sync_data().unwrap();
        outcomes.push(manifest.sync_data().is_ok());
    }
    assert_eq!(outcomes, [true, false, true]);
}

#[test]
fn calls_take_time_and_sometimes_very_much() {
    let clock = SimClock::new(1);
    let (fs, file) = disk_with(b"x");
    fs.set_clock(&clock, 100);
    file.len().unwrap();
    assert_eq!(clock.peek_us(), 100);
    always(&fs, FaultKind::Stall);
    for _ in 0..20 {
        file.len().unwrap();
    }
    assert!(clock.peek_us() > 1_000_000);
    assert_eq!(count(&fs, FaultKind::Stall), 20);
}

#[test]
fn a_random_kill_may_leave_a_part_of_a_write_to_a_process_kill() {
    let outcome = |seed| {
        let fs = SimFs::new(seed);
        fs.write_file("/f", b"").unwrap();
        let file = fs.open(path("/f"), Access::ReadWrite).unwrap();
        always(&fs, FaultKind::Kill);
        assert!(file.write_at(&[1; 10], 0).is_err());
        fs.process_kill().read_file("/f").unwrap().len()
    };
    let lengths: Vec<usize> = (0..60).map(outcome).collect();
    assert!(lengths.contains(&0) && lengths.contains(&10) && lengths.iter().any(|n| (1..10).contains(n)));
}

#[test]
fn what_the_contracts_forbid_is_recorded() {
    let (fs, file) = disk_with(b"sealed");
    let kinds = |fs: &SimFs| fs.violations().iter().map(|it| it.kind).collect::<Vec<_>>();
    let map = file.map(6).unwrap();
    assert!(kinds(&fs).is_empty());
    file.set_len(3).unwrap();
    assert_eq!(map, b"sealed"[..]);
    drop(map);
    write_all_at(&*file, b"x", 0).unwrap();
    drop(file.map(3).unwrap());
    let reader = fs.open(path("/d/f"), Access::Read).unwrap();
    assert!(reader.write_at(b"y", 0).is_err());
    let want = [
        ViolationKind::ChangedUnderMap,
        ViolationKind::ChangedAfterMap,
        ViolationKind::MappedUnsynced,
        ViolationKind::WroteReadOnly,
    ];
    assert_eq!(kinds(&fs), want);
    assert_eq!(file.map(7).unwrap_err().kind(), ErrorKind::UnexpectedEof);
}

#[test]
#[should_panic(expected = "ChangedUnderMap")]
fn a_violation_panics_where_asked_to() {
    let (fs, file) = disk_with(b"sealed");
    fs.panic_on_violation();
    let _map = file.map(6).unwrap();
    let _ = file.set_len(0);
}

#[test]
fn damage_at_rest_is_done_told_and_counted() {
    let bytes: Vec<u8> = (0..3000_u32).map(|i| (i / 7) as u8).collect();
    for (seed, damage) in Damage::ALL.iter().enumerate() {
        let fs = SimFs::new(0);
        fs.write_file("/d/f", b"older").unwrap();
        fs.remember();
        fs.write_file("/d/f", &bytes).unwrap();
        let told = fs.damage("/d/f", *damage, &mut Prng::new(seed as u64)).unwrap();
        assert!(told.is_some(), "{damage:?}");
        assert_ne!(fs.read_file("/d/f").ok(), Some(bytes.clone()), "{damage:?}");
        assert_eq!(fs.stats().all().iter().map(|(_, n)| n).sum::<u64>(), 1, "{damage:?}");
        if *damage == Damage::Remove {
            assert!(fs.restore_older_copy("/d/f").unwrap());
            assert_eq!(fs.read_file("/d/f").unwrap(), b"older");
        }
        let after = fs.image_hash();
        assert_eq!(fs.crash(&CrashPolicy::NOTHING).image_hash(), after, "it is on the disk: {damage:?}");
    }
}

#[test]
fn a_bit_that_flips_in_the_buffer_of_a_write_is_on_the_disk_and_in_the_page_cache_alike() {
    let (fs, file) = disk_with(b"");
    fs.fail_next(FaultKind::BufferFlip, "/d/f", 0);
    write_all_at(&*file, &[0; 64], 0).unwrap();
    file.sync_data().unwrap();
    let ones = |bytes: &[u8]| bytes.iter().map(|byte| byte.count_ones()).sum::<u32>();
    assert_eq!(ones(&read_vec_at(&*file, 64, 0).unwrap()), 1);
    assert_eq!(ones(&fs.crash(&CrashPolicy::NOTHING).read_file("/d/f").unwrap()), 1);
    assert_eq!(count(&fs, FaultKind::BufferFlip), 1);
}

#[test]
fn a_read_behind_a_lost_write_is_stale_once_the_page_cache_is_gone_and_until_it_is_written_again() {
    let (fs, file) = disk_with(b"old old old");
    fs.fail_next(FaultKind::LostWrite, "/d/f", 0);
    write_all_at(&*file, b"new", 4).unwrap();
    file.sync_data().unwrap();
    assert_eq!(read_vec_at(&*file, 11, 0).unwrap(), b"old new old");
    assert_eq!(count(&fs, FaultKind::StaleRead), 0, "the page cache hides it");
    fs.evict_all();
    assert_eq!(read_vec_at(&*file, 3, 0).unwrap(), b"old");
    assert_eq!(count(&fs, FaultKind::StaleRead), 0, "another place");
    assert_eq!(read_vec_at(&*file, 11, 0).unwrap(), b"old old old");
    assert_eq!(count(&fs, FaultKind::StaleRead), 1);
    write_all_at(&*file, b"new", 4).unwrap();
    assert_eq!(read_vec_at(&*file, 11, 0).unwrap(), b"old new old");
    assert_eq!(count(&fs, FaultKind::StaleRead), 1);
}

#[test]
fn skewed_latency_makes_the_same_calls_slow_each_time_and_leaves_the_others_alone() {
    let (fs, _) = disk_with(b"bytes");
    let clock = SimClock::new(1);
    fs.set_clock(&clock, 20);
    fs.set_faults(Faults::NONE.with(FaultKind::Skew, Rate::percent(30)));
    let took = |name: &str| {
        let before = clock.peek_us();
        let _ = fs.exists(path(name));
        clock.peek_us() - before
    };
    let names: Vec<String> = (0..50).map(|n| format!("/d/{n}")).collect();
    let first: Vec<u64> = names.iter().map(|name| took(name)).collect();
    let again: Vec<u64> = names.iter().map(|name| took(name)).collect();
    assert_eq!(first, again);
    let slow = first.iter().filter(|us| **us > 20).count();
    assert!((5..30).contains(&slow), "{slow} of 50");
    assert_eq!(count(&fs, FaultKind::Skew), 2 * slow as u64);
}

#[test]
fn a_rename_between_directories_that_a_crash_split_is_counted() {
    let seeds = (0..64).filter(|seed| {
        let fs = SimFs::new(*seed);
        fs.write_file("/d/f", b"bytes").unwrap();
        fs.write_file("/e/g", b"other").unwrap();
        fs.rename(path("/d/f"), path("/e/f")).unwrap();
        let policy = CrashPolicy::PARANOID.keep(Rate::percent(50));
        let after = fs.crash(&policy);
        let halves = (after.read_file("/d/f").is_ok(), after.read_file("/e/f").is_ok());
        let split = halves.0 == halves.1;
        assert_eq!(count(&after, FaultKind::RenameSplit), u64::from(split), "{halves:?}");
        split
    });
    assert!(seeds.count() > 5);
}

#[test]
fn a_flipped_bit_leaves_unsynced_changes_unsynced() {
    let (fs, file) = disk_with(&[0; 100]);
    write_all_at(&*file, b"unsynced", 10).unwrap();
    fs.flip_bit("/d/f", 50, 3).unwrap();
    let fs = fs.crash(&CrashPolicy::NOTHING);
    let bytes = fs.read_file("/d/f").unwrap();
    assert_eq!((bytes[10], bytes[50]), (0, 8));
}

/// A small workload under many faults; answers the trace.
fn run(seed: u64) -> (u64, u64) {
    let mut rng = Prng::new(seed);
    let mut fs = SimFs::new(seed);
    let kinds: Vec<FaultKind> =
        FaultKind::ALL.iter().copied().filter(|kind| *kind < FaultKind::Stall).collect();
    let _ = fs.create_dir_all(path("/d"));
    fs.set_faults(Faults::swarm(&kinds, &mut rng));
    for _ in 0..5 {
        for _ in 0..30 {
            let name = format!("/d/{}", rng.below(4));
            let access = *rng.pick(&[Access::CreateNew, Access::ReadWrite]).unwrap();
            let Ok(file) = fs.open(path(&name), access) else { continue };
            let _ =
                write_all_at(&*file, &vec![rng.below(256) as u8; rng.below(3000) as usize], rng.below(5000));
            if rng.one_in(2) {
                let _ = file.sync_data();
            }
            let _ = file.read_at(&mut [0; 700], rng.below(4000));
            if rng.one_in(4) {
                let _ = fs.rename(path(&name), path("/d/x"));
                let _ = fs.sync_dir(path("/d"));
            }
        }
        fs = fs.crash(&CrashPolicy::draw(&mut rng));
    }
    (fs.trace_hash(), fs.image_hash())
}

#[test]
fn the_same_seed_gives_the_same_trace_and_the_same_disk() {
    for seed in 0..20 {
        assert_eq!(run(seed), run(seed));
    }
    let all: std::collections::BTreeSet<_> = (0..20).map(run).collect();
    assert_eq!(all.len(), 20);
}

#[test]
fn the_trace_can_be_read() {
    let (fs, file) = disk_with(b"");
    write_all_at(&*file, b"abc", 5).unwrap();
    let text: Vec<String> = fs.trace().iter().map(ToString::to_string).collect();
    assert_eq!(text, ["     1 Open      /d/f", "     2 Write     /d/f at 5 len 3 crc 352441c2"]);
    assert_eq!((fs.calls(), fs.changes()), (2, 1));
}
