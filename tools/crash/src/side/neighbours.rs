//! What damage to one file does not concern must still be read: entities that a damaged table has nothing of, contents that are in another value
//! file, and in the same file those of which no byte is damaged.

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;
use recension::env::Env;
use recension::index::annotations::decode_key;
use recension::inspect::{Item, walk};
use recension::manifest::State;
use recension::model::{Address, purged_name};
use recension::pack::Depth;

use super::*;

const ORACLE: &str = "undamaged neighbours are readable";

/// A content's place in a file.
type Places = BTreeMap<Address, (u64, u64)>;

/// What a damaged file may cost.
pub enum Costs {
    /// Everything about entities from the first to the last; those of a plain table also by the names of what was purged.
    Entities { first: Bytes, last: Bytes, notes: bool },
    /// Contents of changes in a rectangle; where it is known which bytes are damaged, only those that stand there.
    Contents { sequences: (u64, u64), first: Bytes, last: Bytes, hit: Option<Vec<Address>> },
    /// Anything.
    Anything,
}

/// Of a file of the manifest, told from what it was and what became of it.
pub fn costs(state: &State, path: &str, before: &[u8], after: Option<&[u8]>, places: &Places) -> Costs {
    let named = |name: String| path.ends_with(&name);
    if let Some(table) = state.tables.values().find(|table| named(table.id.file_name(table.kind()))) {
        if table.keyspace == 0 {
            return Costs::Entities { first: table.first.clone(), last: table.last.clone(), notes: false };
        }
        let entity = |key: &Bytes| decode_key(key).map(|parts| parts.entity.bytes().clone());
        return match (entity(&table.first), entity(&table.last)) {
            (Ok(first), Ok(last)) => Costs::Entities { first, last, notes: true },
            _ => Costs::Anything,
        };
    }
    let Some(file) = state.value_files.values().find(|file| named(file.id.file_name(file.kind))) else {
        return Costs::Anything;
    };
    Costs::Contents {
        sequences: (file.sequence_first, file.sequence_last),
        first: file.entity_first.clone(),
        last: file.entity_last.clone(),
        hit: after.filter(|after| after.len() == before.len()).and_then(|after| hit(before, after, places)),
    }
}

/// The contents that stand where bytes are damaged; `None` if some are damaged where no content stands: then others may not be found.
fn hit(before: &[u8], after: &[u8], places: &Places) -> Option<Vec<Address>> {
    let damaged: Vec<u64> =
        (0..).zip(before.iter().zip(after)).filter(|(_, (a, b))| a != b).map(|(at, _)| at).collect();
    let inside = |at: &u64, (start, end): &(u64, u64)| (start..end).contains(&at);
    if damaged.iter().any(|at| !places.values().any(|place| inside(at, place))) {
        return None;
    }
    let is_hit = |place: &(u64, u64)| damaged.iter().any(|at| inside(at, place));
    Some(places.iter().filter(|(_, place)| is_hit(place)).map(|(address, _)| *address).collect())
}

/// Where each content of a value file stands; members of a group stand in the same place.
pub fn places(env: &Env, path: &str) -> Places {
    let mut places = Places::new();
    let mut end = 0;
    let walked = walk(&*env.fs, Path::new(path), Depth::Stored, &mut |item| {
        match item {
            Item::Change(_, contents) => {
                let place = |at: u64, len: u32| (at, at + u64::from(len));
                let contents = contents.iter().map(|it| it.locator);
                places.extend(contents.map(|it| (it.address, place(it.offset, it.len))));
            }
            // In front of what it says of itself.
            Item::Part(part) if part.kind == "group" => end = part.end(),
            Item::Group(at, header) => {
                places.extend(header.members.iter().map(|member| (member.address, (at, end))));
            }
            _ => {}
        }
        Ok(())
    });
    if walked.is_err() {
        places.clear();
    }
    places
}

/// Reads everything that cannot be concerned.
///
/// # Errors
/// What cannot be read, or is wrong.
pub fn read(world: &World, store: &Store, model: &Model, costs: &Costs) -> Result<u64, Failure> {
    let mut model = model.clone();
    let Some(()) = model.truncate(store.published()) else { return Ok(0) };
    let mut read = 0;
    let names: Vec<Bytes> = model.entities.keys().cloned().collect();
    let id = store_id(world);
    for entity in &names {
        let spared = |name: &[u8]| match costs {
            Costs::Entities { first, last, .. } => name < &first[..] || name > &last[..],
            Costs::Contents { .. } => true,
            Costs::Anything => false,
        };
        let by_hash = matches!(costs, Costs::Entities { notes: true, .. });
        let hash = id.map(|id| purged_name(&id, entity));
        if !spared(entity) || by_hash && !hash.is_some_and(|hash| spared(hash.as_bytes())) {
            continue;
        }
        let revs = model.at(entity, store.published()).to_vec();
        for rev in &revs {
            let loud = |what: String| {
                failure::<()>(ORACLE, format!("revision {} of {:?}: {what}", rev.number, entity))
            };
            let revision = match store.revision(entity, rev.number) {
                Ok(Some(revision)) => revision,
                Ok(None) => return loud("not found".into()).map(|()| 0),
                Err(error) => return loud(error.to_string()).map(|()| 0),
            };
            if let Costs::Contents { sequences, first, last, hit } = costs {
                let at = rev.address.map_or(rev.sequence, |at| at.0);
                let within = (sequences.0..=sequences.1).contains(&at)
                    && entity >= first
                    && (last.is_empty() || entity <= last);
                let of_it = |hit: &[Address]| hit.iter().any(|address| address.sequence == at);
                if within && hit.as_ref().is_none_or(|hit| of_it(hit)) {
                    continue;
                }
            }
            let mut oracle = Oracle::new(store, &mut model, Allowed::default());
            match oracle.revision(entity, &revision, rev) {
                Ok(()) => read += 1,
                Err(failure) if failure.oracle == "reads answer" => return loud(failure.what).map(|()| 0),
                Err(failure) => return Err(failure),
            }
        }
    }
    Ok(read)
}

fn store_id(world: &World) -> Option<[u8; 16]> {
    recension::manifest::read_state(&world.machine.env(), DIR.as_ref()).ok().map(|state| state.store)
}
