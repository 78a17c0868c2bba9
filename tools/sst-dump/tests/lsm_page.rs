//! The page of `lsm --html`, in a real browser where there is one.
#![allow(clippy::disallowed_methods, reason = "tests use files")]

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;

use recension::codec::FileKind;
use recension::env::OsFs;
use recension::pack::Depth;
use sst_dump::file::{Item, walk};
use support::{dump, files, store};

/// A Chromium: what `CHROMIUM` names, or the first that is on the path.
fn browser() -> Option<PathBuf> {
    let named = std::env::var_os("CHROMIUM").map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let found =
        std::env::split_paths(&path).flat_map(|dir| names.map(|name| dir.join(name))).find(|it| it.exists());
    named.or(found)
}

fn browse(browser: &Path, profile: &Path, what: &str, url: &str) -> Vec<u8> {
    let output = Command::new(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
        .arg("--window-size=1280,900")
        .arg(format!("--user-data-dir={}", profile.display()))
        .args([what, url])
        .output()
        .expect("a browser that starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// Number of each commit of the manifest, and how many files there are then.
fn commits(store: &Path) -> Vec<(u64, usize)> {
    let manifest = files(store, FileKind::Manifest).pop().unwrap();
    let mut commits = Vec::new();
    walk(&OsFs::new(), &manifest, Depth::Stored, &mut |item| {
        if let Item::Edits { number, kind, state, .. } = item
            && kind != "promise"
        {
            commits.push((number, state.tables.len() + state.value_files.len()));
        }
        Ok(())
    })
    .unwrap();
    commits
}

fn page(dir: &Path) -> (PathBuf, PathBuf) {
    let store = store(dir, 700);
    let page = dir.join("lsm.html");
    dump([Path::new("lsm"), &store, Path::new("--html"), &page]).ok();
    (store, page)
}

#[test]
fn the_page_needs_nothing_from_elsewhere() {
    let dir = tempfile::tempdir().unwrap();
    let (_, page) = page(dir.path());
    let text = std::fs::read_to_string(page).unwrap();
    for word in ["http:", "https:", "src=", "href=", "@import", "url(", "fetch("] {
        assert!(!text.contains(word), "{word}");
    }
    assert!(text.contains("default-src 'none'"), "the browser is told so too");
}

#[test]
fn the_page_shows_the_files_of_every_commit_in_a_browser() {
    let Some(browser) = browser() else {
        eprintln!("skipped: no Chromium here (set CHROMIUM to its path)");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let (store, page) = page(dir.path());
    let profile = dir.path().join("profile");
    let commits = commits(&store);
    assert!(commits.len() > 4);
    for (number, count) in [commits[0], commits[commits.len() / 2], commits[commits.len() - 1]] {
        let url = format!("file://{}#{number}", page.display());
        let dom = String::from_utf8_lossy(&browse(&browser, &profile, "--dump-dom", &url)).into_owned();
        assert!(dom.contains(&format!("Commit {number} of the manifest")), "{dom}");
        assert_eq!(dom.matches("class=\"file ").count(), count, "files of commit {number}");
        assert!(dom.contains(&format!(" in {count} files")), "commit {number}");
    }
    let picture = dir.path().join("lsm.png");
    let url = format!("file://{}", page.display());
    browse(&browser, &profile, &format!("--screenshot={}", picture.display()), &url);
    let bytes = std::fs::read(picture).unwrap();
    assert!(bytes.starts_with(b"\x89PNG") && bytes.len() > 10_000, "{} bytes", bytes.len());
}
