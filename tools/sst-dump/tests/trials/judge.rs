//! What a repair came to, against what was there before and what was said of the damage.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine;
use recension::{Lost, RepairReport};
use serde_json::Value;

use super::survey::{Survey, Which};

/// First and last change, first entity, and the one behind the last.
type Stretch = (u64, u64, Vec<u8>, Option<Vec<u8>>);

/// What `sst-dump verify` named.
#[derive(Default)]
pub struct Named {
    pub findings: usize,
    revisions: BTreeSet<Which>,
    /// Stretches of changes, within stretches of entities.
    ranges: Vec<Stretch>,
}

impl Named {
    pub fn of(lines: &[Value]) -> Self {
        let mut named = Self::default();
        for finding in lines.iter().filter(|line| line["type"] == "finding") {
            named.findings += 1;
            for revision in finding["revisions"].as_array().into_iter().flatten() {
                let entity = name(revision, "entity").expect("a name");
                named.revisions.insert((entity, revision["rev"].as_u64().expect("a number")));
            }
            let entities = (name(finding, "entity_from").unwrap_or_default(), name(finding, "entity_to"));
            let each = finding["sequences"].as_array().into_iter().flatten().filter_map(Value::as_u64);
            let each: Vec<u64> = each.collect();
            match finding["sequence_first"].as_u64() {
                Some(first) if each.is_empty() => {
                    let last = finding["sequence_last"].as_u64().unwrap_or(u64::MAX);
                    named.ranges.push((first, last, entities.0, entities.1));
                }
                _ => named
                    .ranges
                    .extend(each.iter().map(|each| (*each, *each, entities.0.clone(), entities.1.clone()))),
            }
        }
        named
    }

    fn by_name(&self, which: &Which) -> bool {
        self.revisions.contains(which)
    }

    fn in_a_range(&self, which: &Which, sequence: u64) -> bool {
        self.ranges.iter().any(|(first, last, from, to)| {
            (*first..=*last).contains(&sequence)
                && which.0 >= *from
                && to.as_ref().is_none_or(|to| which.0 < *to)
        })
    }
}

/// A name, which is base64 if it is no text.
fn name(object: &Value, key: &str) -> Option<Vec<u8>> {
    if let Some(text) = object[key].as_str() {
        return Some(text.as_bytes().to_vec());
    }
    let encoded = object[format!("{key}_base64")].as_str()?;
    Some(base64::engine::general_purpose::STANDARD.decode(encoded).expect("base64"))
}

/// What became of a trial.
#[derive(Default)]
pub struct Verdict {
    pub wrong: Vec<String>,
    /// Revisions of which something is lost, and how many of those were named one by one.
    pub lost: usize,
    pub by_name: usize,
}

pub fn judge(before: &Survey, after: &Survey, report: &RepairReport, named: &Named) -> Verdict {
    let mut verdict = Verdict::default();
    let said = Said::of(report);
    let (unsaid, kept): (Vec<_>, Vec<_>) = before.annotations.iter().partition(|it| said.has(it.sequence));
    for annotation in kept {
        if !after.annotations.iter().any(|it| it.said == annotation.said) {
            verdict.wrong.push(format!("{annotation:?} is gone and was not reported"));
        }
    }
    for (which, old) in &before.revisions {
        let what = || format!("{} revision {} (change {})", which.0.escape_ascii(), which.1, old.sequence);
        let mut affected = true;
        match after.revisions.get(which) {
            None if said.has(old.sequence) => {}
            None => verdict.wrong.push(format!("{} is gone and was not reported", what())),
            Some(_) if said.has(old.sequence) => {
                verdict.wrong.push(format!("{} was reported as lost and is there", what()));
            }
            Some(new) => {
                affected = false;
                // What was hidden or forgotten may come back where nobody says any more that it was, and nowhere else.
                let annotation_lost = unsaid.iter().any(|it| it.is_about(which));
                if new.skeleton != old.skeleton {
                    verdict.wrong.push(format!("{}: {} became {}", what(), old.skeleton, new.skeleton));
                }
                if new.masks != old.masks && !annotation_lost {
                    verdict.wrong.push(format!("{}: {} became {}", what(), old.masks, new.masks));
                }
                let fields_lost = said.fields.contains(which);
                if new.fields != old.fields && !annotation_lost {
                    affected = true;
                    if !fields_lost {
                        verdict.wrong.push(format!("{}: {} became {}", what(), old.fields, new.fields));
                    }
                }
                let contents = (&new.content, &new.slots) != (&old.content, &old.slots);
                let comes_back = annotation_lost && !is_there(&old.content) && old.slots.is_empty();
                if contents && !comes_back {
                    affected = true;
                    if !said.contents.contains(which) {
                        verdict.wrong.push(format!(
                            "{}: {} {:?} became {} {:?}",
                            what(),
                            old.content,
                            old.slots,
                            new.content,
                            new.slots
                        ));
                    }
                    if new.content != old.content && !new.content.contains("Withheld") {
                        verdict.wrong.push(format!("{}: another content", what()));
                    }
                }
                if said.contents.contains(which) && !contents {
                    verdict.wrong.push(format!("{}: its content was reported as lost and is there", what()));
                }
            }
        }
        if affected {
            verdict.lost += 1;
            if named.by_name(which) {
                verdict.by_name += 1;
            } else if !named.in_a_range(which, old.sequence) {
                verdict.wrong.push(format!("{} is affected and `verify` did not name it", what()));
            }
        }
    }
    for which in after.revisions.keys().filter(|which| !before.revisions.contains_key(which)) {
        verdict.wrong.push(format!("{} revision {} was never written", which.0.escape_ascii(), which.1));
    }
    let place: BTreeMap<&Which, usize> =
        before.order.iter().enumerate().map(|(at, which)| (which, at)).collect();
    let order: Vec<usize> = after.order.iter().filter_map(|which| place.get(which).copied()).collect();
    if !order.is_sorted() {
        verdict.wrong.push("the order of commits is another one".into());
    }
    for which in &said.revisions {
        if after.revisions.contains_key(which) {
            verdict.wrong.push(format!("{which:?} was reported as lost and is there"));
        }
    }
    verdict
}

/// Whether bytes were given.
fn is_there(content: &str) -> bool {
    content.contains(" B ")
}

/// What a report says.
#[derive(Default)]
struct Said {
    ranges: Vec<(u64, u64)>,
    revisions: BTreeSet<Which>,
    contents: BTreeSet<Which>,
    fields: BTreeSet<Which>,
}

impl Said {
    fn of(report: &RepairReport) -> Self {
        let mut said = Self::default();
        for lost in &report.lost {
            match lost {
                Lost::Changes(first, last) => said.ranges.push((*first, *last)),
                Lost::Revision(entity, rev) => drop(said.revisions.insert((entity.to_vec(), *rev))),
                Lost::Content(entity, rev, _) => drop(said.contents.insert((entity.to_vec(), *rev))),
                Lost::Fields(entity, rev) => drop(said.fields.insert((entity.to_vec(), *rev))),
                other => panic!("{other:?} is new here"),
            }
        }
        said
    }

    fn has(&self, sequence: u64) -> bool {
        self.ranges.iter().any(|(first, last)| (*first..=*last).contains(&sequence))
    }
}
