//! How a long operation tells how far it is, and is asked to end.

use crate::{Error, Result};

/// How far a long operation has come, and whether it should go on.
pub struct Progress<'a> {
    callback: Option<&'a mut dyn FnMut(&'static str, u64, u64) -> bool>,
}

impl<'a> Progress<'a> {
    /// `callback` gets the name of the step, how much is done, and of how much (0: not known); it answers whether to go on.
    pub fn new(callback: &'a mut dyn FnMut(&'static str, u64, u64) -> bool) -> Self {
        Self { callback: Some(callback) }
    }

    /// Nobody looks, and it goes on to the end.
    pub fn none() -> Self {
        Self { callback: None }
    }

    pub(crate) fn step(&mut self, what: &'static str, done: u64, of: u64) -> Result<()> {
        match &mut self.callback {
            Some(callback) => {
                if callback(what, done, of) {
                    Ok(())
                } else {
                    Err(Error::Cancelled)
                }
            }
            None => Ok(()),
        }
    }
}

impl std::fmt::Debug for Progress<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Progress")
    }
}
