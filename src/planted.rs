//! Mistakes on purpose: proof that the crash harness bites.
//!
//! `planted!("name")` is `false`, a constant, unless this crate was built with the feature `planted` *and* the name was selected. Each is a
//! mistake that a storage engine was shipped with, or could have been; `crash scoreboard` switches them on one at a time and expects an
//! oracle to notice. Never enable the feature for anything else.

#[cfg(feature = "planted")]
use std::cell::Cell;

/// Every planted mistake, and what is wrong.
pub const ALL: &[(&str, &str)] = &[
    ("seal ahead of the log", "a seal says that frames are durable before they are"),
    ("checkpoint before tables", "the flush mark moves in a commit of its own, before the tables"),
    ("inputs deleted early", "the inputs of a compaction are deleted before the manifest says so"),
    ("if changed ignores hiding", "a write is skipped because it equals a hidden content"),
    ("ack before sync", "a group is published and acknowledged without the sync"),
    ("publish before durable", "rows are visible before the sync, also if it fails"),
    ("older segment not synced", "a sync covers the newest segment only"),
    ("failed sync retried", "a failed sync of the log is tried again"),
    ("promise ahead", "a frame promises the group that it is part of"),
    ("segment name not synced", "the directory is not synced for a new segment"),
    ("table name not synced", "the directory is not synced for a new table"),
    ("table not synced", "a table is installed without having been synced"),
    ("recovered tail not synced", "what recovery cuts and seals is not synced"),
    (
        "append to recovered segment",
        "a log that was not closed is continued at the end of its last file, behind what was torn",
    ),
    ("bad frame is the end", "a damaged frame ends the log, whatever was promised behind it"),
    ("half a commit recovered", "a frame whose contents are torn is recovered"),
    ("interrupted compaction installed", "what an interrupted compaction has written so far is installed"),
    ("unreadable input skipped", "a table that cannot be read is left out of a merge, then deleted"),
    ("block checksum not compared", "a table's blocks are taken as they are"),
    ("content checksum not compared", "a content is taken as it is"),
    ("stale head cache fill", "a head is put into the cache for good although a newer one may be on its way"),
    ("stale head cache hit", "a cached head is used although a newer one was given out"),
    ("answers overtake", "a refusal that rests on a pending head is given at once"),
    ("refusal uses numbers up", "a refused commit leaves a hole in the sequence"),
    ("effective time not monotone", "an authored time in the past takes effect in the past"),
    ("level 0 oldest first", "of tables that overlap, the older one is asked first"),
    ("older table left behind", "a compaction out of level 0 leaves an older overlapping table there"),
    ("annotations not flushed", "a flush moves the checkpoint past annotations that it did not write"),
    ("half a batch at a snapshot", "a read point inside a commit is not rounded down"),
    ("incarnation kept", "sequence numbers are given out again under the same incarnation"),
    ("leftover segment kept", "segments that are not part of the log stay in the directory"),
    ("clock goes back", "commit times are what the wall clock says"),
    ("manifest not synced", "a manifest commit is visible without its sync"),
    ("torn manifest continued", "a torn manifest is written on at the end of its file, behind what was torn"),
    ("old manifest left", "the manifest before a rewrite is not removed"),
    ("unfinished files kept", "files of unfinished jobs are not removed at open"),
    ("feed shows what is not durable", "the feed goes up to what is published"),
    ("replay starts too late", "changes in segments that the manifest knows are taken for flushed"),
    ("request id forgotten", "a request is looked for in the newest revision only"),
    ("last content not located", "a sealed segment's locators lack the last content"),
    ("cache key without slot", "the contents of a revision share one place in the cache"),
    ("hidden only in memory", "what tables say is hidden is not asked"),
    ("show undoes forget", "a later show uncovers what was forgotten"),
    ("forget not asked again", "a revision that was found before a forget still gives its content out"),
    ("revert brings back the forgotten", "a revert reuses a content that was forgotten"),
    ("forget without a guard", "what is to be forgotten is logged although a revision came in between"),
    ("forget does not move the bucket", "a revert that was made out before a forget goes through after it"),
    ("flush ahead of the log", "a table is installed with rows that the log may lose"),
    ("commit boundary lost", "every change of a batch is a commit boundary"),
    ("cas outside the section", "what was looked up is not checked again where numbers are given out"),
    (
        "segment deleted before its pack is installed",
        "the source of a pack is deleted before the manifest says so",
    ),
    ("merge leaves an input out", "a merge of packs drops one of them"),
    ("pack name not synced", "the directory is not synced for a new pack"),
    ("pack not synced", "a pack is installed without having been synced"),
    (
        "pack not audited",
        "a group that was garbled on its way is neither decoded nor compared with its digests",
    ),
    (
        "clean close outlives commits",
        "a new segment is begun while the old one's clean-close mark is still its durable end",
    ),
    ("old manifest not durable", "a manifest is replaced before it is durable itself"),
    ("filter has a false negative", "one entity of a table is not in its filter"),
    (
        "purge not asked by the feed",
        "the feed gives out what was hidden and forgotten of an entity that was purged since",
    ),
    (
        "annotations outlive a purge",
        "what was hidden or forgotten before a purge is so of the revisions after it",
    ),
    ("purge only in memory", "purges that tables know of are not asked for"),
    ("numbers begin again after a purge", "a purged name that is used again starts with revision 1"),
    ("time begins again after a purge", "effective times of a purged name that is used again may go back"),
    ("retention keeps one too few", "of the older versions that are to be kept the oldest is forgotten"),
    (
        "shared contents not looked for",
        "a content that other revisions have is forgotten for some and stays with the others, unasked",
    ),
    ("live feed ahead of the promise", "a follower is given what is not durable"),
    (
        "live feed misses what was sealed meanwhile",
        "a follower does not look for what became a pack while it waited",
    ),
    (
        "live feed misses what is hidden later",
        "a follower shows what was hidden behind the place where it is",
    ),
    ("rebuild keeps the flush mark", "a rebuilt manifest says that everything is in tables, and has none"),
    (
        "rebuild leaves out what is half merged",
        "what a merge that is half done leaves of its sources is not used by a rebuild",
    ),
    (
        "group copied with the forgotten in it",
        "a pack takes a group over as it is although one of its contents is forgotten",
    ),
    (
        "neighbour of the forgotten erased",
        "a pack is written without the content in front of the one that is forgotten",
    ),
    ("fields stay in packs", "a pack that is written anew keeps author and comment that are forgotten"),
    ("reused content erased", "a forgotten content is erased although a revert names it"),
    ("mark moved before reclaiming", "the store counts as erased before any file was written anew"),
    ("active segment not reclaimed", "what is forgotten stays in the segment that is being written"),
    (
        "tables reclaimed only beside value files",
        "tables are not looked into if no value file was written anew",
    ),
    ("purged name stays in the manifest", "edits that name a purged entity as a bound are not rewritten"),
    (
        "unreadable file taken for clean",
        "reclaiming passes a file that it could not read and says it is done",
    ),
    ("reclaimed pack deleted early", "a pack is deleted before the manifest names the one made of it"),
    ("report leaves out lost files", "the erasure report does not look into lost/"),
    (
        "report leaves out what is obsolete",
        "the erasure report does not look into files that wait for a reader",
    ),
    ("report believes the mark", "the erasure report passes over what the mark says is erased"),
    ("checkpoint not listed", "the store does not remember where its checkpoints are"),
    ("group member without slot", "a content of a group is looked for without its slot"),
    (
        "group with what may not be written",
        "a group holds contents of writes that may turn out to write nothing",
    ),
    ("restore skips an annotation", "a restore reads the newer annotations from the second change on"),
    (
        "restore drops what reaches further",
        "a newer annotation is dropped if its last revision is newer than the checkpoint",
    ),
    ("restore forgets who holds copies", "a restored store does not name the checkpoint that it came from"),
    ("rebuild forgets who holds copies", "a rebuilt store does not know its checkpoints any more"),
    ("rebuild loses annotations", "a rebuilt manifest says that annotations are in tables, and has none"),
];

// Of the thread: the simulator runs a whole machine, background work included, on the thread that steps it, so several machines with
// different mistakes can run side by side.
#[cfg(feature = "planted")]
thread_local! {
    static SELECTED: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// The place of a name in [`ALL`]; does not compile for another.
#[must_use]
pub const fn index(name: &str) -> usize {
    let mut i = 0;
    while i < ALL.len() {
        let other = ALL[i].0;
        if other.len() == name.len() {
            let (a, b) = (other.as_bytes(), name.as_bytes());
            let mut at = 0;
            while at < a.len() && a[at] == b[at] {
                at += 1;
            }
            if at == a.len() {
                return i;
            }
        }
        i += 1;
    }
    panic!("a planted mistake that is not in the list")
}

/// Switches one of [`ALL`] on, by its place, for simulated machines that run on this thread; `None`: all off.
#[cfg(feature = "planted")]
pub fn select(index: Option<usize>) {
    SELECTED.with(|selected| selected.set(index.unwrap_or(usize::MAX)));
}

/// Whether it is switched on. Use `planted!`.
#[cfg(feature = "planted")]
#[must_use]
pub fn is_on(index: usize) -> bool {
    SELECTED.with(|selected| selected.get() == index)
}

/// See [`crate::planted`].
macro_rules! planted {
    ($name:literal) => {{
        const INDEX: usize = $crate::planted::index($name);
        #[cfg(feature = "planted")]
        let on = $crate::planted::is_on(INDEX);
        #[cfg(not(feature = "planted"))]
        let on = {
            let _ = INDEX;
            false
        };
        on
    }};
}
