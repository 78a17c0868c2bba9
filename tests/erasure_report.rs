//! The erasure report names what holds bytes of forgotten things, and nothing else.

#[path = "common/markers.rs"]
mod markers;

use std::path::Path;

use markers::{builder, draft, holding, none, report, write};
use recension::env::Fs;
use recension::sim::SimEnv;
use recension::{Draft, Expect, Forgetting, HeldRole, Store};

#[test]
fn a_checkpoint_is_named_as_long_as_it_is_there_if_it_may_hold_what_was_not_erased_when_it_was_made() {
    let env = SimEnv::new(1);
    let store = builder(&env).open().unwrap();
    store.put("a", Expect::Absent, Draft::new("SECRETWORD")).unwrap();
    store.put("b", Expect::Absent, Draft::new("second SECRETWORD")).unwrap();
    store.forget(&Forgetting::revisions("a", 1, 1), &mut none()).unwrap();
    // Between forgetting and reclaiming: its sequence number is above the annotation's, and it holds the bytes.
    store.checkpoint("/copy").unwrap();
    store.reclaim(&mut none()).unwrap();
    let told = report(&store);
    assert_eq!(told.held.len(), 1, "{told:#?}");
    assert_eq!((told.held[0].role, &told.held[0].path), (HeldRole::Checkpoint, &"/copy".into()));
    // One made when all was erased holds nothing, until something else is forgotten.
    store.checkpoint("/later").unwrap();
    assert_eq!(report(&store).held.len(), 1);
    store.forget(&Forgetting::revisions("b", 1, 1), &mut none()).unwrap();
    store.reclaim(&mut none()).unwrap();
    assert_eq!(report(&store).held.len(), 2, "{:#?}", report(&store));
    // What it forgot afterwards of what came afterwards does not concern them.
    store.put("c", Expect::Absent, Draft::new("third")).unwrap();
    let before = report(&store).held[1].contents;
    store.forget(&Forgetting::revisions("c", 1, 1), &mut none()).unwrap();
    store.reclaim(&mut none()).unwrap();
    assert_eq!(report(&store).held[1].contents, before);
    assert!(store.release_checkpoint("/copy").unwrap_err().to_string().contains("still there"));
    for path in env.fs.files() {
        if path.starts_with("/copy/") || path.starts_with("/later/") {
            env.fs.remove(&path).unwrap();
        }
    }
    let told = report(&store);
    assert!(told.is_clear(), "{told:#?}");
    assert_eq!(told.gone, ["/copy", "/later"]);
    store.release_checkpoint("/copy").unwrap();
    assert_eq!(report(&store).gone, ["/later"]);
    assert!(store.release_checkpoint("/nowhere").is_err());
}

#[test]
fn files_in_lost_and_files_of_nobody_are_looked_into_or_named() {
    let env = SimEnv::new(1);
    let store = builder(&env).open().unwrap();
    write(&store, 0..80);
    let draft = draft(1, "SECRETWORD");
    let number = store.put("a", Expect::Absent, draft).unwrap().outcome().revision().unwrap();
    store.flush().unwrap();
    store.pack(&mut none()).unwrap();
    let pack = holding(&env, &[b"SECRETWORD"]).into_iter().find(|path| path.ends_with(".pack")).unwrap();
    let bytes = env.fs.read_file(&pack).unwrap();
    store.forget(&Forgetting::revisions("a", number, number), &mut none()).unwrap();
    store.reclaim(&mut none()).unwrap();
    assert!(report(&store).is_clear());
    let fs: &dyn Fs = &env.fs;
    fs.create_dir_all(Path::new("/store/lost")).unwrap();
    let name = Path::new(&pack).file_name().unwrap().to_str().unwrap().to_owned();
    env.fs.write_file(format!("/store/lost/{name}"), &bytes).unwrap();
    env.fs.write_file("/store/notes.txt", b"SECRETWORD").unwrap();
    let told = report(&store);
    assert_eq!(told.held.len(), 1, "{told:#?}");
    assert_eq!(told.held[0].role, HeldRole::Lost);
    assert_eq!(told.unknown.len(), 1);
    assert!(told.unknown[0].path.ends_with("notes.txt"));
    // Half of it: it cannot be told what the rest was.
    env.fs.write_file(format!("/store/lost/{name}"), &bytes[..bytes.len() / 2]).unwrap();
    assert_eq!(report(&store).unknown.len(), 2);
}

#[test]
fn a_store_of_which_nothing_was_forgotten_is_clear_without_being_looked_through() {
    let env = SimEnv::new(1);
    let store = builder(&env).open().unwrap();
    write(&store, 0..50);
    env.fs.write_file("/store/notes.txt", b"whatever").unwrap();
    let told = report(&store);
    assert!(told.is_clear());
    assert_eq!((told.files, told.erasing), (0, 0));
    assert_eq!(store.reclaim(&mut none()).unwrap().up_to, 0);
}

#[test]
fn a_checkpoint_is_kept_by_its_full_path() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path().join("store")).unwrap();
    store.put("a", Expect::Absent, Draft::new("secret")).unwrap();
    let here = std::env::current_dir().unwrap();
    let up: std::path::PathBuf = here.components().skip(1).map(|_| "..").collect();
    let relative = up.join(dir.path().strip_prefix("/").unwrap()).join("copy");
    store.checkpoint(&relative).unwrap();
    store.forget(&Forgetting::revisions("a", 1, 1), &mut none()).unwrap();
    store.reclaim(&mut none()).unwrap();
    let told = report(&store);
    assert_eq!(told.held.len(), 1, "{told:#?}");
    assert!(told.held[0].path.is_absolute());
}
