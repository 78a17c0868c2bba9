//! The parts of the command line that are worth testing by themselves.

pub mod formats;
