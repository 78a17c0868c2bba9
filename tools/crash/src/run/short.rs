//! A short workload on a new store, with a crash in one change of the disk: what [`crate::exhaustive`] does over and over.

use super::*;

impl World {
    /// Operations on a new store, without an end; the machine goes off in that change of the disk.
    pub fn carry_out(&mut self, ops: &[Op], off_in: Option<u64>) -> Done {
        if let Some(at) = off_in {
            self.machine.fs.kill_at_change(at);
        }
        let made = self.builder(DIR).open();
        if self.machine.fs.is_off() {
            return Ok(());
        }
        match made {
            Ok(store) => self.store = Some(store),
            Err(error) => return failure("a store can be made", error.to_string()),
        }
        for op in ops {
            self.n += 1;
            if let Op::Reopen = op {
                let closed = self.store().close();
                self.drop_all();
                if self.machine.fs.is_off() {
                    break;
                }
                let opened = closed.and_then(|()| self.builder(DIR).open());
                match opened {
                    Ok(store) => self.store = Some(store),
                    Err(_) if self.machine.fs.is_off() => break,
                    Err(error) => return failure("a store can be opened again", error.to_string()),
                }
            } else {
                self.op(op)?;
            }
            if self.machine.fs.is_off() {
                break;
            }
            self.after_op()?;
        }
        self.machine.fs.power_off();
        self.drop_all();
        Ok(())
    }
}
