//! Histories that are those of one order, and such that are not.

use super::*;

const E: &[u8] = b"entity";

fn write(expect: Expect) -> Step {
    Step { expect, act: Act::Write { deletes: false, number: None, if_changed: false } }
}

fn begin(histories: &mut Histories, expect: Expect) -> u64 {
    histories.begin([(E, write(expect))].into_iter())
}

fn written(histories: &mut Histories, call: u64, revision: u64, durable: bool) {
    histories.done(call, &[E], &[Outcome::Written { revision, sequence: revision }], durable);
}

fn fits(histories: &Histories) -> bool {
    histories.look().is_ok()
}

#[test]
fn writers_one_after_the_other_count_up() {
    let mut it = Histories::default();
    for n in 0..5 {
        let expect = if n == 0 { Expect::Absent } else { Expect::Head(n) };
        let call = begin(&mut it, expect);
        written(&mut it, call, n + 1, true);
        it.read(E, HeadState::Live(n + 1));
    }
    assert!(fits(&it));
    it.read(E, HeadState::Live(4));
    assert!(!fits(&it), "a head went back");
}

#[test]
fn of_two_writers_with_the_same_expectation_one_may_win() {
    let mut it = Histories::default();
    let (a, b) = (begin(&mut it, Expect::Absent), begin(&mut it, Expect::Absent));
    written(&mut it, b, 1, true);
    it.conflict(a, E, HeadState::Live(1));
    assert!(fits(&it));

    let mut it = Histories::default();
    let (a, b) = (begin(&mut it, Expect::Absent), begin(&mut it, Expect::Absent));
    written(&mut it, b, 1, true);
    written(&mut it, a, 1, true);
    assert!(!fits(&it), "both won");
}

#[test]
fn a_conflict_names_a_head_that_was_there() {
    let mut it = Histories::default();
    let (a, b) = (begin(&mut it, Expect::Any), begin(&mut it, Expect::Head(7)));
    it.conflict(b, E, HeadState::Live(1));
    written(&mut it, a, 1, true);
    assert!(fits(&it), "the first one was under way");

    let mut it = Histories::default();
    let b = begin(&mut it, Expect::Head(7));
    it.conflict(b, E, HeadState::Live(1));
    let a = begin(&mut it, Expect::Any);
    written(&mut it, a, 1, true);
    assert!(!fits(&it), "told of a head before anybody had begun to write it");
}

#[test]
fn a_call_without_an_answer_took_effect_or_not() {
    for (seen, fit) in [(0, true), (1, true), (2, false)] {
        let mut it = Histories::default();
        begin(&mut it, Expect::Absent);
        it.crash(true);
        let head = if seen == 0 { HeadState::Absent } else { HeadState::Live(seen) };
        it.read(E, head);
        assert_eq!(fits(&it), fit, "{seen}");
    }
    let mut it = Histories::default();
    begin(&mut it, Expect::Absent);
    it.crash(true);
    it.read(E, HeadState::Absent);
    it.read(E, HeadState::Live(1));
    assert!(!fits(&it), "it took effect behind the crash");
}

#[test]
fn what_was_acknowledged_as_durable_survives_and_nobody_builds_on_what_is_lost() {
    let mut it = Histories::default();
    let call = begin(&mut it, Expect::Absent);
    written(&mut it, call, 1, true);
    it.crash(true);
    it.read(E, HeadState::Absent);
    assert!(!fits(&it), "lost");

    let buffered = |loses, head| {
        let mut it = Histories::default();
        for n in 1..4 {
            let call = begin(&mut it, Expect::Any);
            written(&mut it, call, n, n == 1);
        }
        it.crash(loses);
        it.read(E, head);
        fits(&it)
    };
    assert!(buffered(true, HeadState::Live(1)) && buffered(true, HeadState::Live(2)));
    assert!(!buffered(true, HeadState::Absent));
    assert!(buffered(false, HeadState::Live(3)) && !buffered(false, HeadState::Live(2)));
}

#[test]
fn a_durable_commit_carries_what_had_ended_before_it_began_also_of_other_entities() {
    let mut it = Histories::default();
    let first = begin(&mut it, Expect::Absent);
    written(&mut it, first, 1, false);
    let second = it.begin([(&b"other"[..], write(Expect::Absent))].into_iter());
    it.done(second, &[b"other"], &[Outcome::Written { revision: 1, sequence: 2 }], true);
    it.crash(true);
    it.read(E, HeadState::Absent);
    assert!(!fits(&it));
}

#[test]
fn refusals_for_other_reasons_say_nothing() {
    let mut it = Histories::default();
    let call = begin(&mut it, Expect::Absent);
    it.refused(call);
    it.read(E, HeadState::Absent);
    assert!(fits(&it));
    assert_eq!(it.look().unwrap().events, 1);
}

#[test]
fn a_purged_entity_counts_on() {
    let mut it = Histories::default();
    let call = begin(&mut it, Expect::Absent);
    written(&mut it, call, 1, true);
    let purge = it.begin([(E, Step { expect: Expect::Head(1), act: Act::Purge })].into_iter());
    it.done(purge, &[E], &[Outcome::Annotated { sequence: 2 }], true);
    it.read(E, HeadState::Purged(1));
    let call = begin(&mut it, Expect::Any);
    written(&mut it, call, 2, true);
    assert!(fits(&it));
    let call = begin(&mut it, Expect::Any);
    written(&mut it, call, 2, true);
    assert!(!fits(&it), "a number was used twice");
}

#[test]
fn many_calls_under_way_are_ordered_if_there_is_an_order() {
    let mut it = Histories::default();
    let calls: Vec<u64> = (0..7).map(|_| begin(&mut it, Expect::Any)).collect();
    for (n, call) in calls.iter().rev().enumerate() {
        written(&mut it, *call, n as u64 + 1, true);
    }
    assert!(fits(&it));
    assert_eq!(it.look().unwrap().concurrent, 6);
}
