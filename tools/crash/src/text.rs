//! Scripts as text: made by hand or by shrinking, kept, replayed.
//!
//! ```text
//! recension crash script 1
//! seed 42
//! options Options { promise_us: 50000, map: false, size: 0, jobs: 1 }
//! fault (ShortRead, 20)
//! clock (0, 0)
//! creation Crash { at: Some(Change(3)), kind: Process }
//! round
//! op Commit(Write { edits: [Edit { … }], sync: true, request: None, run: false })
//! end Clean
//! nested Crash { at: None, kind: Process }
//! ```
//!
//! One thing a line; what stands behind the first word is written as Rust's `Debug` does. Lines that start with `#` are for people.
//! The number in the first line is the version of the format: a script of another version is refused.

mod read;
mod value;

use crate::script::{End, Options, Round, Script};
use read::Read;
use value::Value;

/// The first line.
const FIRST: &str = "recension crash script 1";

/// A script as text.
pub fn write(script: &Script) -> String {
    let mut out = format!("{FIRST}\nseed {}\noptions {:?}\n", script.seed, script.options);
    for fault in &script.faults {
        out += &format!("fault {fault:?}\n");
    }
    out += &format!("clock {:?}\n", script.clock);
    for crash in &script.creation {
        out += &format!("creation {crash:?}\n");
    }
    for round in &script.rounds {
        out += "round\n";
        for op in &round.ops {
            out += &format!("op {op:?}\n");
        }
        out += &format!("end {:?}\n", round.end);
        for crash in &round.nested {
            out += &format!("nested {crash:?}\n");
        }
    }
    out
}

/// The script that a text says.
///
/// # Errors
/// The line, and what was expected.
pub fn read(text: &str) -> Result<Script, String> {
    let mut lines = text.lines().enumerate().map(|(n, line)| (n + 1, line.trim()));
    let mut lines = lines.by_ref().filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    match lines.next() {
        Some((_, FIRST)) => {}
        Some((n, other)) => return Err(format!("line {n}: expected `{FIRST}`, found `{other}`")),
        None => return Err(format!("expected `{FIRST}`, found nothing")),
    }
    let mut script = Script {
        seed: 0,
        options: Options { promise_us: 50_000, map: false, size: 0, jobs: 0 },
        faults: Vec::new(),
        clock: (0, 0),
        creation: Vec::new(),
        rounds: Vec::new(),
    };
    for (n, line) in lines {
        take(&mut script, line).map_err(|what| format!("line {n}: {what}"))?;
    }
    Ok(script)
}

fn take(script: &mut Script, line: &str) -> Result<(), String> {
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    let value = |rest: &str| Value::parse(rest);
    match word {
        "seed" => script.seed = Read::read(&value(rest)?)?,
        "options" => script.options = Read::read(&value(rest)?)?,
        "fault" => script.faults.push(Read::read(&value(rest)?)?),
        "clock" => script.clock = Read::read(&value(rest)?)?,
        "creation" => script.creation.push(Read::read(&value(rest)?)?),
        "round" => script.rounds.push(Round { ops: Vec::new(), end: End::Clean, nested: Vec::new() }),
        _ => {
            let Some(round) = script.rounds.last_mut() else {
                return Err(format!("`{word}` before the first round"));
            };
            match word {
                "op" => round.ops.push(Read::read(&value(rest)?)?),
                "end" => round.end = Read::read(&value(rest)?)?,
                "nested" => round.nested.push(Read::read(&value(rest)?)?),
                _ => return Err(format!("what is `{word}`?")),
            }
        }
    }
    Ok(())
}
