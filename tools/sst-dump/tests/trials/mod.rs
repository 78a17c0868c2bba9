//! Trials of damage: a store of real data is damaged; then the damage must be named, and everything else must be saved.
//!
//! ```text
//!  real data ─► store ─► copy, damaged ─► sst-dump verify: what is damaged, and whose it is
//!                 │              └──────► repair, dry run and real ─► check --deep, sst-dump verify ─► the same but for what was reported
//!                 └── all that it says of each revision ───────────────────────────────────────────────┘
//! ```

pub mod harm;
pub mod judge;
pub mod stores;
pub mod survey;

use std::collections::BTreeMap;
use std::path::Path;

use recension::codec::FileKind;
use recension::env::Env;
use recension::sim::Prng;
use recension::{CheckDepth, Progress, RepairMode, RepairReport, Store, repair};

use crate::support::{copy, dump};
use harm::{Done, Way, damage, own};
use judge::{Named, Verdict, judge};
use stores::Sample;
use survey::survey_dir;

/// What all trials came to.
#[derive(Default)]
pub struct Tally {
    pub trials: usize,
    pub by_kind: BTreeMap<(String, Way), usize>,
    pub lost: usize,
    pub by_name: usize,
    pub refused: usize,
    pub failed: Vec<String>,
}

impl Tally {
    pub fn told(&self) -> String {
        let ways: Vec<String> =
            self.by_kind.iter().map(|((kind, way), count)| format!("{kind} {way:?} {count}")).collect();
        format!(
            "{} trials: {} revisions affected, {} of them named one by one; {} stores of which nothing could be saved\n{}",
            self.trials,
            self.lost,
            self.by_name,
            self.refused,
            ways.join(", ")
        )
    }
}

/// One trial on a file of that kind. Answers false if this cannot be done to it.
pub fn trial(
    sample: &Sample,
    kind: FileKind,
    way: Way,
    rng: &mut Prng,
    tally: &mut Tally,
    dir: &Path,
) -> bool {
    let damaged = dir.join("damaged");
    copy(&sample.dir, &damaged);
    let of_kind: Vec<_> = own(&damaged).into_iter().filter(|(_, k)| *k == kind).collect();
    let Some((path, _)) = of_kind.get(rng.below(of_kind.len().max(1) as u64) as usize) else { return false };
    let Some(done) = damage(&damaged, path, kind, way, &sample.other, rng) else {
        std::fs::remove_dir_all(&damaged).expect("removed");
        return false;
    };
    tally.trials += 1;
    *tally.by_kind.entry((format!("{kind:?}"), way)).or_default() += 1;
    let verdict = look(sample, &damaged, &done, dir, tally);
    tally.lost += verdict.lost;
    tally.by_name += verdict.by_name;
    let mended = dir.join("mended");
    if verdict.wrong.is_empty() {
        std::fs::remove_dir_all(&damaged).expect("removed");
    } else {
        let kept = dir.join(format!("failed-{}", tally.trials));
        std::fs::rename(&damaged, &kept).expect("renamed");
        let few: Vec<_> = verdict.wrong.iter().take(4).cloned().collect();
        tally.failed.push(format!(
            "{}: {done}: {} things wrong:\n    {}\n    the damaged store is in {}",
            sample.name,
            verdict.wrong.len(),
            few.join("\n    "),
            kept.display()
        ));
    }
    if mended.exists() {
        std::fs::remove_dir_all(&mended).expect("removed");
    }
    true
}

fn mend(from: &Path, into: &Path, mode: RepairMode) -> recension::Result<RepairReport> {
    repair(&Env::os(1), from, into, mode, &mut Progress::new(&mut |_, _, _| true))
}

fn look(sample: &Sample, damaged: &Path, done: &Done, dir: &Path, tally: &mut Tally) -> Verdict {
    let mut wrong = Vec::new();
    let said = dump([Path::new("verify"), damaged, Path::new("--json")]);
    if said.code != Some(0) && said.code != Some(5) {
        wrong.push(format!("verify ended with {:?}: {}", said.code, said.err));
        return Verdict { wrong, ..Verdict::default() };
    }
    let named = Named::of(&said.json());
    if (named.findings == 0) != (said.code == Some(0)) {
        wrong.push(format!("{} findings, exit code {:?}", named.findings, said.code));
    }
    // Of a manifest that is cut nobody may be able to tell, nor does it matter.
    if named.findings == 0
        && matches!(done.way, Way::Missing | Way::Empty | Way::Foreign | Way::Swapped | Way::Exchanged)
    {
        wrong.push("verify found nothing".into());
    }
    let mended = dir.join("mended");
    let dry = mend(damaged, &mended, RepairMode::DryRun);
    if mended.exists() {
        wrong.push("a dry run wrote something".into());
    }
    let applied = mend(damaged, &mended, RepairMode::Apply);
    let report = match (dry, applied) {
        (Ok(dry), Ok(applied)) => {
            if dry != applied {
                wrong.push("the dry run said something else than the real one".into());
            }
            applied
        }
        (dry, applied) => {
            tally.refused += 1;
            wrong.push(format!("repair: dry run {:?}, real {:?}", dry.err(), applied.err()));
            return Verdict { wrong, ..Verdict::default() };
        }
    };
    let store = Store::builder(&mended).open().expect("a repaired store opens");
    let check = store.check(CheckDepth::Deep, &mut Progress::new(&mut |_, _, _| true)).expect("a check");
    if !check.is_clean() {
        wrong.push(format!("check --deep of the repaired store: {:?}", check.findings));
    }
    store.close().expect("closed");
    let after = dump([Path::new("verify"), &mended]);
    if after.code != Some(0) {
        wrong.push(format!("verify of the repaired store: {}", after.out));
    }
    let mut verdict = judge(&sample.before, &survey_dir(&mended), &report, &named);
    if named.findings == 0 && verdict.lost > 0 {
        wrong.push("something is lost and verify found nothing".into());
    }
    wrong.append(&mut verdict.wrong);
    Verdict { wrong, ..verdict }
}
