//! A small file system in a file.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Mounted until it is dropped.
pub(super) struct Loop {
    pub(super) path: PathBuf,
}

/// Size of the disk, bytes.
const BYTES: u64 = 24 << 20;

impl Loop {
    /// An ext4 file system in a file beside `path`. The error says what the machine cannot do.
    pub(super) fn mount(path: &Path) -> Result<Self, String> {
        std::fs::create_dir_all(path).map_err(|error| error.to_string())?;
        let image = path.with_extension("img");
        let file = std::fs::File::create(&image).map_err(|error| error.to_string())?;
        file.set_len(BYTES).map_err(|error| error.to_string())?;
        run(Command::new("mkfs.ext4").args(["-q", "-F", "-m", "0"]).arg(&image))?;
        run(Command::new("mount").args(["-o", "loop"]).arg(&image).arg(path))?;
        Ok(Self { path: path.to_owned() })
    }

    /// Takes all room but so many bytes.
    pub(super) fn fill(&self, left: u64) -> Result<(), String> {
        let free = run(Command::new("df").args(["--output=avail", "-B1"]).arg(&self.path))?;
        let free: u64 = free.lines().last().and_then(|line| line.trim().parse().ok()).unwrap_or(0);
        let len = free.saturating_sub(left).to_string();
        run(Command::new("fallocate").args(["-l", &len]).arg(self.path.join("filler"))).map(drop)
    }

    pub(super) fn make_room(&self) -> Result<(), String> {
        std::fs::remove_file(self.path.join("filler")).map_err(|error| error.to_string())
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
