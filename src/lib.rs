//! Recension: an embedded storage engine for things that are edited.

#[macro_use]
pub mod planted;
#[macro_use]
pub mod probe;

pub mod cache;
pub mod codec;
pub mod env;
mod error;
pub mod index;
pub mod limits;
pub mod log;
pub mod manifest;
pub mod model;
pub mod pack;
#[cfg(feature = "sim")]
pub mod sim;
mod store;
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
