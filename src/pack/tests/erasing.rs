use std::collections::BTreeSet;
use std::sync::Arc;

use super::support::*;
use crate::index::annotations::{Erasures, Gate, Purge, StoredAnnotation};
use crate::log::{Change, LoggedChange, ValueFile};
use crate::model::{Address, Annotation, AnnotationKind, Digest, Entity, Erasure, FieldMask};

/// What is to be left out, entity by entity.
#[derive(Default)]
struct Told {
    up_to: u64,
    gates: Vec<(&'static str, Gate)>,
    reused: BTreeSet<Address>,
}

impl Told {
    /// Everything about these revisions is forgotten.
    fn forget(mut self, name: &'static str, first: u64, last: u64) -> Self {
        let annotation = Annotation {
            entity: Entity::new(name).unwrap(),
            first,
            last,
            kind: AnnotationKind::Forget,
            fields: FieldMask::ALL,
            actor: String::new(),
            reason: String::new(),
            erasure: Some(Erasure::default()),
        };
        self.gates.push((name, Gate::new(&[StoredAnnotation { sequence: 900, annotation }], None)));
        self.up_to = 900;
        self
    }

    fn purge(mut self, name: &'static str, last: u64) -> Self {
        self.gates.push((name, Gate::new(&[], Some(Purge { sequence: 900, last, effective_time: 0 }))));
        self.up_to = 900;
        self
    }
}

impl Erasures for Told {
    fn up_to(&self) -> u64 {
        self.up_to
    }

    fn gate(&self, entity: &Entity) -> crate::Result<Arc<Gate>> {
        let found = self.gates.iter().find(|(name, _)| name.as_bytes() == entity.as_bytes());
        Ok(Arc::new(found.map(|(_, gate)| gate.clone()).unwrap_or_default()))
    }

    fn reused(&self, _: &Entity) -> crate::Result<Arc<BTreeSet<Address>>> {
        Ok(Arc::new(self.reused.clone()))
    }
}

fn make_erasing(fs: &MemFs, inputs: &[PackInput], told: &Told, number: u64, last: u64) -> Arc<Pack> {
    let request = PackRequest { annotation_watermark: told.up_to, ..request(number, 1, last, TEST) };
    let info =
        pack_erasing(fs, &path_of(request.id), inputs, told, &request, &Crew::alone(), &|| false).unwrap();
    let pack = open(fs, &info);
    pack.verify(Depth::Contents, &|| false).unwrap();
    pack
}

/// Every byte that a reader could get at: the file as it is, and all that can be decoded of it.
fn holds(fs: &MemFs, pack: &Arc<Pack>, marker: &str) -> bool {
    let mut all = fs.get(pack.path());
    for group in 0..pack.trailer().groups {
        let group = pack.group(group, String::new).unwrap();
        all.extend_from_slice(&group.header.open(&group.stored, group.header.raw_len as usize).unwrap());
    }
    for change in pack.clone().changes(0, u64::MAX) {
        all.extend_from_slice(format!("{:?}", change.unwrap().change).as_bytes());
    }
    let marker = marker.as_bytes();
    all.windows(marker.len()).any(|window| window == marker)
}

/// Fifty edits of a page, each with a word of its own, between edits of another.
fn edits(fs: &Arc<MemFs>) -> (Writer, u64) {
    let mut log = Writer::new(fs);
    for edit in 0..50 {
        log.commit(vec![
            put("Page", &format!("{}secret-{edit:02};", page(edit, 40))),
            put("Other", &page(edit, 9)),
        ]);
    }
    let last = log.next_sequence - 1;
    (log, last)
}

#[test]
fn a_forgotten_content_goes_with_its_digest_and_its_neighbours_stay() {
    let fs = MemFs::new();
    let (log, last) = edits(&fs);
    let segment = sealed(&log);
    let (_, before) = make(&fs, std::slice::from_ref(&segment), &request(50, 1, last, TEST));
    assert!(holds(&fs, &before, "secret-07;"), "else this test would find nothing anywhere");
    // Of `Page`, edit n has number 2n + 1 and that sequence number.
    let told = Told::default().forget("Page", 15, 15);
    for (number, input) in [(60, segment), (61, PackInput::Pack(before.clone()))] {
        let pack = make_erasing(&fs, &[input], &told, number, last);
        let gone = Address { sequence: 15, slot: 0 };
        assert!(!holds(&fs, &pack, "secret-07;"));
        assert_eq!(pack.digest(gone).unwrap(), Digest::ERASED);
        assert!(pack.read_content(gone).is_err());
        for edit in (0..50).filter(|edit| *edit != 7) {
            let address = Address { sequence: 2 * edit + 1, slot: 0 };
            let content = pack.read_content(address).unwrap();
            assert!(content.ends_with(format!("secret-{edit:02};").as_bytes()));
            assert_eq!(pack.digest(address).unwrap(), Digest::of(&content));
        }
        // The skeleton stays.
        let mut rows = pack.clone().changes(14, 15);
        let Change::Revision { row, .. } = rows.next().unwrap().unwrap().change else { panic!("a revision") };
        let content = row.content.unwrap();
        assert_eq!((row.number, content.address, content.tag), (15, gone, 0));
        assert_eq!(content.len as usize, page(7, 40).len() + "secret-07;".len());
        assert!(row.cold.is_empty(), "author and comment are gone");
        // What was erased stays so in whatever is made of it, whether or not that knows why.
        let request = request(number + 10, 1, last, TEST);
        let (_, again) = make(&fs, &[PackInput::Pack(pack.clone())], &request);
        assert_eq!(said_but_erased(&again), said_but_erased(&pack));
        assert_eq!(again.trailer().stored_bytes, pack.trailer().stored_bytes);
    }
}

fn said_but_erased(pack: &Arc<Pack>) -> Vec<LoggedChange> {
    pack.clone().changes(0, u64::MAX).map(Result::unwrap).collect()
}

#[test]
fn groups_without_a_forgotten_content_are_copied_as_they_are() {
    let fs = MemFs::new();
    let (log, last) = edits(&fs);
    let (_, before) = make(&fs, &[sealed(&log)], &request(50, 1, last, TEST));
    let told = Told::default().forget("Page", 99, 99);
    let pack = make_erasing(&fs, &[PackInput::Pack(before.clone())], &told, 60, last);
    let groups = |pack: &Arc<Pack>| -> Vec<bytes::Bytes> {
        (0..pack.trailer().groups).map(|group| pack.group(group, String::new).unwrap().stored).collect()
    };
    let (old, new) = (groups(&before), groups(&pack));
    let same = old.iter().filter(|group| new.contains(group)).count();
    assert_eq!((old.len(), new.len(), same), (4, 4, 3), "only the newest group of the page");
}

#[test]
fn a_content_that_another_revision_has_keeps_its_bytes_and_its_digest() {
    let fs = MemFs::new();
    let mut log = Writer::new(&fs);
    log.commit(vec![put("Main Page", "shared")]);
    log.commit(vec![reuse("Main Page", "shared")]);
    let mut told = Told::default().forget("Main Page", 1, 1);
    told.reused.insert(Address { sequence: 1, slot: 0 });
    let pack = make_erasing(&fs, &[sealed(&log)], &told, 60, 2);
    assert_eq!(pack.read_content(Address { sequence: 1, slot: 0 }).unwrap(), "shared");
    let mut rows = pack.changes(0, 2);
    let Change::Revision { row, digests, .. } = rows.next().unwrap().unwrap().change else { panic!() };
    assert!(row.cold.is_empty() && !digests[0].is_erased());
}

#[test]
fn of_a_purged_entity_a_number_is_left_for_each_change_and_merges_take_it_along_once() {
    let fs = MemFs::new();
    let mut log = Writer::new(&fs);
    for edit in 0..30 {
        log.commit(vec![
            put("A page", &page(edit, 9)),
            put("Victim", "secret"),
            hide("Victim"),
            put("Zoo", "z"),
        ]);
    }
    let last = log.next_sequence - 1;
    let told = Told::default().purge("Victim", 1000);
    let pack = make_erasing(&fs, &[sealed(&log)], &told, 60, last);
    assert!(!holds(&fs, &pack, "Victim") && !holds(&fs, &pack, "secret"));
    let erased = |pack: &Arc<Pack>| {
        said_but_erased(pack).iter().filter(|it| matches!(it.change, Change::Erased { .. })).count()
    };
    assert_eq!((erased(&pack), pack.trailer().records), (60, last));
    // Two parts by entity, as a merge makes them: together they have everything once.
    let part = |number, entity_first: &'static str, entity_last: &'static str| {
        let mut request = request(number, 1, last, TEST);
        request.rectangle.entity_first = entity_first.into();
        request.rectangle.entity_last = entity_last.into();
        make(&fs, &[PackInput::Pack(pack.clone())], &request).1
    };
    let (low, high) = (part(70, "", "M"), part(71, "M\0", ""));
    assert_eq!((erased(&low), erased(&high)), (60, 0));
    assert_eq!((low.trailer().records, high.trailer().records), (90, 30));
    // A purge in a part that begins with another entity belongs to that part from then on.
    let told = Told::default().purge("Zoo", 1000);
    let mut of_part = request(72, 1, last, TEST);
    of_part.rectangle = high.header().rectangle.clone();
    of_part.annotation_watermark = 900;
    let info = pack_erasing(
        &*fs,
        &path_of(of_part.id),
        &[PackInput::Pack(high)],
        &told,
        &of_part,
        &Crew::alone(),
        &|| false,
    )
    .unwrap();
    let high = open(&fs, &info);
    assert_eq!(erased(&high), 30);
    let inputs = [PackInput::Pack(low), PackInput::Pack(high)];
    let (_, whole) = make(&fs, &inputs, &request(73, 1, last, TEST));
    assert_eq!((erased(&whole), whole.trailer().records), (90, last));
}
