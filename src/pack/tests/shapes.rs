//! Contents of every shape.

use super::support::*;
use crate::log::ValueFile;
use crate::model::Address;

#[test]
fn contents_that_do_not_compress_are_stored_apart_and_cost_no_more_than_they_have() {
    let fs = MemFs::new();
    let mut log = Writer::new(&fs);
    for n in 0..40 {
        log.commit(vec![put_bytes("Picture", noise(n, 8000))]);
    }
    let input = sealed(&log);
    let (info, pack) = make(&fs, std::slice::from_ref(&input), &request(9, 1, 40, TEST));
    assert_eq!((info.raw_bytes, info.stored_bytes), (320_000, 320_000));
    assert_eq!(pack.trailer().groups, 40);
    assert_eq!(said_by_pack(&pack), said_by(&[input]));
    // A picture that was put back is found, although it does not compress alone.
    for n in 0..40 {
        log.commit(vec![put_bytes("Picture", noise(n % 2, 8000))]);
    }
    let (info, _) = make(&fs, &[sealed(&log)], &request(10, 41, 80, TEST));
    assert!(info.stored_bytes < 2 * (2 * 8000 + 1000), "{}", info.stored_bytes);
}

#[test]
fn a_group_has_no_more_bytes_than_its_cap_unless_it_is_one_content() {
    let fs = MemFs::new();
    let mut log = Writer::new(&fs);
    for edit in 0..40 {
        log.commit(vec![put("Page", &page(edit, 40))]);
        log.commit(vec![put("Long page", &page(edit, 400))]);
    }
    let (page, long) = (page(0, 40).len() as u32, page(0, 400).len() as u32);
    let options = PackOptions { group_raw: 5 * page + page / 2, ..TEST };
    assert!(long > options.group_raw);
    let input = sealed(&log);
    let (_, pack) = make(&fs, std::slice::from_ref(&input), &request(9, 1, 80, options));
    let heads: Vec<_> =
        (0..pack.trailer().groups).map(|n| pack.group_head(n, String::new).unwrap()).collect();
    assert!(heads.iter().all(|head| head.raw_len <= options.group_raw || head.members.len() == 1));
    assert_eq!(heads.iter().filter(|head| head.members.len() == 1).count(), 40, "each long page by itself");
    assert!(heads.iter().filter(|head| head.members.len() > 1).all(|head| head.members.len() <= 6));
    assert_eq!(said_by_pack(&pack), said_by(&[input]));
}

#[test]
fn tiny_entities_share_groups() {
    let fs = MemFs::new();
    let mut log = Writer::new(&fs);
    for n in 0..1000 {
        let value =
            format!("{{\"id\":\"Q{n}\",\"label\":\"the thing that has number {n}\",\"kind\":\"thing\"}}");
        log.commit(vec![put(&format!("Q{n}"), &value)]);
    }
    let input = sealed(&log);
    let options = PackOptions { directory_records: 512, ..TEST };
    let (info, pack) = make(&fs, std::slice::from_ref(&input), &request(9, 1, 1000, options));
    assert_eq!(pack.trailer().groups, 1000_u64.div_ceil(128));
    assert!(info.stored_bytes * 3 < info.raw_bytes, "{} of {}", info.stored_bytes, info.raw_bytes);
    assert_eq!(said_by_pack(&pack), said_by(&[input]));
    let trailer = pack.trailer();
    assert!((trailer.index_at - trailer.locators_at) <= 4 * 1000);
}

#[test]
fn the_largest_contents_are_grouped_within_bounds_and_see_each_other() {
    let fs = MemFs::new();
    let mut log = Writer::new(&fs);
    let base = noise(1, 16 << 20);
    for n in 0..5_usize {
        let mut content = base.to_vec();
        content[n * 1000..n * 1000 + 8].copy_from_slice(b"an edit!");
        log.commit(vec![put_bytes("Huge", content.into())]);
    }
    let options = PackOptions { level: 1, ..TEST };
    let (info, pack) = make(&fs, &[sealed(&log)], &request(9, 1, 5, options));
    // Four fit into 64 MiB. Each group holds the noise once.
    assert_eq!(pack.trailer().groups, 2);
    assert!(info.stored_bytes < (32 << 20) + (1 << 20), "{}", info.stored_bytes);
    let oldest = pack.read_content(Address { sequence: 1, slot: 0 }).unwrap();
    assert_eq!((&oldest[..8], &oldest[8..]), (&b"an edit!"[..], &base[8..]));
}

#[test]
fn a_page_of_ten_thousand_revisions_is_packed_and_merged() {
    let fs = MemFs::new();
    let mut log = Writer::new(&fs);
    let mut inputs = Vec::new();
    for (part, first) in [0, 5000].into_iter().enumerate() {
        for edit in first..first + 5000 {
            log.commit(vec![put("Page", &page(edit, 12))]);
        }
        let segment = sealed(&log);
        let options = PackOptions { directory_records: 1000, ..TEST };
        let request = request(50 + part as u64, first as u64 + 1, first as u64 + 5000, options);
        inputs.push(PackInput::Pack(make(&fs, &[segment], &request).1));
        log.roll();
    }
    let (info, merged) = make(&fs, &inputs, &request(60, 1, 10_000, TEST));
    assert!(info.stored_bytes * 8 < info.raw_bytes, "{} of {}", info.stored_bytes, info.raw_bytes);
    for edit in (0..10_000).step_by(37) {
        let content = merged.read_content(Address { sequence: edit as u64 + 1, slot: 0 }).unwrap();
        assert_eq!(content, page(edit, 12));
    }
    // Each part left one short group at most.
    assert!(merged.trailer().groups <= 10_000 / 32 + 2);
}

#[test]
fn a_page_that_is_blanked_and_put_back_costs_next_to_nothing_per_cycle() {
    let fs = MemFs::new();
    let mut log = Writer::new(&fs);
    for cycle in 0..64 {
        log.commit(vec![put_bytes("Page", noise(cycle % 2, 30_000))]);
        log.commit(vec![put("Page", "")]);
    }
    let input = sealed(&log);
    let (info, pack) = make(&fs, std::slice::from_ref(&input), &request(9, 1, 128, TEST));
    assert_eq!(pack.trailer().groups, 4);
    assert!(info.stored_bytes < 4 * (60_000 + 2_000), "{}", info.stored_bytes);
    assert_eq!(said_by_pack(&pack), said_by(&[input]));
}

#[test]
fn a_pack_of_changes_without_contents_is_a_pack() {
    let fs = MemFs::new();
    let mut log = Writer::new(&fs);
    log.commit(vec![hide("Q1")]);
    log.commit(vec![crate::log::tests::support::delete("Q1")]);
    let input = sealed(&log);
    let (info, pack) = make(&fs, std::slice::from_ref(&input), &request(9, 1, 2, TEST));
    assert_eq!((info.records, info.stored_bytes, pack.trailer().groups), (2, 0, 0));
    assert_eq!(said_by_pack(&pack), said_by(&[input]));
}
