//! Mistakes on purpose: proof that the crash harness bites.
//!
//! `planted!("name")` is `false`, a constant, unless this crate was built with the feature `planted` *and* the name was selected. Each is a
//! mistake that a storage engine was shipped with, or could have been; `crash scoreboard` switches them on one at a time and expects an
//! oracle to notice. Never enable the feature for anything else.

#[cfg(feature = "planted")]
use std::sync::atomic::{AtomicUsize, Ordering};

/// Every planted mistake, and what is wrong.
pub const ALL: &[(&str, &str)] = &[
    ("ack before sync", "a group is published and acknowledged without the sync"),
    ("publish before durable", "rows are visible before the sync, also if it fails"),
    ("older segment not synced", "a sync covers the newest segment only"),
    ("segment name not synced", "the directory is not synced for a new segment"),
    ("table name not synced", "the directory is not synced for a new table"),
    ("table not synced", "a table is installed without having been synced"),
    ("recovery cut not synced", "what recovery cuts and seals is not synced"),
    ("append to recovered segment", "a recovered tail is continued as if the log had been closed cleanly"),
    ("bad frame is the end", "a damaged frame ends the log, whatever was promised behind it"),
    ("file number reused", "numbers of unsealed segments are given out again after a restart"),
    ("interrupted compaction installed", "what an interrupted compaction wrote so far is installed"),
    ("unreadable input skipped", "a table that cannot be read is left out of a merge, then deleted"),
    ("deleted under a reader", "an obsolete file is deleted while somebody has it open"),
    ("block checksum not compared", "a table's blocks are taken as they are"),
    ("content checksum not compared", "a content is taken as it is"),
    ("stale head cache fill", "a head is put into the cache although a newer one was given out"),
    ("stale head cache hit", "a cached head is used although a newer one was given out"),
    ("cas outside the section", "what was looked up is not checked again where numbers are given out"),
    ("answers overtake", "a refusal that rests on a pending head is given at once"),
    ("level order broken", "a flush adds its tables below the newest level"),
    ("newer tables left behind", "a compaction out of level 0 leaves an older overlapping table there"),
    ("promise ahead", "a frame promises the group that it is part of"),
    ("annotations not flushed", "a flush moves the checkpoint past annotations that it did not write"),
    ("half a batch at a snapshot", "a read point inside a commit is not rounded down"),
    ("half a commit recovered", "a frame whose contents are torn is recovered"),
    ("incarnation kept", "sequence numbers are given out again under the same incarnation"),
    ("clock goes back", "commit times are what the wall clock says"),
    ("effective time not monotone", "an authored time in the past takes effect in the past"),
    ("refusal uses numbers up", "a refused commit leaves a hole in the sequence"),
    ("manifest not synced", "a manifest commit is visible without its sync"),
    ("manifest tail appended to", "a torn manifest is written on behind its last whole frame"),
    ("old manifest left", "the manifest before a rewrite is not removed"),
    ("intents forgotten", "files of unfinished jobs are not removed at open"),
    ("failed sync retried", "a failed sync of the log is tried again"),
    ("feed shows what is not durable", "the feed goes up to what is published"),
    ("replay starts too late", "changes behind the flush are not replayed if the last segment is sealed"),
    ("request id forgotten", "a request that is in a table is not found again"),
    ("filter has a false negative", "one entity of a table is not in its filter"),
    ("spare not zeroed", "a rolled segment keeps a frame of its predecessor behind its end"),
    ("last record not sealed", "the directory of a sealed segment lacks the last record"),
];

#[cfg(feature = "planted")]
static SELECTED: AtomicUsize = AtomicUsize::new(usize::MAX);

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

/// Switches one of [`ALL`] on, by its place, for the whole process; `None`: all off.
#[cfg(feature = "planted")]
pub fn select(index: Option<usize>) {
    SELECTED.store(index.unwrap_or(usize::MAX), Ordering::SeqCst);
}

/// Whether it is switched on. Use `planted!`.
#[cfg(feature = "planted")]
#[must_use]
pub fn is_on(index: usize) -> bool {
    SELECTED.load(Ordering::Relaxed) == index
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
