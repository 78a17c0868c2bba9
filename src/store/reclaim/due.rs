//! When reclaiming begins, and when it is tried again.

use std::sync::Arc;
use std::time::Duration;

use super::{erased_up_to, readable};
use crate::Result;
use crate::store::inner::Inner;
use crate::sync::atomic::Ordering;

/// How long until what could not be read is tried for the second time.
const RETRY: Duration = Duration::from_secs(60);

impl Inner {
    /// How long until what is forgotten and not erased yet is to be gone; `None` if there is nothing.
    fn reclaim_due(&self) -> Result<Option<Duration>> {
        let erasures = self.erasures();
        let mut oldest = u64::MAX;
        erasures.erasing(erased_up_to(&self.manifest.state()), &mut |stored| {
            oldest = oldest.min(stored.sequence);
            Ok(())
        })?;
        if oldest == u64::MAX {
            return Ok(None);
        }
        let values = self.values();
        let change = values.changes(oldest.saturating_sub(1)).next().transpose()?;
        let since = change.map_or(0, |change| self.env.clock.wall_us().saturating_sub(change.commit_time));
        let since = Duration::from_micros(u64::try_from(since).unwrap_or(0));
        Ok(Some((self.options.erase_within / 2).saturating_sub(since)))
    }

    /// Has what is forgotten erased in time: begins when half of the time that the options give has passed. What could not be read is tried again
    /// ever less often, at least so often that the other half has room for some attempts.
    pub(crate) fn reclaim_after(self: &Arc<Self>, delay: Duration) {
        self.reclaim_once(delay, |inner| {
            match readable(inner.reclaim_due())? {
                Ok(None) => return Ok(()),
                Ok(Some(due)) if due > Duration::ZERO => {
                    inner.reclaim_after(due);
                    return Ok(());
                }
                // When it was forgotten cannot be told: it may have been long ago.
                Ok(Some(_)) | Err(_) => {}
            }
            let done = inner.reclaim_until(&|| inner.is_ending())?;
            if done.is_complete() {
                inner.background.reclaimed_in_vain.store(0, Ordering::Relaxed);
            } else {
                inner.reclaim_again();
            }
            Ok(())
        });
    }

    fn reclaim_again(self: &Arc<Self>) {
        probe!("reclaim: tried again later");
        let before = self.background.reclaimed_in_vain.fetch_add(1, Ordering::Relaxed);
        let delay = RETRY.saturating_mul(2_u32.saturating_pow(before));
        let delay = delay.min(self.options.erase_within / 8).max(RETRY);
        let overdue = self.not_erased().1.overdue(self.options.erase_within, self.env.clock.wall_us());
        tracing::warn!(
            ?delay,
            ?overdue,
            "not everything that is forgotten could be erased: it is tried again"
        );
        self.reclaim_after(delay);
    }
}
