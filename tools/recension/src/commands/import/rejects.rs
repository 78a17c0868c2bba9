//! Records that were not taken: into a file, one object a line, or onto standard error.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::report::Summary;
use crate::entity::shown;
use crate::exit::{Failure, Outcome, tell};
use crate::formats::{Place, Reject};
use crate::output::{Object, count};

/// Rejects that are told on standard error where no file was named.
const TOLD: u64 = 10;

/// Where rejects go.
pub struct Rejects {
    path: Option<PathBuf>,
    file: Option<BufWriter<File>>,
    started: bool,
    /// Of the present source.
    of_source: u64,
    told: u64,
}

impl Rejects {
    pub fn new(path: Option<&Path>) -> Self {
        Self { path: path.map(Path::to_path_buf), file: None, started: false, of_source: 0, told: 0 }
    }

    /// A source begins. Rejects of it from an earlier run that will not be met again stay in the file.
    pub fn begin(&mut self, source: &Arc<str>, resumed: u64, rejected: u64) -> Outcome {
        let kept = self.kept_lines(source, resumed)?;
        self.of_source = rejected;
        if let Some(path) = &self.path
            && (!self.started || resumed > 0)
        {
            let failed = |error| Failure::Io(format!("cannot write {}", path.display()), error);
            drop(self.file.take());
            let mut file = BufWriter::new(File::create(path).map_err(failed)?);
            for line in kept {
                file.write_all(line.as_bytes()).and_then(|()| file.write_all(b"\n")).map_err(failed)?;
            }
            self.file = Some(file);
            self.started = true;
        }
        Ok(())
    }

    /// The lines of the file that stay: on a fresh start none, else those of other sources and of what was passed already.
    fn kept_lines(&mut self, source: &str, resumed: u64) -> Outcome<Vec<String>> {
        self.flush()?;
        let Some(path) = &self.path else { return Ok(Vec::new()) };
        if resumed == 0 && !self.started {
            return Ok(Vec::new());
        }
        let Ok(file) = File::open(path) else { return Ok(Vec::new()) };
        let mut kept = Vec::new();
        for line in BufReader::new(file).lines() {
            let line = match line {
                Ok(line) => line,
                // A crash cut it off in the middle of a character.
                Err(error) if error.kind() == std::io::ErrorKind::InvalidData => break,
                Err(error) => return Err(Failure::Io("cannot read the file of rejects".into(), error)),
            };
            // A line that a crash cut off is no object.
            let Ok(object) = serde_json::from_str::<serde_json::Value>(&line) else { continue };
            let text = |name: &str| object.get(name).and_then(serde_json::Value::as_str);
            let ordinal = object.get("ordinal").and_then(serde_json::Value::as_u64).unwrap_or(0);
            if text("file") != Some(source) || ordinal < resumed {
                kept.push(line);
            }
        }
        Ok(kept)
    }

    /// A record that could not be read.
    pub fn reject(&mut self, reject: &Reject, summary: &mut Summary) -> Outcome {
        self.put(&reject.place, reject.entity.as_deref(), &reject.reason, summary)
    }

    /// A record that could not be taken.
    pub fn put(
        &mut self,
        place: &Place,
        entity: Option<&[u8]>,
        reason: &str,
        summary: &mut Summary,
    ) -> Outcome {
        self.of_source += 1;
        summary.rejected += 1;
        let Some(file) = &mut self.file else {
            self.told += 1;
            if self.told <= TOLD {
                let name = entity.map(|entity| format!("{}: ", shown(entity))).unwrap_or_default();
                tell(&format!("recension: rejected: {place}: {name}{reason}"));
            }
            return Ok(());
        };
        let mut object = Object::new();
        object.text("file", &place.file).number("line", place.line).number("byte", place.byte);
        object.number("offset", place.offset).number("ordinal", place.ordinal);
        if let Some(entity) = entity {
            object.entity(entity);
        }
        object.text("reason", reason);
        let written = writeln!(file, "{}", object.finish());
        written.map_err(|error| Failure::Io("cannot write the file of rejects".into(), error))
    }

    /// How many of the present source were rejected.
    pub fn of_source(&self) -> u64 {
        self.of_source
    }

    /// Hands everything to the operating system: progress must not be ahead of the file.
    pub fn flush(&mut self) -> Outcome {
        let Some(file) = &mut self.file else { return Ok(()) };
        file.flush().map_err(|error| Failure::Io("cannot write the file of rejects".into(), error))
    }

    pub fn finish(&mut self) -> Outcome {
        self.flush()
    }

    /// The sentence that an import with rejects ends with.
    pub fn told(&self, rejected: u64) -> String {
        let records = count(rejected, "record was", "records were");
        match &self.path {
            Some(path) => format!("{records} rejected: see {}", path.display()),
            None if rejected > self.told.min(TOLD) => {
                format!("{records} rejected; to see all of them run it again with --rejects FILE")
            }
            None => format!("{records} rejected"),
        }
    }
}
