//! Erasing for real: after it no file that the report does not name has a byte of what is forgotten.

use super::*;
use recension::{FieldMask, Progress};

const ORACLE: &str = "what is reclaimed is in no file that is not named";

impl World {
    pub(super) fn reclaim(&mut self, stop: Option<u8>) -> Done {
        self.wait_all()?;
        let mut asked = 0;
        let mut go_on = |_: &'static str, _: u64, _: u64| {
            asked += 1;
            stop.is_none_or(|stop| asked < u64::from(stop))
        };
        match self.store().reclaim(&mut Progress::new(&mut go_on)) {
            Ok(done) if !done.is_complete() => match self.is_plain() {
                true => failure(ORACLE, format!("without any damage: {done:?}")),
                false => Ok(()),
            },
            Ok(done) => {
                self.note(done.value_files << 8 | done.tables);
                self.coverage.count("reclaimed");
                self.coverage.add("files written anew", done.value_files + done.tables);
                self.look_for_erased()
            }
            Err(Error::Cancelled) if stop.is_some() => {
                self.coverage.count("reclaim cancelled");
                Ok(())
            }
            Err(error) => self.excused("reclaim", &error),
        }
    }

    /// Looks for what is forgotten in every file: as it stands there, and decoded where the manifest says how.
    fn look_for_erased(&mut self) -> Done {
        if !self.is_plain() || self.machine.fs.has_lost_names() {
            return Ok(());
        }
        let report = match self.store().erasure_report(&mut Progress::none()) {
            Ok(report) => report,
            Err(error) => return self.excused("the erasure report", &error),
        };
        let named: BTreeSet<String> = report
            .held
            .iter()
            .map(|held| held.path.display().to_string())
            .chain(report.unknown.iter().map(|unknown| unknown.path.display().to_string()))
            .collect();
        let forgotten = self.forgotten_contents();
        if forgotten.is_empty() {
            return Ok(());
        }
        self.coverage.count("looked for what is erased");
        for path in self.machine.fs.files() {
            if !path.starts_with(&format!("{DIR}/")) || named.contains(&path) {
                continue;
            }
            let bytes = self.machine.fs.read_file(&path).unwrap_or_default();
            for content in &forgotten {
                if bytes.windows(content.len()).any(|window| window == &content[..]) {
                    return failure(ORACLE, format!("{path} has `{}`", String::from_utf8_lossy(content)));
                }
            }
        }
        Ok(())
    }

    /// Beginnings of contents that nobody may read any more: of every revision that had them they are forgotten.
    fn forgotten_contents(&self) -> Vec<Bytes> {
        let (mut gone, mut there) = (BTreeSet::new(), BTreeSet::new());
        for (name, revs) in &self.model.entities {
            let purge = self.model.purge(name, u64::MAX).map_or(0, |purge| purge.sequence);
            for rev in revs {
                let forgotten = rev.sequence < purge
                    || self.model.forgotten(name, rev.number, u64::MAX).contains(FieldMask::CONTENT);
                let contents = rev.content.iter().chain(rev.slots.iter().filter_map(|(_, it)| it.as_ref()));
                for content in contents.filter(|content| content.len() >= 20) {
                    let marker = content.slice(..content.len().min(40));
                    if forgotten {
                        gone.insert(marker)
                    } else {
                        there.insert(marker)
                    };
                }
            }
        }
        gone.difference(&there).cloned().collect()
    }
}
