use bytes::Bytes;
use proptest::prelude::*;

use super::support::*;
use crate::log::RecordDraft;
use crate::log::tests::support::delete;

#[derive(Clone, Debug)]
enum Op {
    Put(u8, Vec<u8>),
    Grow(u8),
    Noise(u8, u16),
    Delete(u8),
    Hide(u8),
    Two(u8, u8),
    Roll,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (0_u8..6, proptest::collection::vec(0_u8..4, 0..600)).prop_map(|(e, c)| Op::Put(e, c)),
        8 => (0_u8..3).prop_map(Op::Grow),
        2 => (0_u8..6, 0_u16..6000).prop_map(|(e, n)| Op::Noise(e, n)),
        1 => (0_u8..6).prop_map(Op::Delete),
        1 => (0_u8..6).prop_map(Op::Hide),
        1 => (0_u8..6, 0_u8..6).prop_map(|(a, b)| Op::Two(a, b)),
        1 => Just(Op::Roll),
    ]
}

fn name(entity: u8) -> String {
    format!("entity {entity}")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn whatever_is_packed_and_merged_comes_back(
        ops in proptest::collection::vec(op(), 1..120),
        group_contents in 1_u8..12,
        directory_records in 1_u32..40,
        level in 1_i32..4,
    ) {
        let fs = MemFs::new();
        let mut log = Writer::new(&fs);
        let mut texts = vec![String::new(); 3];
        let mut segments = Vec::new();
        let mut first = 1;
        for op in ops.into_iter().chain([Op::Delete(0), Op::Roll]) {
            let records: Vec<RecordDraft> = match op {
                Op::Put(e, content) => vec![put_bytes(&name(e), Bytes::from(content))],
                Op::Grow(e) => {
                    let text = &mut texts[usize::from(e)];
                    let line = format!("and line {} of {e}; ", text.len());
                    text.push_str(&line.repeat(4));
                    vec![put(&name(e), text)]
                }
                Op::Noise(e, n) => vec![put_bytes(&name(e), noise(u64::from(n), usize::from(n)))],
                Op::Delete(e) => vec![delete(&name(e))],
                Op::Hide(e) => vec![hide(&name(e))],
                Op::Two(a, b) => vec![put(&name(a), "one"), put(&name(b), "two")],
                Op::Roll => {
                    if log.next_sequence > first {
                        segments.push((first, log.next_sequence - 1, sealed(&log)));
                        log.roll();
                        first = log.next_sequence;
                    }
                    continue;
                }
            };
            log.commit(records);
        }
        let last = first - 1;
        let options = PackOptions {
            level,
            group_contents,
            group_raw: 1 << (6 + group_contents % 8),
            directory_level: 1,
            directory_records,
            improve: false,
        };
        let sources: Vec<_> = segments.iter().map(|(.., input)| input.clone()).collect();
        let right = said_by(&sources);
        let (_, all) = make(&fs, &sources, &request(1000, 1, last, options));
        prop_assert_eq!(&said_by_pack(&all), &right);
        let mut packs = Vec::new();
        for (number, (first, last, input)) in segments.iter().enumerate() {
            let request = request(2000 + number as u64, *first, *last, options);
            packs.push(PackInput::Pack(make(&fs, std::slice::from_ref(input), &request).1));
        }
        let (_, merged) = make(&fs, &packs, &request(3000, 1, last, options));
        prop_assert_eq!(&said_by_pack(&merged), &right);
        // Packed once more, nothing changes but what merging can join.
        let again = [PackInput::Pack(merged)];
        let (_, again) = make(&fs, &again, &request(3001, 1, last, options));
        prop_assert_eq!(&said_by_pack(&again), &right);
    }
}
