//! The simulated clock, random numbers and job queue, and the machine they make together.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use recension::env::{Access, Clock, JobClass, Jobs, Rng, write_all_at};
use recension::sim::{CrashPolicy, FaultKind, Prng, Rate, SimClock, SimEnv, SimJobs, is_machine_off};

type Log = Arc<Mutex<Vec<u32>>>;

fn noting(log: &Log, n: u32) -> Box<dyn FnOnce() + Send> {
    let log = Arc::clone(log);
    Box::new(move || log.lock().push(n))
}

#[test]
fn the_generator_gives_the_same_numbers_for_ever() {
    let mut rng = Prng::new(1);
    let first = [(); 3].map(|()| rng.next_u64());
    assert_eq!(first, [0xb3f2_af6d_0fc7_10c5, 0x853b_5596_4736_4cea, 0x92f8_9756_082a_4514]);
    assert_eq!(recension::sim::mix(1, 2), recension::sim::mix(1, 2));
    assert_ne!(recension::sim::mix(1, 2), recension::sim::mix(2, 1));
}

#[test]
fn draws_keep_to_their_range_and_reach_all_of_it() {
    let mut rng = Prng::new(9);
    let mut seen = [0_u32; 7];
    for _ in 0..7000 {
        seen[rng.below(7) as usize] += 1;
    }
    assert!(seen.iter().all(|n| (800..1200).contains(n)), "{seen:?}");
    assert_eq!(rng.below(0), 0);
    assert_eq!(rng.pick::<u8>(&[]), None);
    let hits = (0..10_000).filter(|_| Rate::percent(30).hits(rng.next_u64())).count();
    assert!((2700..3300).contains(&hits));
    assert!(!Rate::NEVER.hits(0) && Rate::ALWAYS.hits(u64::MAX) && Rate::one_in(0) == Rate::NEVER);
}

#[test]
fn time_passes_only_by_looking_sleeping_and_jumping() {
    let clock = SimClock::new(1);
    let (wall, mono) = (clock.wall_us(), clock.monotonic_us());
    assert_eq!((clock.wall_us() - wall, clock.monotonic_us() - mono), (2, 2));
    clock.set_step_us(0);
    let (wall, mono) = (clock.wall_us(), clock.monotonic_us());
    clock.sleep(Duration::from_secs(1));
    assert_eq!((clock.wall_us() - wall, clock.monotonic_us() - mono), (1_000_000, 1_000_000));
    clock.jump(-5_000_000);
    assert_eq!((clock.wall_us() - wall, clock.monotonic_us() - mono), (-4_000_000, 1_000_000));
}

#[test]
fn the_wall_clock_jumps_at_the_rates_that_were_set_and_the_monotonic_one_never_goes_back() {
    let sim = SimEnv::new(4);
    sim.clock.set_faults(Rate::percent(10), Rate::percent(10), 3_600_000_000);
    let (mut back, mut last_wall, mut last_mono) = (0, i64::MIN, 0);
    for _ in 0..1000 {
        let (wall, mono) = (sim.clock.wall_us(), sim.clock.monotonic_us());
        assert!(mono >= last_mono);
        back += u32::from(wall < last_wall);
        (last_wall, last_mono) = (wall, mono);
    }
    assert!((50..150).contains(&back));
    assert!(sim.fs.stats().count(FaultKind::ClockJump) > 50, "counted together with the disk's faults");
}

#[test]
fn ready_jobs_run_in_an_order_drawn_from_the_seed() {
    let order = |seed| {
        let jobs = SimJobs::new(seed, &SimClock::new(0));
        let log = Log::default();
        for n in 0..6 {
            jobs.spawn(JobClass::Flush, noting(&log, n));
        }
        assert_eq!(jobs.run_until_idle(100), 6);
        assert!(!jobs.step());
        log.lock().clone()
    };
    assert_eq!(order(1), order(1));
    let all: std::collections::BTreeSet<_> = (0..50).map(order).collect();
    assert!(all.len() > 40);
}

#[test]
fn delayed_jobs_wait_for_the_clock_and_a_helper_moves_it() {
    let clock = SimClock::new(0);
    let jobs = SimJobs::new(1, &clock);
    let log = Log::default();
    jobs.spawn_after(Duration::from_secs(2), JobClass::Urgent, noting(&log, 2));
    jobs.spawn_after(Duration::from_secs(1), JobClass::Urgent, noting(&log, 1));
    assert_eq!(jobs.run_until_idle(100), 0);
    assert_eq!(jobs.run_for(Duration::from_millis(1500)), 1);
    assert_eq!(clock.peek_us(), 1_500_000);
    assert_eq!(jobs.help(), Some(true));
    assert_eq!(*log.lock(), [1, 2]);
    assert_eq!(clock.peek_us(), 2_000_000);
    assert_eq!(jobs.help(), Some(false), "nothing is left: whoever waits waits for ever");
}

#[test]
fn a_job_may_spawn_and_help_and_be_waited_for() {
    let jobs = SimJobs::new(3, &SimClock::new(0));
    let log = Log::default();
    let (inner_jobs, inner_log) = (jobs.clone(), Arc::clone(&log));
    jobs.spawn(
        JobClass::Compact,
        Box::new(move || {
            inner_jobs.spawn(JobClass::Urgent, noting(&inner_log, 1));
            while inner_log.lock().is_empty() {
                assert_eq!(inner_jobs.running(), 1);
                assert_eq!(inner_jobs.help(), Some(true));
            }
            inner_log.lock().push(2);
        }),
    );
    assert_eq!(jobs.run_until_idle(100), 1, "one step, which helped the other");
    assert_eq!((*log.lock()).as_slice(), [1, 2]);
    assert_eq!((jobs.ran(), jobs.running(), jobs.queued()), (2, 0, 0));
}

#[test]
fn a_crash_drops_the_jobs_and_old_machines_can_queue_no_more() {
    let sim = SimEnv::new(1);
    let log = Log::default();
    let env = sim.env();
    env.jobs.spawn(JobClass::Flush, noting(&log, 1));
    env.fs.create_dir_all(Path::new("/d")).unwrap();
    let next = sim.crash(&CrashPolicy::EVERYTHING);
    env.jobs.spawn(JobClass::Flush, noting(&log, 2));
    assert_eq!((sim.jobs.queued(), next.jobs.queued()), (0, 0));
    assert!(is_machine_off(&env.fs.exists(Path::new("/d")).unwrap_err()));
    assert!(next.env().fs.exists(Path::new("/d")).unwrap());
    assert_eq!(Arc::strong_count(&log), 1, "dropped jobs let go of what they own");
}

#[test]
fn a_whole_machine_is_a_function_of_its_seed() {
    let run = |seed| {
        let sim = SimEnv::new(seed);
        let env = sim.env();
        for n in 0..20_u64 {
            let inner = env.clone();
            let job = move || {
                let name = format!("/{}-{}", n, inner.rng.next_u64());
                let file = inner.fs.open(Path::new(&name), Access::CreateNew).unwrap();
                write_all_at(&*file, &inner.clock.wall_us().to_le_bytes(), 0).unwrap();
                let _ = file.sync_data();
            };
            env.jobs.spawn(JobClass::Flush, Box::new(job));
        }
        sim.jobs.run_until_idle(100);
        let next = sim.crash(&CrashPolicy::POSIX);
        (next.fs.trace_hash(), next.fs.image_hash(), next.rng.next_u64(), next.clock.wall_us())
    };
    assert_eq!(run(5), run(5));
    assert_ne!(run(5).0, run(6).0);
}

#[test]
fn crashes_of_a_fork_can_be_tried_in_any_order() {
    let sim = SimEnv::new(8);
    let env = sim.env();
    let file = env.fs.open(Path::new("/f"), Access::CreateNew).unwrap();
    write_all_at(&*file, b"ab", 0).unwrap();
    let space = sim.fs.crash_space(&CrashPolicy::POSIX);
    let after = |k| {
        let next = sim.fork().crash_with(&CrashPolicy::POSIX, &space.nth(k));
        let _ = next.env().fs.open(Path::new("/g"), Access::CreateNew);
        (next.fs.trace_hash(), next.fs.image_hash(), next.clock.wall_us(), next.rng.next_u64())
    };
    let images = space.images().unwrap();
    let forward: Vec<_> = (0..images).map(after).collect();
    let mut backward: Vec<_> = (0..images).rev().map(after).collect();
    backward.reverse();
    assert_eq!(forward, backward);
    assert!(!sim.fs.is_off());
}
