//! Recension: an embedded storage engine for things that are edited: wiki pages, documents, configuration.
//!
//! Every edit of an *entity* (any name of 1 to 512 bytes) makes a *revision*, which never changes. The newest one is the *head*, and a head moves
//! only if the writer says which one it has seen. Every earlier state can be read, and a whole history takes little more room than what changed.
//!
//! ```
//! use recension::{AsOf, Draft, ErrorKind, Expect, Head, Store};
//!
//! # let dir = tempfile::tempdir()?;
//! let store = Store::open(dir.path().join("wiki.db"))?;
//! store.put("Main Page", Expect::Absent, Draft::new("hello").author("ann"))?;
//! let before = store.snapshot();
//! store.put("Main Page", Expect::Head(1), Draft::new("hello, world").author("ben"))?;
//!
//! // Somebody who has not seen revision 2 is told so, and nothing is written.
//! let stale = store.put("Main Page", Expect::Head(1), Draft::new("hallo"));
//! assert_eq!(stale.unwrap_err().kind(), ErrorKind::Conflict);
//!
//! // What is there now, what was there then, and how it came about.
//! assert!(matches!(store.head("Main Page")?, Head::Live(revision) if revision.number() == 2));
//! assert_eq!(before.head("Main Page")?.number(), 1);
//! let authors: Vec<_> =
//!     store.history("Main Page")?.map(|revision| Ok(revision?.fields()?.author.clone())).collect::<recension::Result<_>>()?;
//! assert_eq!(authors, [Some("ben".into()), Some("ann".into())]);
//! store.close()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | to | see |
//! |---|---|
//! | open, with options | [`Store::open`], [`Store::builder`] |
//! | write one revision, several at once, many in flight | [`Store::put`], [`Batch`] and [`Store::commit`], [`Store::submit`] |
//! | say what is written | [`Draft`], [`Expect`], [`Durability`] |
//! | read and write what rests on it | [`Store::transaction`] |
//! | read the newest, one revision, the past | [`Store::head`], [`Store::revision`], [`Store::as_of`], [`Store::snapshot`] |
//! | walk a history, a range of names | [`Store::history`], [`Store::heads`], [`Store::prefix`], [`Store::heads_as_of`] |
//! | follow what is done | [`Store::changes`], from another process [`LiveChanges`] |
//! | hide, forget, purge | [`Store::hide`], [`Store::forget`], [`Store::purge`], [`Store::retain`] |
//! | look after a store | [`Store::stats`], [`Store::check`], [`Store::compact`], [`Store::checkpoint`] |
//!
//! Calls block the thread for as long as the disk needs. A [`Ticket`] and the feed can be awaited on any executor; call everything else through
//! its `spawn_blocking`. There is one error type; [`Error::kind`] says what to do. Limits stand in [`limits`].
//!
//! Events of the crate `tracing` (targets `recension::…`) tell what happens in the background; which ones stands in `docs/operations.md`.
//!
//! [`Store`] and what is named above is the interface. The modules are public for the tools that come with the engine (`sst-dump`, `crash`) and for
//! the simulated disk ([`sim`], behind the feature of that name) in a program's own tests; they change with the formats.

#[macro_use]
pub mod planted;
#[macro_use]
pub mod probe;

pub mod cache;
pub mod codec;
pub mod env;
mod error;
pub mod index;
pub mod inspect;
pub mod limits;
pub mod log;
pub mod manifest;
pub mod model;
pub mod pack;
#[cfg(feature = "sim")]
pub mod sim;
mod store;
mod suspect;
mod sync;

pub use error::{Corruption, Error, ErrorKind, Result};
pub use index::EntityRange;
pub use model::{
    Annotation, AnnotationKind, Digest, Entity, Erasure, Expect, FieldMask, Fields, Flags, HeadState,
    Timestamp,
};
pub use store::*;

/// The example of the README, compiled and run as a documentation test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
