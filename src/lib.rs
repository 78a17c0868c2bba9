//! Recension: an embedded storage engine for things that are edited.

pub mod cache;
pub mod codec;
pub mod env;
mod error;
pub mod index;
pub mod limits;
pub mod manifest;
pub mod model;
#[cfg(feature = "sim")]
pub mod sim;

pub use error::{Corruption, Error, ErrorKind, Result};
