//! What is forgotten and not erased, counted from the files themselves: which contents stand in them, of whom, and what a reader is told of those.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use recension::codec::{FileId, FileKind};
use recension::env::Access;
use recension::log::{Change, LoggedChange, SegmentItem, UNIT_HEADER_LEN, VerifyDepth, dissect_segment};
use recension::manifest::read_state;
use recension::model::{Address, Fields};
use recension::pack::{PackItem, dissect_pack};
use recension::sim::SimEnv;
use recension::{Content, Store};

/// Contents, their bytes uncompressed, as stored in sealed files, as stored in others.
pub type Remains = (u64, u64, u64, u64);

/// A file's contents by where they stand: bytes as stored, and addresses with lengths.
type Units = BTreeMap<u64, (u64, Vec<(Address, u64)>)>;

struct File {
    sealed: bool,
    first: Vec<u8>,
    last: Vec<u8>,
    units: Units,
    changes: Vec<LoggedChange>,
}

impl File {
    fn has(&self, entity: &[u8]) -> bool {
        entity >= &self.first[..] && (self.last.is_empty() || entity <= &self.last[..])
    }
}

fn segment(env: &SimEnv, path: &Path) -> (Units, Vec<LoggedChange>) {
    let file = env.env().fs.open(path, Access::Read).unwrap();
    let (mut units, mut changes) = (Units::new(), Vec::new());
    dissect_segment(&file, path, VerifyDepth::Stored, &mut |item| {
        let SegmentItem::Frame(_, records) = item else { return Ok(()) };
        for record in records {
            for content in record.contents {
                let place = content.locator;
                let stored = u64::from(place.len) - UNIT_HEADER_LEN as u64;
                let unit = units.entry(place.offset).or_insert((stored, Vec::new()));
                unit.1.push((place.address, u64::from(content.raw_len)));
            }
            changes.push(record.change);
        }
        Ok(())
    })
    .unwrap();
    (units, changes)
}

fn pack(env: &SimEnv, path: &Path) -> (Units, Vec<LoggedChange>) {
    let file = env.env().fs.open(path, Access::Read).unwrap();
    let (mut units, mut changes) = (Units::new(), Vec::new());
    dissect_pack(&file, path, VerifyDepth::Stored, &mut |item| {
        match item {
            PackItem::Group(at, header) => {
                let members = header.members.iter().map(|member| (member.address, u64::from(member.raw_len)));
                units.insert(at, (u64::from(header.stored_len), members.collect()));
            }
            PackItem::Directory(more) => changes.extend(more),
            _ => {}
        }
        Ok(())
    })
    .unwrap();
    (units, changes)
}

fn files(env: &SimEnv) -> Vec<File> {
    let state = read_state(&env.env(), "/store".as_ref()).unwrap();
    let mut files = Vec::new();
    for path in env.fs.files() {
        let Some(name) = path.strip_prefix("/store/") else { continue };
        let Some((id, kind)) = FileId::parse(name) else { continue };
        let info = state.value_files.get(&id);
        let gone = state.obsolete.contains_key(&id) || state.intents.contains_key(&id);
        let (units, changes) = match kind {
            FileKind::Segment if info.is_some() || !gone => segment(env, path.as_ref()),
            FileKind::Pack if info.is_some() => pack(env, path.as_ref()),
            _ => continue,
        };
        let bound = |bound: Option<&bytes::Bytes>| bound.map_or(Vec::new(), |bound| bound.to_vec());
        let (first, last) = (bound(info.map(|it| &it.entity_first)), bound(info.map(|it| &it.entity_last)));
        files.push(File { sealed: info.is_some(), first, last, units, changes });
    }
    files
}

/// Counts anew, of what readers are told that it is forgotten or that its entity was purged, what is still in the files.
pub fn remains(env: &SimEnv, store: &Store) -> Remains {
    let files = files(env);
    let (mut gone, mut kept) = (BTreeSet::new(), BTreeSet::new());
    for file in &files {
        for logged in &file.changes {
            let Change::Revision { entity, row, .. } = &logged.change else { continue };
            if !file.has(entity.as_bytes()) {
                continue;
            }
            let mut fields = Fields::decode(&row.cold).unwrap();
            fields.resolve(row.sequence);
            let slots = fields.slots.iter().filter_map(|(_, content)| *content);
            let addresses = row.content.into_iter().chain(slots).map(|content| content.address);
            let (own, others): (Vec<_>, Vec<_>) =
                addresses.partition(|address| address.sequence == row.sequence);
            match store.revision(entity, row.number).unwrap().map(|it| it.content().unwrap()) {
                None | Some(Content::Forgotten) => gone.extend(own),
                Some(_) => kept.extend(others),
            }
        }
    }
    let (mut contents, mut raw, mut sealed, mut unsealed) = (0, 0, 0, 0);
    for file in &files {
        let of = |sequence: u64| {
            let at = file.changes.binary_search_by_key(&sequence, |logged| logged.sequence);
            match at.map(|at| &file.changes[at].change) {
                Ok(Change::Revision { entity, .. }) => entity,
                other => panic!("a content of {other:?}"),
            }
        };
        for (stored, members) in file.units.values() {
            let all: u64 = members.iter().map(|(_, len)| len).sum();
            let dead: Vec<u64> = members
                .iter()
                .filter(|(address, _)| gone.contains(address) && !kept.contains(address))
                .filter(|(address, _)| file.has(of(address.sequence).as_bytes()))
                .map(|(_, len)| *len)
                .collect();
            let bytes: u64 = dead.iter().sum();
            contents += dead.len() as u64;
            raw += bytes;
            let share = if dead.len() == members.len() { *stored } else { stored * bytes / all.max(1) };
            *(if file.sealed { &mut sealed } else { &mut unsealed }) += share;
        }
    }
    (contents, raw, sealed, unsealed)
}
