//! Tables of the index.

use std::sync::Arc;

use super::look::{Held, Look};
use super::{Pass, readable};
use crate::index::annotations::Erasures;
use crate::index::compaction::CompactionJob;
use crate::manifest::TableInfo;
use crate::store::forget::erasures::ViewErasures;
use crate::store::inner::Inner;
use crate::store::unpackable::is_failed_read;
use crate::{Error, Result};

impl Inner {
    pub(super) fn reclaim_tables(
        self: &Arc<Self>,
        erasures: &ViewErasures,
        pass: &mut Pass,
        cancel: &dyn Fn() -> bool,
    ) -> Result<()> {
        loop {
            let _one_at_a_time = self.background.compacting.lock();
            self.check_writable()?;
            let view = self.view();
            let wanted = |info: &&TableInfo| {
                info.erased_up_to < erasures.up_to()
                    && info.sequence_first <= erasures.up_to()
                    && !pass.is_done(info.id)
            };
            let Some(info) = view.levels().infos().find(wanted).cloned() else { return Ok(()) };
            if cancel() {
                return Err(Error::Cancelled);
            }
            let name = info.id.file_name(info.kind());
            let path = self.manifest.files().path(info.id, info.kind());
            let look = Look::new(erasures, cancel).file(&*self.env.fs, &path, info.kind());
            match readable(look)? {
                Ok(Held { unreadable: Some(why), .. }) | Err(why) => pass.give_up(name, info.id, why),
                Ok(held) if held.is_empty() => _ = pass.clean.insert(info.id),
                Ok(_) => {
                    self.require_space("write a table anew", info.len)?;
                    let Some(job) = CompactionJob::rewrite(view.levels(), info.keyspace, info.id) else {
                        pass.clean.insert(info.id);
                        continue;
                    };
                    match self.run_compaction(&job, cancel) {
                        Ok(()) => {
                            probe!("reclaim: table written anew");
                            pass.done.tables += 1;
                        }
                        Err(error)
                            if matches!(error, Error::Corrupt(_) | Error::Unsupported { .. })
                                || is_failed_read(&error) =>
                        {
                            pass.give_up(name, info.id, error.to_string());
                        }
                        Err(error) => return self.latching(Err(error)),
                    }
                }
            }
        }
    }
}
