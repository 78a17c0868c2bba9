//! The crash-recovery harness: see `docs/testing.md`.
#![allow(missing_docs, reason = "a tool")]

pub mod audit;
pub mod coverage;
pub mod exhaustive;
pub mod floors;
pub mod generate;
pub mod linear;
pub mod model;
pub mod oracle;
pub mod outside;
pub mod predict;
pub mod reality;
pub mod run;
pub mod scoreboard;
pub mod script;
pub mod send;
pub mod shrink;
pub mod side;
pub mod swarm;
pub mod text;
