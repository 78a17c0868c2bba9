//! Commit times and the clock that they are taken from.

use recension::limits::Limits;
use recension::sim::SimEnv;
use recension::{AcceptClockSteps, AsOf, Draft, Error, Expect, Store, StoreBuilder};

const HOUR: i64 = 3_600_000_000;

fn builder(machine: &SimEnv) -> StoreBuilder {
    Store::builder("/db").env(machine.env()).limits(Limits::TINY)
}

fn put(store: &Store) -> recension::Result<i64> {
    let committed = store.put("e", Expect::Any, Draft::new("x"))?;
    let head = store.as_of("e", AsOf::Sequence(committed.sequence))?;
    Ok(head.revision().expect("it was written").commit_time().0)
}

#[test]
fn a_commit_time_never_goes_back_when_the_clock_does_not_even_over_a_reopening() {
    let machine = SimEnv::new(1);
    let store = builder(&machine).open().unwrap();
    let first = put(&store).unwrap();
    machine.clock.jump(-48 * HOUR);
    let second = put(&store).unwrap();
    assert!(second >= first, "{second} after {first}");
    store.close().unwrap();
    drop(store);
    machine.clock.jump(-48 * HOUR);
    let store = builder(&machine).open().unwrap();
    let third = put(&store).unwrap();
    assert!(third >= second, "{third} after {second}");
    // It goes on when the clock has caught up.
    machine.clock.jump(96 * HOUR + HOUR / 2);
    assert!(put(&store).is_ok_and(|time| time >= third) || put(&store).is_err());
}

#[test]
fn a_step_of_the_clock_is_believed_only_when_two_readings_agree() {
    let machine = SimEnv::new(2);
    let store = builder(&machine).open().unwrap();
    let before = put(&store).unwrap();
    machine.clock.jump(30 * 24 * HOUR);
    let Error::Busy { reason, retry_after } = put(&store).unwrap_err() else { panic!("a step is believed") };
    assert_eq!(reason, "clock");
    // The wrong reading was one only: nothing was written, and no time is lost to the future.
    machine.clock.jump(-30 * 24 * HOUR);
    let after = put(&store).unwrap();
    assert!((before..before + HOUR).contains(&after));
    assert_eq!(store.published(), 2);
    // A clock that was set right stays where it is.
    machine.clock.jump(30 * 24 * HOUR);
    put(&store).unwrap_err();
    machine.clock.advance_us(retry_after.as_micros() as u64);
    let later = put(&store).unwrap();
    assert!(later >= before + 30 * 24 * HOUR);
}

#[test]
fn a_step_is_believed_at_once_where_the_caller_says_so_and_up_to_an_hour_always() {
    let machine = SimEnv::new(3);
    let store = builder(&machine).open().unwrap();
    let before = put(&store).unwrap();
    machine.clock.jump(HOUR - HOUR / 10);
    assert!(put(&store).unwrap() > before + HOUR / 2);
    store.close().unwrap();
    drop(store);
    let store = builder(&machine).accept_clock_steps(AcceptClockSteps::AtOnce).open().unwrap();
    put(&store).unwrap();
    machine.clock.jump(1000 * HOUR);
    assert!(put(&store).unwrap() > before + 1000 * HOUR);
}
