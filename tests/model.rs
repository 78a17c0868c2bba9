//! The store against a model of plain maps: every public operation in any order, with flushes, compactions, closing, crashes and
//! power cuts in between. What each operation answers and what each read shows must be what the model says.
//!
//! `RECENSION_MODEL_CASES=5000 cargo test --test model` runs longer.

mod common;

use common::op::{OP_BYTES, Op};
use common::surroundings::Surroundings;
use common::world::World;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestError, TestRunner};

fn runs(cases: u32, ops: usize, test: impl Fn(u64, Vec<Op>)) {
    let cases = std::env::var("RECENSION_MODEL_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(cases);
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 4000, ..Config::default() };
    let op = any::<[u8; OP_BYTES]>().prop_map(|bytes| Op::decode(&bytes));
    let result = TestRunner::new(config).run(&(any::<u64>(), vec(op, 1..ops)), |(seed, ops)| {
        test(seed, ops);
        Ok(())
    });
    match result {
        Ok(()) => {}
        Err(TestError::Abort(why)) => panic!("{why}"),
        Err(TestError::Fail(why, (seed, ops))) => {
            let ops: String = ops.iter().map(|op| format!("    {op:?}\n")).collect();
            panic!("{why}\nseed {seed}\n{ops}");
        }
    }
}

#[test]
fn a_store_on_the_simulator_is_what_the_model_says() {
    runs(150, 80, |seed, ops| World::new(Surroundings::sim(seed)).run(&ops));
}

#[test]
fn a_store_on_the_file_system_is_what_the_model_says() {
    runs(8, 60, |_, ops| World::new(Surroundings::os()).run(&ops));
}
