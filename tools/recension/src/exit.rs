//! How a command ends: exit codes and the words on standard error.

use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

use recension::{Error, ErrorKind};

use crate::args::Global;
use crate::output::Object;

/// Done.
pub const OK: u8 = 0;
/// It did not work.
pub const FAILED: u8 = 1;
/// The command line is wrong.
pub const USAGE: u8 = 2;
/// The head is another one.
pub const CONFLICT: u8 = 3;
/// It is not there.
pub const NOT_FOUND: u8 = 4;
/// Damage was found.
pub const DAMAGE: u8 = 5;
/// Done, but for some records.
pub const REJECTS: u8 = 6;
/// Ctrl-C.
pub const INTERRUPTED: u8 = 130;

/// Why a command did not end with 0.
#[derive(Debug)]
pub enum Failure {
    /// The library's word.
    Store(Error),
    /// The command line is wrong in a way that the parser does not see.
    Usage(String),
    /// What was asked for is not there: the kind of absence, and a sentence.
    NotFound(&'static str, String),
    /// A file other than the store's, or a stream, failed.
    Io(String, io::Error),
    /// Anything else, a sentence.
    Failed(String),
    /// `check` found damage; it was printed.
    Damage(String),
    /// Done, but for some records.
    Rejects(String),
    /// Ctrl-C; how to go on.
    Interrupted(String),
    /// Nobody reads the output any more.
    Closed,
}

/// What commands answer.
pub type Outcome<T = ()> = Result<T, Failure>;

impl Failure {
    /// The exit code.
    pub fn code(&self) -> u8 {
        match self {
            Self::Store(error) => match error.kind() {
                ErrorKind::Conflict => CONFLICT,
                ErrorKind::Corrupt => DAMAGE,
                ErrorKind::Cancelled => INTERRUPTED,
                _ => FAILED,
            },
            Self::Usage(_) => USAGE,
            Self::NotFound(..) => NOT_FOUND,
            Self::Io(..) | Self::Failed(_) => FAILED,
            Self::Damage(_) => DAMAGE,
            Self::Rejects(_) => REJECTS,
            Self::Interrupted(_) => INTERRUPTED,
            Self::Closed => OK,
        }
    }

    /// One word for programs.
    fn kind(&self) -> &'static str {
        match self {
            Self::Store(error) => match error.kind() {
                ErrorKind::Conflict => "conflict",
                ErrorKind::Invalid => "invalid",
                ErrorKind::Busy => "busy",
                ErrorKind::Locked => "locked",
                ErrorKind::Latched => "latched",
                ErrorKind::Corrupt => "corrupt",
                ErrorKind::Io => "io",
                ErrorKind::OutOfSpace => "out_of_space",
                ErrorKind::CursorLost => "cursor_lost",
                ErrorKind::Unsupported => "unsupported",
                ErrorKind::Cancelled => "interrupted",
                _ => "failed",
            },
            Self::Usage(_) => "usage",
            Self::NotFound(kind, _) => kind,
            Self::Io(..) => "io",
            Self::Failed(_) => "failed",
            Self::Damage(_) => "corrupt",
            Self::Rejects(_) => "rejects",
            Self::Interrupted(_) => "interrupted",
            Self::Closed => "closed",
        }
    }

    /// Says it on standard error: one sentence behind the program's name, or one object.
    pub fn report(&self, global: &Global, program: &str) {
        if matches!(self, Self::Closed) {
            return;
        }
        if global.json {
            let mut object = Object::new();
            object.text("error", &self.to_string()).text("kind", self.kind());
            if let Self::Store(Error::Conflict { entity, actual, .. }) = self {
                object.entity(entity.as_bytes()).number("head", actual.number());
            }
            if let Self::Store(Error::CursorLost { last, .. }) = self {
                object.number("last", *last);
            }
            tell(&object.finish());
        } else {
            tell(&format!("{program}: {self}"));
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(Error::Cancelled) => {
                f.write_str("interrupted; nothing is lost, run the command again")
            }
            Self::Store(error) => error.fmt(f),
            Self::Usage(what) | Self::NotFound(_, what) | Self::Failed(what) => f.write_str(what),
            Self::Io(what, source) => write!(f, "{what}: {source}"),
            Self::Damage(what) | Self::Rejects(what) | Self::Interrupted(what) => f.write_str(what),
            Self::Closed => f.write_str("the output was closed"),
        }
    }
}

impl std::error::Error for Failure {}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Store(error)
    }
}

/// A line on standard error. If nobody reads it any more there is nobody to tell: `eprintln!` would panic, in the middle of an import for example.
pub fn tell(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// An error of standard output: a reader that went away is no error.
pub fn output(error: io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::Closed,
        _ => Failure::Io("cannot write the output".into(), error),
    }
}

/// Says what `clap` has to say instead of arguments: help and the version, or what is wrong with the command line.
pub fn refused(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        // Help and version. Where they cannot be printed there is nobody to tell.
        let _ = error.print();
        return ExitCode::from(OK);
    }
    // Whoever asked for objects gets one for this as well.
    if std::env::args_os().any(|arg| arg == "--json") {
        report_usage(&error.to_string());
    } else {
        let _ = error.print();
    }
    ExitCode::from(USAGE)
}

/// A wrong command line as an object on standard error; the sentence is what stands before the first blank line.
fn report_usage(text: &str) {
    let lines: Vec<_> = text.lines().map(str::trim).take_while(|line| !line.is_empty()).collect();
    let sentence = lines.join(" ");
    let sentence = sentence.strip_prefix("error: ").unwrap_or(&sentence);
    tell(&Object::new().text("error", sentence).text("kind", "usage").finish());
}
