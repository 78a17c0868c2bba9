//! Reclaiming when the machine stops, files are damaged or cannot be read, and there is no room; and that it happens in time.

#[path = "common/markers.rs"]
mod markers;

use std::path::Path;
use std::time::Duration;

use markers::{builder, draft, half_done, holding, names_all, none, report, sound, write};
use recension::env::{Access, Fs};
use recension::log::VerifyDepth;
use recension::pack::{PackItem, dissect_pack};
use recension::sim::{CrashPolicy, FaultKind, Op, Rule, SimEnv};
use recension::{Compaction, Content, Draft, ErrorKind, Expect, FieldMask, Forgetting, Store};

#[test]
fn a_crash_at_any_point_of_reclaiming_is_survived_and_what_is_left_is_found_again() {
    let words: [&[u8]; 3] = [b"NAMEWORD", b"SECRETWORD", b"AUTHORWORD"];
    let changes = {
        let env = SimEnv::new(3);
        let store = half_done(&env);
        let before = env.fs.changes();
        store.reclaim(&mut none()).unwrap();
        env.fs.changes() - before
    };
    assert!(changes > 30);
    for at in (1..changes).step_by(usize::try_from(changes / 25).unwrap().max(1)) {
        let env = SimEnv::new(3);
        let store = half_done(&env);
        env.fs.kill_at_change(env.fs.changes() + at);
        let _ = store.reclaim(&mut none());
        env.fs.power_off();
        drop(store);
        let env = env.crash(&CrashPolicy::POSIX);
        env.fs.kill_never();
        let store = builder(&env).open().unwrap();
        sound(&store);
        let last = store.head("Page 4").unwrap().number();
        assert_eq!(store.revision("Page 4", last).unwrap().unwrap().content().unwrap(), Content::Forgotten);
        let left = holding(&env, &words);
        assert!(left.is_empty() || !report(&store).is_clear(), "killed at {at}: {left:?}");
        assert!(store.reclaim(&mut none()).unwrap().is_complete());
        assert_eq!(holding(&env, &words), Vec::<String>::new(), "killed at {at}");
        assert!(report(&store).is_clear(), "killed at {at}: {:#?}", report(&store));
        sound(&store);
    }
}

#[test]
fn damage_stops_neither_reclaiming_nor_the_report_and_does_not_latch() {
    for ending in [".pack", ".tab"] {
        let env = SimEnv::new(1);
        let store = half_done(&env);
        store.flush().unwrap();
        store.pack(&mut none()).unwrap();
        store.close().unwrap();
        drop(store);
        let files = env.fs.files();
        let path = files.iter().find(|path| path.ends_with(ending)).unwrap();
        let mut bytes = env.fs.read_file(path).unwrap();
        let mut at = 200;
        if ending == ".pack" {
            // A group of which everything is forgotten would not even be missed.
            let file = env.fs.open(Path::new(path), Access::Read).unwrap();
            dissect_pack(&file, Path::new(path), VerifyDepth::Stored, &mut |item| {
                match item {
                    PackItem::Part(part) if part.kind == "directory" => at = part.offset as usize + 60,
                    _ => {}
                }
                Ok(())
            })
            .unwrap();
        }
        bytes[at] ^= 4;
        env.fs.write_file(path, &bytes).unwrap();
        let store = builder(&env).open().unwrap();
        let done = store.reclaim(&mut none()).unwrap();
        assert!(done.value_files + done.tables > 0, "the others go on: {done:?}");
        let told = report(&store);
        let named = told.unknown.iter().map(|it| &it.path).chain(told.held.iter().map(|it| &it.path));
        let named: Vec<_> = named.collect();
        assert!(named.contains(&&std::path::PathBuf::from(path)), "{path}: {told:#?}");
        env.jobs.run_for(Duration::from_secs(4 * 3600));
        assert_eq!(store.stats().unwrap().latched, None);
        store.put("a", Expect::Any, Draft::new("goes on")).unwrap();
    }
}

#[test]
fn what_is_forgotten_is_erased_in_the_background_within_the_time_that_the_options_give() {
    let words: [&[u8]; 3] = [b"NAMEWORD", b"SECRETWORD", b"AUTHORWORD"];
    let env = SimEnv::new(7);
    let store = half_done(&env);
    env.jobs.run_for(Duration::from_secs(600));
    assert!(!holding(&env, &words).is_empty(), "several forgettings share the work");
    store.close().unwrap();
    drop(store);
    // The time goes on counting over an opening.
    let store = builder(&env).open().unwrap();
    env.jobs.run_for(Duration::from_secs(2400));
    assert_eq!(holding(&env, &words), Vec::<String>::new());
    assert!(report(&store).is_clear());
    // At once, if that is what is wanted.
    drop(store);
    let store = builder(&env).erase_within(Duration::ZERO).open().unwrap();
    store.put("z", Expect::Absent, Draft::new("SECRETWORD")).unwrap();
    store.forget(&Forgetting::revisions("z", 1, 1), &mut none()).unwrap();
    env.jobs.run_for(Duration::from_secs(1));
    assert_eq!(holding(&env, &words), Vec::<String>::new());
}

#[test]
fn on_a_full_disk_reclaiming_says_so_and_loses_nothing_and_ends_when_there_is_room() {
    let words: [&[u8]; 3] = [b"NAMEWORD", b"SECRETWORD", b"AUTHORWORD"];
    let base = SimEnv::new(9);
    let store = builder(&base).open().unwrap();
    for edit in 0..80 {
        for name in ["Page 4", "NAMEWORD"] {
            store.put(name, Expect::Any, draft(edit, "SECRETWORD").author("AUTHORWORD")).unwrap();
        }
        write(&store, edit..edit + 1);
    }
    store.pack(&mut none()).unwrap();
    store.flush().unwrap();
    let all = Forgetting::revisions("Page 4", 1, u64::MAX).fields(FieldMask::ALL);
    store.forget(&all, &mut none()).unwrap();
    store.purge("NAMEWORD", Expect::Any, "", "").unwrap();
    let kept: Vec<_> = store.history("Page 1").unwrap().map(|it| it.unwrap().content().unwrap()).collect();
    store.close().unwrap();
    drop(store);
    let (mut refused, mut half) = (0, 0);
    for kib in 0..40 {
        let env = base.fork().process_kill();
        let store = builder(&env).open().unwrap();
        let room = |bytes: u64| env.fs.set_capacity(bytes);
        room(env.fs.used() + kib * 1024);
        let whole = |store: &Store| {
            let now: Vec<_> =
                store.history("Page 1").unwrap().map(|it| it.unwrap().content().unwrap()).collect();
            assert_eq!(now, kept, "{kib} KiB");
            let last = store.head("Page 4").unwrap().number();
            let gone = store.revision("Page 4", last).unwrap().unwrap();
            assert_eq!(gone.content().unwrap(), Content::Forgotten);
            assert_eq!(store.stats().unwrap().latched, None, "{kib} KiB: full is not broken");
            sound(store);
        };
        let before = holding(&env, &words).len();
        match store.reclaim(&mut none()) {
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::OutOfSpace, "{error}");
                refused += 1;
                half += u64::from(holding(&env, &words).len() < before);
                names_all(&store, &env, &words);
            }
            Ok(done) => assert!(done.is_complete(), "{kib} KiB: {done:?}"),
        }
        whole(&store);
        // In the background it waits for room, however long that takes,
        env.jobs.run_for(Duration::from_secs(2 * 3600));
        whole(&store);
        assert!(holding(&env, &words).is_empty() || !report(&store).is_clear(), "{kib} KiB");
        // and needs nobody to ask for it.
        room(u64::MAX);
        env.jobs.run_for(Duration::from_secs(600));
        assert_eq!(holding(&env, &words), Vec::<String>::new(), "{kib} KiB");
        assert!(report(&store).is_clear(), "{kib} KiB: {:#?}", report(&store));
        whole(&store);
    }
    assert!(refused > 5 && half > 0, "{refused} refused, {half} of them half done");
}

#[test]
fn a_file_that_cannot_be_read_for_a_while_is_tried_again_and_told_until_it_is_done() {
    let words: [&[u8]; 3] = [b"NAMEWORD", b"SECRETWORD", b"AUTHORWORD"];
    let fails = |env: &SimEnv, path: &str| {
        let (ops, path, fault) = (vec![Op::Read], path.to_owned(), FaultKind::ReadError);
        env.fs.fail_when(Rule { ops, path, skip: 0, count: u32::MAX, fault });
    };
    let machine = |state| {
        let env = SimEnv::new(3);
        let store = match state {
            "compacted" => {
                let store = builder(&env).open().unwrap();
                write(&store, 0..80);
                for edit in 0..20 {
                    store.put("Page 4", Expect::Any, draft(edit, "SECRETWORD").author("AUTHORWORD")).unwrap();
                }
                store.compact(Compaction::Full, &mut none()).unwrap();
                let all = Forgetting::revisions("Page 4", 1, u64::MAX).fields(FieldMask::ALL);
                store.forget(&all, &mut none()).unwrap();
                store
            }
            _ => half_done(&env),
        };
        env.jobs.run_until_idle(if state == "in the middle" { 0 } else { 10_000 });
        (env, store)
    };
    let states = ["in the middle", "idle", "compacted"];
    let files = |state| holding(&machine(state).0, &words).into_iter().map(move |path| (state, path));
    let mut kinds = std::collections::BTreeSet::new();
    for (state, bad) in states.into_iter().flat_map(files).filter(|(_, path)| !path.ends_with(".manifest")) {
        let (env, store) = machine(state);
        fails(&env, &bad);
        // Half of the time has passed, and some more: it was tried.
        env.jobs.run_for(Duration::from_secs(1900));
        if !env.fs.files().contains(&bad) {
            // A table of which all was in the cache, and that was compacted.
            continue;
        }
        if store.stats().unwrap().latched.is_some() {
            // The log was to be sealed, or tables to be compacted: that is another matter.
            continue;
        }
        kinds.insert(Path::new(&bad).extension().unwrap().to_owned());
        let told = store.stats().unwrap().not_erased;
        let name = Path::new(&bad).file_name().unwrap().to_str().unwrap();
        assert!(told.unreclaimed.iter().any(|(file, _)| file == name), "{bad}: {told:?}");
        assert!(told.annotations > 0 || told.unreadable.is_some(), "{told:?}");
        assert!(!report(&store).is_clear());
        assert_eq!(store.stats().unwrap().latched, None);
        // The disk reads it again. Nobody forgets anything else, and nobody opens the store anew.
        env.fs.heal();
        env.jobs.run_for(Duration::from_secs(1600));
        assert_eq!(holding(&env, &words), Vec::<String>::new(), "{bad}");
        assert!(report(&store).is_clear(), "{bad}");
        assert_eq!(store.stats().unwrap().not_erased, recension::NotErased::default());
        sound(&store);
        // Asked for, it is tried at once.
        store.put("z", Expect::Absent, Draft::new("SECRETWORD")).unwrap();
        store.pack(&mut none()).unwrap();
        store.flush().unwrap();
        store.forget(&Forgetting::revisions("z", 1, 1), &mut none()).unwrap();
        let bad = holding(&env, &[b"SECRETWORD"]).remove(0);
        fails(&env, &bad);
        let done = store.reclaim(&mut none()).unwrap();
        assert!(!done.is_complete() && !done.unreadable.is_empty(), "{done:?}");
        env.fs.heal();
        assert!(store.reclaim(&mut none()).unwrap().is_complete());
        assert_eq!(holding(&env, &words), Vec::<String>::new());
    }
    assert_eq!(kinds.len(), 3, "{kinds:?}");
}
