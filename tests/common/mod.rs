//! A model of a store in plain maps, and a driver that does the same to both and compares.
//!
//! | file | holds |
//! |---|---|
//! | `damaged` | reads of a damaged store: right, or an error |
//! | `draw` | drawn numbers out of the bytes of a test case |
//! | `op` | what can be done to a store: every public operation, and what can happen to it |
//! | `batch` | a batch in plain words, and the `Batch` made of it |
//! | `model` | the maps |
//! | `plan` | what a batch must come to |
//! | `world` | store and model side by side |
//! | `surroundings` | where the store lives: the simulator, or the file system |
//! | `verify` | every read compared |
//!
//! The model knows nothing of files, tables or caches: it is the documentation of [`recension::Store`], executable.

#![allow(dead_code, reason = "each test uses a part of it")]

pub mod batch;
pub mod damaged;
pub mod draw;
pub mod model;
pub mod op;
pub mod plan;
pub mod surroundings;
pub mod verify;
pub mod world;
