//! Operations, crashes and power cuts on the simulator against the model of plain maps. Wants real checksums: run with
//! `--no-cfg-fuzzing`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use recension_fuzz::common::op::{OP_BYTES, Op};
use recension_fuzz::common::surroundings::Surroundings;
use recension_fuzz::common::world::World;

fuzz_target!(|data: &[u8]| {
    let Some((seed, ops)) = data.split_first() else { return };
    let ops: Vec<Op> = ops.chunks(OP_BYTES).take(60).map(Op::decode).collect();
    World::new(Surroundings::sim(u64::from(*seed))).run(&ops);
});
