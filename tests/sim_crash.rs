//! What a power cut does on the simulated disk to work done rightly and wrongly.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use recension::env::{Access, File, Fs, LockMode, write_all_at};
use recension::sim::{CrashPolicy, FaultKind, Grain, LostAs, Order, Rate, SimFs, is_machine_off};

fn path(name: &str) -> &Path {
    Path::new(name)
}

/// A disk with a durable directory `/d`.
fn disk(seed: u64) -> SimFs {
    let fs = SimFs::new(seed);
    fs.create_dir_all(path("/d")).unwrap();
    fs.sync_dir(path("/")).unwrap();
    fs
}

/// A file made the right way.
fn durable_file(fs: &SimFs, name: &str, bytes: &[u8]) -> Arc<dyn File> {
    let file = fs.open(path(name), Access::CreateNew).unwrap();
    write_all_at(&*file, bytes, 0).unwrap();
    file.sync_data().unwrap();
    fs.sync_dir(path(name).parent().unwrap()).unwrap();
    file
}

fn policies() -> [CrashPolicy; 6] {
    [
        CrashPolicy::NOTHING,
        CrashPolicy::EVERYTHING,
        CrashPolicy::LENIENT,
        CrashPolicy::POSIX,
        CrashPolicy::STRICT,
        CrashPolicy::PARANOID,
    ]
}

/// Everything that can be found in `/d/f` after a crash, over many seeds.
fn outcomes(policy: &CrashPolicy, work: impl Fn(&SimFs)) -> BTreeSet<Option<Vec<u8>>> {
    let outcome = |seed| {
        let fs = disk(seed);
        work(&fs);
        let fs = fs.crash(policy);
        fs.read_file("/d/f").ok()
    };
    (0..200).map(outcome).collect()
}

#[test]
fn what_was_written_synced_and_named_survives_every_crash() {
    let bytes: Vec<u8> = (0..10_000_u32).map(|i| i as u8).collect();
    for policy in policies() {
        let all = outcomes(&policy, |fs| _ = durable_file(fs, "/d/f", &bytes));
        assert_eq!(all, BTreeSet::from([Some(bytes.clone())]), "{policy:?}");
    }
}

#[test]
fn a_new_name_is_lost_in_some_crash_without_a_sync_of_its_directory() {
    let all = outcomes(&CrashPolicy::POSIX, |fs| {
        let file = fs.open(path("/d/f"), Access::CreateNew).unwrap();
        write_all_at(&*file, b"bytes", 0).unwrap();
        file.sync_data().unwrap();
    });
    assert_eq!(all, BTreeSet::from([None, Some(b"bytes".to_vec())]));
}

#[test]
fn a_directory_that_was_not_synced_into_its_parent_takes_its_files_along() {
    let gone = |seed| {
        let fs = SimFs::new(seed);
        fs.create_dir_all(path("/d")).unwrap();
        durable_file(&fs, "/d/f", b"x");
        fs.crash(&CrashPolicy::POSIX).files().is_empty()
    };
    assert!((0..50).any(gone) && !(0..50).all(gone));
}

#[test]
fn a_name_without_its_data_is_one_of_the_outcomes() {
    let all = outcomes(&CrashPolicy::POSIX, |fs| {
        let file = fs.open(path("/d/f"), Access::CreateNew).unwrap();
        write_all_at(&*file, b"bytes", 0).unwrap();
        fs.sync_dir(path("/d")).unwrap();
    });
    // Nothing; the length without the data; all of it.
    assert_eq!(all, BTreeSet::from([Some(vec![]), Some(vec![0; 5]), Some(b"bytes".to_vec())]));
}

#[test]
fn writes_are_torn_at_pages_sectors_or_bytes_as_the_policy_says() {
    let work = |fs: &SimFs| {
        let file = durable_file(fs, "/d/f", &[1; 8192]);
        write_all_at(&*file, &[2; 8192], 0).unwrap();
    };
    for (grain, unit) in [(Grain::Whole, 8192), (Grain::Page, 4096), (Grain::Sector, 512), (Grain::Byte, 1)] {
        for data in [Order::Prefix, Order::Subset] {
            let policy = CrashPolicy { grain, data, lost_as: LostAs::Old, ..CrashPolicy::POSIX };
            let all = outcomes(&policy, work);
            let borders = |bytes: &[u8]| {
                let changes = bytes.windows(2).enumerate().filter(|(_, pair)| pair[0] != pair[1]);
                changes.map(|(i, _)| i + 1).collect::<Vec<_>>()
            };
            let torn: Vec<_> = all.iter().flatten().flat_map(|bytes| borders(bytes)).collect();
            assert!(torn.iter().all(|at| at % unit == 0), "{grain:?} {data:?}");
            assert_eq!(torn.is_empty(), grain == Grain::Whole, "{grain:?} {data:?}");
            if grain == Grain::Byte {
                assert!(torn.iter().any(|at| at % 512 != 0), "{data:?}");
            }
        }
    }
}

#[test]
fn a_later_write_is_kept_and_an_earlier_one_lost_only_where_order_is_not_kept() {
    let work = |fs: &SimFs| {
        let file = durable_file(fs, "/d/f", &[0; 8192]);
        write_all_at(&*file, &[1; 4096], 0).unwrap();
        write_all_at(&*file, &[2; 4096], 4096).unwrap();
    };
    let reordered = Some([vec![0; 4096], vec![2; 4096]].concat());
    assert!(outcomes(&CrashPolicy::POSIX, work).contains(&reordered));
    assert!(!outcomes(&CrashPolicy::LENIENT, work).contains(&reordered));
}

#[test]
fn an_intermediate_version_of_overwritten_bytes_is_one_of_the_outcomes() {
    let all = outcomes(&CrashPolicy::POSIX, |fs| {
        let file = durable_file(fs, "/d/f", b"0");
        for version in [b"1", b"2", b"3"] {
            write_all_at(&*file, version, 0).unwrap();
        }
    });
    let versions = [b"0", b"1", b"2", b"3"];
    assert_eq!(all, versions.iter().map(|version| Some(version.to_vec())).collect());
}

#[test]
fn a_length_survives_without_the_data_and_the_data_without_the_length() {
    let all = outcomes(&CrashPolicy::POSIX, |fs| {
        let file = durable_file(fs, "/d/f", b"");
        file.set_len(4).unwrap();
        write_all_at(&*file, b"data", 0).unwrap();
    });
    assert_eq!(all, [b"".to_vec(), vec![0; 4], b"data".to_vec()].map(Some).into());
}

#[test]
fn a_cut_that_was_not_synced_comes_back_in_some_crash() {
    let all = outcomes(&CrashPolicy::POSIX, |fs| {
        let file = durable_file(fs, "/d/f", b"old tail");
        file.set_len(3).unwrap();
        write_all_at(&*file, b"+", 3).unwrap();
    });
    // Kept and lost, each: the cut, the byte, the length that the byte made. The cut lost and the byte kept is a splice.
    assert!(all.contains(&Some(b"old tail".to_vec())));
    assert!(all.contains(&Some(b"old+tail".to_vec())));
    assert!(all.contains(&Some(b"old".to_vec())));
    assert!(all.contains(&Some(b"old+".to_vec())));
    assert!(all.contains(&Some(b"old\0".to_vec())));
}

#[test]
fn zeros_and_garbage_stay_inside_the_range_of_the_write() {
    let all = outcomes(&CrashPolicy::PARANOID, |fs| {
        let file = durable_file(fs, "/d/f", &[7; 600]);
        write_all_at(&*file, &[8; 200], 200).unwrap();
    });
    assert!(all.len() > 20);
    for bytes in all.into_iter().flatten() {
        assert_eq!(bytes.len(), 600);
        assert!(bytes[..200].iter().chain(&bytes[400..]).all(|byte| *byte == 7));
    }
}

#[test]
fn a_rename_that_was_not_synced_shows_the_old_file_or_the_new_one() {
    let work = |fs: &SimFs| {
        durable_file(fs, "/d/f", b"old");
        durable_file(fs, "/d/tmp", b"new");
        fs.rename(path("/d/tmp"), path("/d/f")).unwrap();
    };
    let all = outcomes(&CrashPolicy::POSIX, work);
    assert_eq!(all, BTreeSet::from([Some(b"old".to_vec()), Some(b"new".to_vec())]));
    let both = |seed| {
        let fs = disk(seed);
        work(&fs);
        let fs = fs.crash(&CrashPolicy::PARANOID);
        (fs.files(), fs.read_file("/d/f").unwrap())
    };
    let seen: BTreeSet<_> = (0..100).map(both).collect();
    let (f, tmp) = ("/d/f".to_owned(), "/d/tmp".to_owned());
    assert!(seen.contains(&(vec![f.clone(), tmp.clone()], b"new".to_vec())), "both names, split");
    assert!(seen.contains(&(vec![f], b"old".to_vec())), "the old name gone, the new one not there");
}

#[test]
fn a_rename_between_directories_is_whole_unless_the_policy_splits_it() {
    let names = |seed, policy: &CrashPolicy, sync: Option<&str>| {
        let fs = disk(seed);
        fs.create_dir_all(path("/lost")).unwrap();
        fs.sync_dir(path("/")).unwrap();
        durable_file(&fs, "/d/f", b"x");
        fs.rename(path("/d/f"), path("/lost/f")).unwrap();
        if let Some(dir) = sync {
            fs.sync_dir(path(dir)).unwrap();
        }
        fs.crash(policy).files().join(" ")
    };
    let all =
        |policy: &CrashPolicy, sync| (0..100).map(|seed| names(seed, policy, sync)).collect::<BTreeSet<_>>();
    assert_eq!(all(&CrashPolicy::POSIX, None), ["/d/f".into(), "/lost/f".into()].into());
    assert_eq!(all(&CrashPolicy::POSIX, Some("/d")), ["/lost/f".into()].into());
    assert_eq!(all(&CrashPolicy::POSIX, Some("/lost")), ["/lost/f".into()].into());
    let split = all(&CrashPolicy::PARANOID, None);
    assert!(split.contains("") && split.contains("/d/f /lost/f"));
}

#[test]
fn a_removed_file_comes_back_unless_its_directory_was_synced() {
    let remove = |sync: bool| {
        outcomes(&CrashPolicy::POSIX, |fs| {
            durable_file(fs, "/d/f", b"x");
            fs.remove_file(path("/d/f")).unwrap();
            if sync {
                fs.sync_dir(path("/d")).unwrap();
            }
        })
    };
    assert_eq!(remove(false), [None, Some(b"x".to_vec())].into());
    assert_eq!(remove(true), [None].into());
}

#[test]
fn an_acknowledged_allocation_keeps_its_length_and_reads_as_zeros() {
    let all = outcomes(&CrashPolicy::PARANOID, |fs| {
        let file = durable_file(fs, "/d/f", b"ab");
        file.allocate(0, 5000).unwrap();
        file.sync_data().unwrap();
    });
    assert_eq!(all, [Some([b"ab".to_vec(), vec![0; 4998]].concat())].into());
}

#[test]
fn the_machine_goes_off_in_the_chosen_call_and_old_handles_stay_dead() {
    let fs = disk(1);
    let file = durable_file(&fs, "/d/f", b"one");
    fs.kill_at(fs.calls() + 2);
    write_all_at(&*file, b"two", 0).unwrap();
    assert!(is_machine_off(&file.sync_data().unwrap_err()));
    assert!(fs.is_off());
    assert!(is_machine_off(&fs.read_dir(path("/d")).unwrap_err()));
    assert_eq!(fs.stats().count(FaultKind::Kill), 1);
    let new = fs.crash(&CrashPolicy::NOTHING);
    assert!(!new.is_off());
    assert!(is_machine_off(&file.len().unwrap_err()), "a handle from before");
    assert!(is_machine_off(&fs.exists(path("/d")).unwrap_err()), "a file system from before");
    assert!(new.exists(path("/d/f")).unwrap());
    assert_eq!(new.read_file("/d/f").unwrap(), b"one");
}

#[test]
fn a_process_kill_loses_handles_and_locks_but_no_bytes() {
    let fs = disk(1);
    let lock = fs.try_lock(path("/d/lock"), LockMode::Exclusive).unwrap();
    assert!(lock.is_some());
    assert!(fs.try_lock(path("/d/lock"), LockMode::Exclusive).unwrap().is_none());
    let file = fs.open(path("/d/f"), Access::CreateNew).unwrap();
    write_all_at(&*file, b"written", 0).unwrap();
    let new = fs.process_kill();
    assert_eq!(new.read_file("/d/f").unwrap(), b"written");
    let held = new.try_lock(path("/d/lock"), LockMode::Exclusive).unwrap();
    assert!(held.is_some());
    drop((lock, file));
    assert!(
        new.try_lock(path("/d/lock"), LockMode::Exclusive).unwrap().is_none(),
        "a dead lock frees nothing"
    );
    // Nothing was synced: a power cut after the kill may still take it.
    assert!(new.crash(&CrashPolicy::NOTHING).files().is_empty());
}

#[test]
fn every_image_of_a_small_crash_can_be_tried() {
    let fs = disk(3);
    let file = durable_file(&fs, "/d/f", b"0000");
    write_all_at(&*file, b"11", 0).unwrap();
    write_all_at(&*file, b"22", 2).unwrap();
    fs.rename(path("/d/f"), path("/d/g")).unwrap();
    let space = fs.crash_space(&CrashPolicy::POSIX);
    assert_eq!(space.images(), Some(8), "{space:?}");
    let images: BTreeSet<_> = (0..8)
        .map(|k| {
            let fs = fs.fork().crash_with(&CrashPolicy::POSIX, &space.nth(k));
            let name = fs.files().remove(0);
            (fs.read_file(&name).unwrap(), name)
        })
        .collect();
    assert_eq!(images.len(), 8);
    assert!(images.contains(&(b"0022".to_vec(), "/d/f".into())));
    assert!(images.contains(&(b"1100".to_vec(), "/d/g".into())));
    // The disk itself was not touched.
    assert!(!fs.is_off());
    assert_eq!(fs.read_file("/d/g").unwrap(), b"1122");
    let paranoid = fs.crash_space(&CrashPolicy::PARANOID);
    assert!(paranoid.images().unwrap() > 100, "{paranoid:?}");
    for (i, choice) in paranoid.choices.iter().enumerate() {
        for option in 0..choice.options {
            let mut choices = vec![0; paranoid.choices.len()];
            choices[i] = option;
            let _ = fs.fork().crash_with(&CrashPolicy::PARANOID, &choices);
        }
    }
}

#[test]
fn recovery_can_crash_again_and_again() {
    for seed in 0..50 {
        let mut fs = disk(seed);
        durable_file(&fs, "/d/log", b"acknowledged.");
        for round in 0..5 {
            let file = fs.open(path("/d/log"), Access::ReadWrite).unwrap();
            write_all_at(&*file, b"unsynced", 13).unwrap();
            fs.open(path(&format!("/d/{round}")), Access::CreateNew).unwrap();
            fs = fs.crash(&CrashPolicy::PARANOID);
            assert_eq!(&fs.read_file("/d/log").unwrap()[..13], b"acknowledged.");
        }
    }
}

#[test]
fn a_snapshot_brings_the_durable_disk_back() {
    let fs = disk(5);
    let file = durable_file(&fs, "/d/f", b"kept");
    write_all_at(&*file, b"lost", 0).unwrap();
    let snapshot = fs.snapshot();
    durable_file(&fs, "/d/g", b"later");
    file.sync_data().unwrap();
    let fs = fs.restore(&snapshot);
    assert_eq!(fs.files(), ["/d/f"]);
    assert_eq!(fs.read_file("/d/f").unwrap(), b"kept");
    assert_eq!(fs.image_hash(), fs.crash(&CrashPolicy::EVERYTHING).image_hash());
}

#[test]
fn the_effects_of_crashes_are_counted() {
    let mut seen = BTreeSet::new();
    for seed in 0..40 {
        let fs = disk(seed);
        let file = durable_file(&fs, "/d/f", &[0; 4096]);
        file.set_len(4000).unwrap();
        for i in 0..4_u8 {
            write_all_at(&*file, &[i; 2000], u64::from(i) * 1000).unwrap();
        }
        fs.rename(path("/d/f"), path("/d/g")).unwrap();
        let fs = fs.crash(&CrashPolicy::PARANOID.keep(Rate::percent(seed as u32 * 2)));
        seen.extend(fs.stats().all().into_iter().map(|(kind, _)| kind));
    }
    let want = [
        FaultKind::WriteLost,
        FaultKind::WriteTorn,
        FaultKind::WriteReordered,
        FaultKind::IntermediateKept,
        FaultKind::WriteGarbled,
        FaultKind::LengthLost,
        FaultKind::LengthAhead,
        FaultKind::NameLost,
        FaultKind::RenameSplit,
    ];
    assert_eq!(seen, want.into());
}
