use proptest::prelude::*;

use super::*;
use crate::index::testing::cases;
use crate::model::{AnnotationKind, Entity, Erasure};

fn stored(sequence: u64, first: u64, last: u64, kind: AnnotationKind, fields: u8) -> StoredAnnotation {
    let annotation = Annotation {
        entity: Entity::new("e").unwrap(),
        first,
        last,
        kind,
        fields: FieldMask(fields),
        actor: "someone".into(),
        reason: "because".into(),
        erasure: kind.erases().then_some(Erasure { job: 7 << 40, more: true, time: -5 }),
    };
    StoredAnnotation { sequence, annotation }
}

#[test]
fn a_later_show_uncovers_the_middle_of_a_hidden_range() {
    let all = [
        stored(1, 1, 10, AnnotationKind::Hide, 3),
        stored(5, 4, 6, AnnotationKind::Show, 1),
        stored(3, 5, 20, AnnotationKind::Hide, 1),
    ];
    let interval = |first, last, fields| Interval {
        first,
        last,
        hidden: FieldMask(fields),
        forgotten: FieldMask::default(),
    };
    let expected = [interval(1, 3, 3), interval(4, 6, 2), interval(7, 10, 3), interval(11, 20, 1)];
    let gate = Gate::new(&all, None);
    assert_eq!(gate.intervals(), expected);
    assert_eq!(gate.visibility(5).hidden, FieldMask::COMMENT);
    assert!(gate.visibility(21).is_full());
    assert!(gate.visibility(0).is_full());
}

#[test]
fn annotations_reach_to_the_end_of_numbers_and_upside_down_ones_do_nothing() {
    let all = [stored(1, 7, u64::MAX, AnnotationKind::Hide, 1), stored(2, 9, 8, AnnotationKind::Show, 1)];
    let gate = Gate::new(&all, None);
    assert_eq!(
        gate.intervals(),
        [Interval { first: 7, last: u64::MAX, hidden: FieldMask::CONTENT, forgotten: FieldMask::default() }]
    );
    assert!(Gate::new(&all[1..], None).is_open());
}

fn annotation() -> impl Strategy<Value = StoredAnnotation> {
    (0..30_u64, 0..12_u64, 0..6_u8, 0..16_u8).prop_map(|(first, len, kind, fields)| {
        let kind = match kind {
            0 | 1 => AnnotationKind::Hide,
            2 | 3 => AnnotationKind::Show,
            4 => AnnotationKind::Forget,
            _ => AnnotationKind::Retain,
        };
        stored(0, first, first + len, kind, fields)
    })
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn folding_agrees_with_asking_every_annotation(
        mut all in prop::collection::vec(annotation(), 0..20),
        shuffle in any::<prop::sample::Index>(),
        purge in prop::option::of((0..20_u64, 0..20_u64)),
    ) {
        let purge = purge.map(|(sequence, last)| Purge { sequence, last, effective_time: 0 });
        for (at, stored) in all.iter_mut().enumerate() {
            stored.sequence = at as u64 + 1;
        }
        if !all.is_empty() {
            let by = shuffle.index(all.len());
            all.rotate_left(by);
        }
        let gate = Gate::new(&all, purge);
        all.retain(|s| purge.is_none_or(|purge| s.sequence > purge.sequence));
        for number in 0..45 {
            let seen = gate.visibility(number);
            if purge.is_some_and(|purge| number <= purge.last) {
                prop_assert!(seen.purged && seen.withheld() == FieldMask::ALL);
                continue;
            }
            let (mut hidden, mut forgotten) = (FieldMask::default(), FieldMask::default());
            for field in [FieldMask::CONTENT, FieldMask::COMMENT, FieldMask::AUTHOR, FieldMask::ATTRIBUTES] {
                let about = || {
                    all.iter()
                        .filter(|s| s.annotation.first <= number && number <= s.annotation.last)
                        .filter(|s| s.annotation.fields.contains(field))
                };
                if about().any(|s| s.annotation.kind.erases()) {
                    forgotten = forgotten.with(field);
                    continue;
                }
                let decider = about().max_by_key(|s| s.sequence);
                if decider.is_some_and(|s| s.annotation.kind == AnnotationKind::Hide) {
                    hidden = hidden.with(field);
                }
            }
            prop_assert_eq!((seen.hidden, seen.forgotten), (hidden, forgotten), "revision {}", number);
        }
        for pair in gate.intervals().windows(2) {
            prop_assert!(pair[0].last < pair[1].first);
            let said = |interval: &Interval| (interval.hidden, interval.forgotten);
            prop_assert!(pair[0].last + 1 < pair[1].first || said(&pair[0]) != said(&pair[1]));
        }
    }

    #[test]
    fn keys_order_like_their_parts_and_come_back(
        a in (prop::collection::vec(0..3_u8, 1..6), any::<[u64; 3]>()),
        b in (prop::collection::vec(0..3_u8, 1..6), any::<[u64; 3]>()),
    ) {
        let make = |(name, [first, last, sequence]): &(Vec<u8>, [u64; 3])| {
            let mut stored = stored(*sequence, *first, *last, AnnotationKind::Show, 9);
            stored.annotation.entity = Entity::new(name).unwrap();
            stored
        };
        let (first, second) = (make(&a), make(&b));
        prop_assert_eq!(encode_key(&first).cmp(&encode_key(&second)), a.cmp(&b));
        prop_assert_eq!(encode_key(&first).starts_with(&key_prefix(&b.0)), a.0 == b.0);
        let value = encode_value(&first.annotation);
        prop_assert_eq!(decode(&encode_key(&first), &value).unwrap(), first.clone());
        prop_assert_eq!(decode_key(&encode_key(&first)).unwrap().entity, first.annotation.entity);
    }
}

#[test]
fn torn_and_flipped_bytes_are_errors_or_other_annotations_but_never_a_panic() {
    for kind in [AnnotationKind::Hide, AnnotationKind::Purge] {
        torn_and_flipped(kind);
    }
}

fn torn_and_flipped(kind: AnnotationKind) {
    let mut one = stored(3, 1, 2, kind, 1);
    one.annotation.entity = Entity::new([0, 1, 0]).unwrap();
    let (key, value) = (encode_key(&one), encode_value(&one.annotation));
    for cut in 0..key.len() {
        assert!(decode(&key[..cut], &value).is_err());
        for bit in 0..8 {
            let mut bad = key.clone();
            bad[cut] ^= 1 << bit;
            assert!(decode(&bad, &value).map_or(true, |other| other != one));
        }
    }
    for cut in 0..value.len() {
        assert!(decode(&key, &value[..cut]).is_err());
        for bit in 0..8 {
            let mut bad = value.clone();
            bad[cut] ^= 1 << bit;
            assert!(decode(&key, &bad).map_or(true, |other| other != one));
        }
    }
}

#[test]
fn an_unknown_kind_is_an_error_and_a_longer_value_is_not() {
    let one = stored(3, 1, 2, AnnotationKind::Hide, 1);
    let (key, mut value) = (encode_key(&one), encode_value(&one.annotation));
    value.push(200);
    assert_eq!(decode(&key, &value).unwrap(), one);
    value[0] = 6;
    assert!(decode(&key, &value).is_err());
}

#[test]
fn what_is_forgotten_is_not_shown_again_and_a_purge_ends_what_came_before() {
    let all = [
        stored(1, 1, 4, AnnotationKind::Forget, 1),
        stored(2, 1, 9, AnnotationKind::Hide, 3),
        stored(3, 1, 9, AnnotationKind::Show, 3),
    ];
    let gate = Gate::new(&all, None);
    assert_eq!(gate.visibility(4), Visibility { forgotten: FieldMask::CONTENT, ..Visibility::default() });
    assert!(gate.visibility(5).is_full());
    let gate = Gate::new(&all, Some(Purge { sequence: 4, last: 3, effective_time: 0 }));
    assert!(gate.visibility(3).purged);
    assert!(gate.visibility(4).is_full(), "a name that is used again starts with a clean slate");
}
