//! Stores of real data, in the shapes that stores have.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use recension::codec::FileKind;
use recension::model::Entity;
use recension::{
    Batch, ChangeKind, Content, Draft, Durability, Expect, FieldMask, Forgetting, Hiding, Packing, Progress,
    Store, StoreBuilder,
};

use super::harm::own;
use super::survey::{Survey, survey_dir};
use crate::support::open;

/// How a store came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Imported, packed, written to afterwards.
    Packed,
    /// Imported and not packed: the log holds groups.
    Segments,
    /// Tiny limits: many files of each kind, packs in front of segments.
    ManyFiles,
}

pub const SHAPES: [Shape; 3] = [Shape::Packed, Shape::Segments, Shape::ManyFiles];

/// No more changes are copied into many small files.
const COPIED_MAX: usize = 1500;

pub struct Sample {
    pub name: String,
    pub dir: PathBuf,
    /// Another store of the same data.
    pub other: PathBuf,
    pub before: Survey,
}

fn go(_: &'static str, _: u64, _: u64) -> bool {
    true
}

fn import(dir: &Path, source: &Path, more: &[&str]) {
    let words = ["recension", "import"].iter().map(OsString::from);
    let words = words.chain([dir.into(), source.into()]).chain(more.iter().map(OsString::from));
    let code = recension_cli::run_from(words.collect::<Vec<_>>());
    // Some of the sources hold records that are rejected, on purpose.
    assert!(dir.is_dir(), "{code:?}: {} was not imported", source.display());
}

/// A store of a shape in `dir`, and another one of the same.
pub fn sample(dir: &Path, source: &Path, shape: Shape) -> Sample {
    let of = source.file_name().expect("a file").to_string_lossy();
    let make = |name: &str| {
        let path = dir.join(format!("{of}-{shape:?}-{name}"));
        make(&path, source, shape);
        path
    };
    let (dir, other) = (make("own"), make("other"));
    let before = survey_dir(&dir);
    let kinds = [FileKind::Manifest, FileKind::Segment, FileKind::RevisionTable, FileKind::PlainTable];
    let found: Vec<FileKind> = own(&dir).into_iter().map(|(_, kind)| kind).collect();
    assert!(kinds.iter().all(|kind| found.contains(kind)), "{found:?}");
    assert!(shape == Shape::Segments || found.contains(&FileKind::Pack), "{found:?}");
    Sample { name: format!("{of} {shape:?}"), dir, other, before }
}

fn make(path: &Path, source: &Path, shape: Shape) {
    match shape {
        Shape::Packed | Shape::Segments => {
            let more: &[&str] = if shape == Shape::Packed { &["--json"] } else { &["--json", "--no-pack"] };
            import(path, source, more);
            let builder = Store::builder(path).packing(Packing::WhenAsked);
            let store = builder.open().expect("opened");
            if shape == Shape::Packed {
                store.pack(&mut Progress::new(&mut go)).expect("packed");
            }
            edit(&store);
            store.close().expect("closed");
        }
        Shape::ManyFiles => {
            let imported = path.with_extension("imported");
            import(&imported, source, &["--json"]);
            copy_small(Store::builder(&imported), path);
            std::fs::remove_dir_all(&imported).expect("removed");
        }
    }
}

/// The same revisions, in a store of many small files: packs, behind them sealed segments.
fn copy_small(from: StoreBuilder, path: &Path) {
    let from = from.open().expect("opened");
    let store = open(path);
    for (at, change) in from.changes(0).expect("a feed").take(COPIED_MAX).enumerate() {
        let ChangeKind::Revision(revision) = change.expect("a change").kind else { continue };
        let draft = match revision.content().expect("content") {
            _ if revision.is_tombstone() => Draft::tombstone(),
            Content::Present(bytes) => Draft::new(bytes),
            _ => Draft::new("nothing"),
        };
        let fields = revision.fields().expect("fields");
        let draft = match (&fields.author, &fields.comment) {
            (Some(author), Some(comment)) => draft.author(author.clone()).comment(comment.clone()),
            _ => draft,
        };
        put(&store, revision.entity(), draft);
        if at == COPIED_MAX / 2 {
            store.pack(&mut Progress::new(&mut go)).expect("packed");
        }
    }
    from.close().expect("closed");
    edit(&store);
    store.pack(&mut Progress::new(&mut go)).expect("packed");
    edit(&store);
    store.close().expect("closed");
}

fn put(store: &Store, entity: &Entity, draft: Draft) {
    let batch = Batch::new().put(entity.as_bytes(), Expect::Any, draft).expect("a batch");
    store.commit_with(batch, Durability::Buffered).expect("written");
}

/// What people do after an import: further revisions, deletions, hiding, forgetting; some of it in tables, the last of it in the log only.
fn edit(store: &Store) {
    let named: Vec<Entity> = heads(store);
    let (actor, reason) = (String::from("trial"), String::from("to be kept"));
    for (at, entity) in named.iter().enumerate().take(60) {
        put(
            store,
            entity,
            Draft::new(format!("edited once more, {at}. ").repeat(at % 17 + 1)).author("an editor"),
        );
        if at % 9 == 4 {
            put(store, entity, Draft::tombstone());
        }
    }
    let first = named.first().expect("an entity").as_bytes();
    let (hidden, fields) = (first.to_vec(), FieldMask::COMMENT.with(FieldMask::CONTENT));
    let hiding = Hiding { entity: hidden, first: 1, last: 1, fields, actor, reason };
    store.hide(hiding).expect("hidden");
    let forgotten = named.last().expect("an entity").as_bytes();
    let forgetting = Forgetting::revisions(forgotten, 1, 1).actor("trial").reason("must not come back");
    store.forget(&forgetting, &mut Progress::new(&mut go)).expect("forgotten");
    store.flush().expect("flushed");
    for entity in named.iter().rev().take(20) {
        put(store, entity, Draft::new("written last").comment("not in any table"));
    }
    store.sync().expect("durable");
}

fn heads(store: &Store) -> Vec<Entity> {
    let all = store.prefix("").filter_map(|head| head.expect("a head").live());
    // One of the samples goes up to the largest number that there is.
    let all = all.filter(|revision| revision.number() < 1 << 40);
    all.map(|revision| revision.entity().clone()).take(200).collect()
}
