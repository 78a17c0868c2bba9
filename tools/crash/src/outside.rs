//! The store as seen from outside, without its lock: what `sst-dump verify` looks at.

use std::path::Path;

use recension::env::Env;
use recension::inspect::verify_store;
use recension::limits::Limits;
use recension::pack::Depth;

use crate::oracle::{Failure, failure};

/// With nothing going on and no faults, a verification from outside finds nothing.
pub fn sound(env: &Env, dir: &str, limits: &Limits) -> Result<(), Failure> {
    match verify_store(env, Path::new(dir), Depth::Contents, limits) {
        Ok(verified) => match verified.found.first() {
            None => Ok(()),
            Some(finding) => {
                failure("check finds nothing", format!("from outside: {}: {finding}", finding.check))
            }
        },
        Err(error) => failure("check finds nothing", format!("from outside: {error}")),
    }
}
