use std::sync::Arc;

use bytes::Bytes;

use super::support::*;

/// Three segments: pages that are edited in all of them, small entities, annotations.
fn three(fs: &Arc<MemFs>) -> Vec<(u64, u64, PackInput)> {
    let mut log = Writer::new(fs);
    let mut inputs = Vec::new();
    let mut edit = 0;
    for segment in 0..3 {
        let first = log.next_sequence;
        for _ in 0..50 {
            edit += 1;
            let tiny = format!("tiny {}", edit % 70);
            log.commit(vec![put("Page", &page(edit, 50)), put(&tiny, "few words")]);
            if edit % 7 == segment {
                log.commit(vec![put("Rare", &page(edit, 90)), hide("Page")]);
            }
        }
        inputs.push((first, log.next_sequence - 1, sealed(&log)));
        log.roll();
    }
    inputs
}

fn packs(fs: &Arc<MemFs>, inputs: &[(u64, u64, PackInput)], options: PackOptions) -> Vec<PackInput> {
    let pack = |(number, (first, last, input)): (usize, &(u64, u64, PackInput))| {
        let request = request(50 + number as u64, *first, *last, options);
        PackInput::Pack(make(fs, std::slice::from_ref(input), &request).1)
    };
    inputs.iter().enumerate().map(pack).collect()
}

#[test]
fn a_merge_of_packs_answers_like_a_pack_of_all() {
    let fs = MemFs::new();
    let segments = three(&fs);
    let last = segments[2].1;
    let sources: Vec<_> = segments.iter().map(|(.., input)| input.clone()).collect();
    let packed = packs(&fs, &segments, TEST);
    let (_, all) = make(&fs, &sources, &request(60, 1, last, TEST));
    let (_, merged) = make(&fs, &packed, &request(61, 1, last, TEST));
    assert_eq!(said_by_pack(&all), said_by(&sources));
    assert_eq!(said_by_pack(&merged), said_by(&sources));
    assert_eq!(merged.trailer().records, last);
    // A segment and packs together as well.
    let some = [packed[0].clone(), packed[1].clone(), sources[2].clone()];
    let (_, merged) = make(&fs, &some, &request(62, 1, last, TEST));
    assert_eq!(said_by_pack(&merged), said_by(&sources));
}

#[test]
fn a_merge_without_full_groups_is_bytewise_the_pack_of_all() {
    let fs = MemFs::new();
    let segments = three(&fs);
    let last = segments[2].1;
    let sources: Vec<_> = segments.iter().map(|(.., input)| input.clone()).collect();
    let options = PackOptions { group_contents: 255, ..TEST };
    let packed = packs(&fs, &segments, options);
    let (_, all) = make(&fs, &sources, &request(60, 1, last, options));
    let (_, merged) = make(&fs, &packed, &request(61, 1, last, options));
    assert!(behind_header(&fs, &all) == behind_header(&fs, &merged));
}

#[test]
fn full_groups_are_copied_as_they_are() {
    let fs = MemFs::new();
    let segments = three(&fs);
    let packed = packs(&fs, &segments, TEST);
    let (_, merged) = make(&fs, &packed, &request(61, 1, segments[2].1, TEST));
    let frames = |pack: &Pack| -> Vec<_> {
        (0..pack.trailer().groups)
            .map(|group| pack.group(group, String::new).unwrap())
            .filter(|group| group.header.full)
            .map(|group| (group.header.members.clone(), group.stored))
            .collect()
    };
    let after = frames(&merged);
    let mut copied = 0;
    for input in &packed {
        let PackInput::Pack(pack) = input else { unreachable!() };
        for frame in frames(pack) {
            assert!(after.contains(&frame));
            copied += 1;
        }
    }
    assert!(copied >= 3 && after.len() > copied - 1);
}

#[test]
fn the_same_inputs_give_the_same_bytes_behind_the_header() {
    let fs = MemFs::new();
    let segments = three(&fs);
    let packed = packs(&fs, &segments, TEST);
    let last = segments[2].1;
    let (one, first) = make(&fs, &packed, &request(61, 1, last, TEST));
    let (two, second) = make(&fs, &packed, &request(62, 1, last, TEST));
    assert_ne!(one.blake3, two.blake3);
    assert!(behind_header(&fs, &first) == behind_header(&fs, &second));
}

#[test]
fn packing_better_compresses_anew_what_was_packed_fast() {
    let fs = MemFs::new();
    let segments = three(&fs);
    let last = segments[2].1;
    let fast = packs(&fs, &segments, PackOptions { level: 1, ..TEST });
    let best = PackOptions { level: 19, improve: true, ..TEST };
    let sources: Vec<_> = segments.iter().map(|(.., input)| input.clone()).collect();
    let (_, improved) = make(&fs, &fast, &request(61, 1, last, best));
    let (_, all) = make(&fs, &sources, &request(62, 1, last, best));
    assert!(behind_header(&fs, &improved) == behind_header(&fs, &all));
}

#[test]
fn parts_by_entity_hold_everything_between_them() {
    let fs = MemFs::new();
    let segments = three(&fs);
    let last = segments[2].1;
    let sources: Vec<_> = segments.iter().map(|(.., input)| input.clone()).collect();
    let packed = packs(&fs, &segments, TEST);
    let all = said_by(&sources);
    for inputs in [&sources, &packed] {
        let mut changes = Vec::new();
        let mut contents = Vec::new();
        for (number, (from, to)) in [("", "Page"), ("Pagf", "Rare"), ("Rarf", "")].into_iter().enumerate() {
            let mut request = request(70 + number as u64 + 10 * inputs.len() as u64, 1, last, TEST);
            request.id.number += u64::from(matches!(inputs[0], PackInput::Pack(_))) * 100;
            request.rectangle.entity_first = from.into();
            request.rectangle.entity_last = to.into();
            let (info, pack) = make(&fs, inputs, &request);
            assert_eq!((&info.entity_first[..], &info.entity_last[..]), (from.as_bytes(), to.as_bytes()));
            let part = said_by_pack(&pack);
            // The feed of a part starts anywhere.
            for after in (0..last).step_by(31) {
                let tail: Vec<_> = crate::log::ValueFile::changes(pack.clone(), after, after + 40)
                    .map(Result::unwrap)
                    .collect();
                let wanted = |c: &&crate::log::LoggedChange| c.sequence > after && c.sequence <= after + 40;
                assert_eq!(tail, part.changes.iter().filter(wanted).cloned().collect::<Vec<_>>());
            }
            changes.extend(part.changes);
            contents.extend(part.contents);
        }
        changes.sort_by_key(|change| change.sequence);
        contents.sort_by_key(|(address, ..)| *address);
        assert_eq!(Said { changes, contents }, all);
    }
}

#[test]
fn a_part_asks_whether_to_go_on_also_where_it_reads_what_lies_in_other_parts() {
    let fs = MemFs::new();
    let mut log = Writer::new(&fs);
    for edit in 0..1100 {
        log.commit(vec![put(&format!("page {edit}"), "few words")]);
    }
    let last = log.next_sequence - 1;
    let mut request = request(70, 1, last, TEST);
    (request.rectangle.entity_first, request.rectangle.entity_last) = ("z".into(), Bytes::new());
    let inputs = [sealed(&log)];
    let asked = std::cell::Cell::new(0);
    let answer = |stop: bool| {
        asked.set(asked.get() + 1);
        stop
    };
    // Nothing of it lies in the part. Once for the contents, once for the directory.
    let info = pack(&*fs, &path_of(request.id), &inputs, &request, &|| answer(false)).unwrap();
    assert_eq!((info.records, asked.get()), (0, 2));
    request.id.number += 1;
    let stopped = pack(&*fs, &path_of(request.id), &inputs, &request, &|| answer(true));
    assert!(matches!(stopped, Err(crate::Error::Cancelled)), "{stopped:?}");
}
