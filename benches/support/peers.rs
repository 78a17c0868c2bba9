//! What other programs make of the same contents. One that is not installed says so.

use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use super::on_disk;

/// A revision: which entity, its number there, its content.
pub type Contents<'a> = &'a dyn Fn() -> Box<dyn Iterator<Item = (String, u64, Vec<u8>)>>;

/// What a program made of it: bytes and seconds; or why there is nothing.
pub type Made = Result<(u64, f64), &'static str>;

const MISSING: &str = "not installed";
const FAILED: &str = "failed";

/// A program, and what is asked of it.
pub struct Peer {
    pub what: &'static str,
    /// Whether it takes minutes for many small contents.
    pub slow: bool,
    pub run: fn(&Path, Contents<'_>) -> Made,
}

pub const PEERS: [Peer; 6] = [
    Peer { what: "contents in order, zstd -19 --long=27", slow: false, run: zstd },
    Peer { what: "contents in order, xz -9", slow: false, run: xz },
    Peer { what: "contents in order, 7z -mx=9", slow: false, run: seven },
    Peer { what: "git, a commit each, gc --aggressive", slow: true, run: git },
    Peer { what: "sqlite, a row each", slow: false, run: sqlite },
    Peer { what: "rocksdb, a key each, zstd, compacted", slow: false, run: rocksdb },
];

fn is_there(program: &str) -> bool {
    Command::new(program).arg("--help").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

fn first_of<'a>(programs: &[&'a str]) -> Result<&'a str, &'static str> {
    programs.iter().copied().find(|program| is_there(program)).ok_or(MISSING)
}

/// All contents one after the other in a file, and a program that compresses it.
fn in_order(dir: &Path, contents: Contents<'_>, program: &str, args: &[&str]) -> Made {
    let (input, output) = (dir.join("contents"), dir.join("packed.7z"));
    let mut file = BufWriter::new(std::fs::File::create(&input).unwrap());
    contents().for_each(|(_, _, content)| file.write_all(&content).unwrap());
    drop(file);
    let start = Instant::now();
    let mut command = Command::new(program);
    let done = match program.starts_with('7') {
        true => command.args(args).arg(&output).arg(&input).stdout(Stdio::null()).status(),
        false => command.args(args).arg(&input).stdout(std::fs::File::create(&output).unwrap()).status(),
    };
    let made = done.is_ok_and(|it| it.success()).then(|| std::fs::metadata(&output).unwrap().len());
    _ = (std::fs::remove_file(&input), std::fs::remove_file(&output));
    made.map(|bytes| (bytes, start.elapsed().as_secs_f64())).ok_or(FAILED)
}

fn zstd(dir: &Path, contents: Contents<'_>) -> Made {
    in_order(dir, contents, first_of(&["zstd"])?, &["-19", "--long=27", "-q", "-c"])
}

fn xz(dir: &Path, contents: Contents<'_>) -> Made {
    in_order(dir, contents, first_of(&["xz"])?, &["-9", "-k", "-c"])
}

fn seven(dir: &Path, contents: Contents<'_>) -> Made {
    in_order(dir, contents, first_of(&["7z", "7zz"])?, &["a", "-t7z", "-mx=9", "-bso0"])
}

/// Feeds a program and measures what it leaves in `dir`.
fn fed(
    mut command: Command,
    made: &Path,
    feed: impl FnOnce(&mut BufWriter<std::process::ChildStdin>) -> std::io::Result<()>,
) -> Option<u64> {
    let mut child: Child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().ok()?;
    let mut input = BufWriter::new(child.stdin.take()?);
    let sent = feed(&mut input).and_then(|()| input.flush());
    drop(input);
    (child.wait().ok()?.success() && sent.is_ok()).then(|| on_disk(made))
}

/// The size of a bare repository with every revision as a commit.
fn git(dir: &Path, contents: Contents<'_>) -> Made {
    first_of(&["git"])?;
    let dir = dir.join("git");
    std::fs::create_dir_all(&dir).unwrap();
    let start = Instant::now();
    let run = |args: &[&str]| {
        let mut command = Command::new("git");
        command.args(args).current_dir(&dir).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|it| it.success()).then_some(()).ok_or(FAILED)
    };
    run(&["init", "--bare", "-q", "."])?;
    let mut import = Command::new("git");
    import.args(["fast-import", "--quiet"]).current_dir(&dir);
    let feed = |input: &mut BufWriter<_>| {
        for (n, (entity, _, content)) in contents().enumerate() {
            let name = entity.replace(['/', '"', '\n'], "_");
            writeln!(input, "commit refs/heads/main\ncommitter A <a> {n} +0000\ndata 0")?;
            writeln!(input, "M 644 inline {name}\ndata {}", content.len())?;
            input.write_all(&content)?;
            writeln!(input)?;
        }
        Ok(())
    };
    let packs = dir.join("objects/pack");
    fed(import, &packs, feed).ok_or(FAILED)?;
    run(&["gc", "--aggressive", "--prune=now", "-q"])?;
    Ok((on_disk(&packs), start.elapsed().as_secs_f64()))
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).map(|n| char::from(DIGITS[usize::from(n)])).collect()
}

/// A table of (entity, number, content), the usual way to keep revisions in a relational database.
fn sqlite(dir: &Path, contents: Contents<'_>) -> Made {
    first_of(&["sqlite3"])?;
    let dir = dir.join("sqlite");
    std::fs::create_dir_all(&dir).unwrap();
    let start = Instant::now();
    let mut import = Command::new("sqlite3");
    import.arg(dir.join("db"));
    let feed = |input: &mut BufWriter<_>| {
        let key = "PRIMARY KEY (entity, number)) WITHOUT ROWID";
        writeln!(input, "CREATE TABLE r (entity TEXT, number INTEGER, content BLOB, {key}; BEGIN;")?;
        for (entity, number, content) in contents() {
            let entity = entity.replace('\'', "''");
            writeln!(input, "INSERT INTO r VALUES ('{entity}', {number}, X'{}');", hex(&content))?;
        }
        writeln!(input, "COMMIT; VACUUM;")
    };
    let bytes = fed(import, &dir, feed).ok_or(FAILED)?;
    Ok((bytes, start.elapsed().as_secs_f64()))
}

/// A key of entity and number; neighbouring revisions share a block of 64 KiB, if they fit.
fn rocksdb(dir: &Path, contents: Contents<'_>) -> Made {
    first_of(&["ldb"])?;
    let dir = dir.join("rocksdb");
    let start = Instant::now();
    let mut import = Command::new("ldb");
    import.arg(format!("--db={}", dir.display()));
    import.args(["load", "--create_if_missing", "--disable_wal", "--bulk_load", "--compact", "--hex"]);
    import.args(["--compression_type=zstd", "--block_size=65536"]).stderr(Stdio::null());
    let feed = |input: &mut BufWriter<_>| {
        for (entity, number, content) in contents() {
            let mut key = entity.into_bytes();
            key.push(0);
            key.extend_from_slice(&number.to_be_bytes());
            writeln!(input, "0x{} ==> 0x{}", hex(&key), hex(&content))?;
        }
        Ok(())
    };
    let bytes = fed(import, &dir, feed).ok_or(FAILED)?;
    Ok((bytes, start.elapsed().as_secs_f64()))
}
