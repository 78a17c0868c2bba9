//! A small file system in a file.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// How the file system is made.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Ext4,
    Xfs,
    Btrfs,
}

impl Kind {
    pub(super) const ALL: &[Self] = &[Self::Ext4, Self::Xfs, Self::Btrfs];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Ext4 => "ext4",
            Self::Xfs => "xfs",
            Self::Btrfs => "btrfs",
        }
    }

    /// Size of the disk, bytes: about as small as each may be. The file in which it lies has holes.
    const fn bytes(self) -> u64 {
        match self {
            Self::Ext4 => 24 << 20,
            Self::Xfs => 320 << 20,
            Self::Btrfs => 128 << 20,
        }
    }

    const fn options(self) -> &'static [&'static str] {
        match self {
            Self::Ext4 => &["-q", "-F", "-m", "0"],
            Self::Xfs => &["-q", "-f"],
            // Mixed: where data took all room, metadata would have none to give any back with.
            Self::Btrfs => &["-q", "-f", "-M", "-m", "single", "-d", "single"],
        }
    }
}

/// Mounted until it is dropped.
pub(super) struct Loop {
    pub(super) path: PathBuf,
    pub(super) kind: Kind,
}

impl Loop {
    /// A file system in a file beside `path`. The error says what the machine cannot do.
    pub(super) fn mount(path: &Path, kind: Kind) -> Result<Self, String> {
        std::fs::create_dir_all(path).map_err(|error| error.to_string())?;
        let image = path.with_extension("img");
        let file = std::fs::File::create(&image).map_err(|error| error.to_string())?;
        file.set_len(kind.bytes()).map_err(|error| error.to_string())?;
        run(Command::new(format!("mkfs.{}", kind.name())).args(kind.options()).arg(&image))?;
        run(Command::new("mount").args(["-o", "loop"]).arg(&image).arg(path))?;
        Ok(Self { path: path.to_owned(), kind })
    }

    /// Takes all room but about so many bytes: what `df` says is free may be more than can be had.
    pub(super) fn fill(&self, left: u64) -> Result<(), String> {
        let free = run(Command::new("df").args(["--output=avail", "-B1"]).arg(&self.path))?;
        let free: u64 = free.lines().last().and_then(|line| line.trim().parse().ok()).unwrap_or(0);
        let mut len = free.saturating_sub(left);
        loop {
            let fallocate = Command::new("fallocate")
                .args(["-l", &len.max(1).to_string()])
                .arg(self.path.join("filler"))
                .output();
            match fallocate {
                Ok(output) if output.status.success() => return Ok(()),
                _ if len > 1 << 20 => len -= 1 << 20,
                Ok(output) => return Err(String::from_utf8_lossy(&output.stderr).into_owned()),
                Err(error) => return Err(error.to_string()),
            }
        }
    }

    pub(super) fn make_room(&self) -> Result<(), String> {
        std::fs::remove_file(self.path.join("filler")).map_err(|error| error.to_string())?;
        // Some file systems give room back only when what took it away is on the disk.
        run(Command::new("sync").arg("-f").arg(&self.path)).map(drop)
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        let _ = run(Command::new("umount").arg(&self.path));
    }
}

fn run(command: &mut Command) -> Result<String, String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("{command:?}: {error}"))?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim())),
    }
}
