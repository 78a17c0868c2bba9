#![allow(clippy::disallowed_methods, reason = "tests what stands behind env")]

use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use super::*;

/// Long enough that only a bug gets there.
const PATIENCE: Duration = Duration::from_secs(20);

fn get<T>(from: &Receiver<T>) -> T {
    from.recv_timeout(PATIENCE).expect("a job did not run")
}

/// Occupies a thread until the sender is dropped or used; answers when it has begun.
fn block(jobs: &ThreadJobs, class: JobClass) -> Sender<()> {
    let (release, released) = channel::<()>();
    let (begin, begun) = channel();
    jobs.spawn(
        class,
        Box::new(move || {
            begin.send(()).unwrap();
            let _ = released.recv();
        }),
    );
    get(&begun);
    release
}

#[test]
fn urgent_jobs_go_first_and_within_a_class_the_oldest() {
    let jobs = ThreadJobs::new(2);
    let gates = [block(&jobs, JobClass::Urgent), block(&jobs, JobClass::Urgent)];
    let (done, order) = channel();
    let queue = [(JobClass::Compact, 1), (JobClass::Flush, 2), (JobClass::Urgent, 3), (JobClass::Flush, 4)];
    for (class, name) in queue {
        let done = done.clone();
        jobs.spawn(class, Box::new(move || done.send(name).unwrap()));
    }
    // One thread is let go, so that the order is the queue's.
    let [one, other] = gates;
    drop(one);
    assert_eq!([(); 4].map(|()| get(&order)), [3, 2, 4, 1]);
    drop(other);
}

#[test]
fn jobs_that_wait_for_each_other_find_threads() {
    let jobs = ThreadJobs::new(3);
    for _ in 0..50 {
        let (a, at_a) = channel();
        let (b, at_b) = channel();
        let (done, finished) = channel();
        let also_done = done.clone();
        jobs.spawn(
            JobClass::Flush,
            Box::new(move || {
                a.send(()).unwrap();
                get(&at_b);
                done.send(()).unwrap();
            }),
        );
        jobs.spawn(
            JobClass::Flush,
            Box::new(move || {
                b.send(()).unwrap();
                get(&at_a);
                also_done.send(()).unwrap();
            }),
        );
        get(&finished);
        get(&finished);
    }
}

#[test]
fn compactions_leave_a_thread_free() {
    let jobs = ThreadJobs::new(2);
    let gate = block(&jobs, JobClass::Compact);
    let (done, ran) = channel();
    let compacted = done.clone();
    jobs.spawn(JobClass::Compact, Box::new(move || compacted.send("compact").unwrap()));
    for _ in 0..3 {
        let done = done.clone();
        jobs.spawn(JobClass::Flush, Box::new(move || done.send("flush").unwrap()));
        assert_eq!(get(&ran), "flush");
    }
    drop(gate);
    assert_eq!(get(&ran), "compact");
}

#[test]
fn a_job_that_panics_ends_nothing_but_itself() {
    let jobs = ThreadJobs::new(2);
    for class in [JobClass::Compact, JobClass::Flush, JobClass::Compact, JobClass::Compact] {
        jobs.spawn(class, Box::new(|| std::panic::resume_unwind(Box::new("on purpose"))));
    }
    let (done, ran) = channel();
    for class in [JobClass::Urgent, JobClass::Flush, JobClass::Compact] {
        let done = done.clone();
        jobs.spawn(class, Box::new(move || done.send(()).unwrap()));
        get(&ran);
    }
}

#[test]
fn a_delayed_job_runs_after_its_delay_and_not_behind_a_busy_thread() {
    let jobs = ThreadJobs::new(2);
    let gate = block(&jobs, JobClass::Compact);
    let (done, ran) = channel();
    let begin = Instant::now();
    let later = done.clone();
    let delay = Duration::from_millis(20);
    jobs.spawn_after(delay * 2, JobClass::Flush, Box::new(move || later.send((2, Instant::now())).unwrap()));
    jobs.spawn_after(delay, JobClass::Compact, Box::new(|| {}));
    jobs.spawn_after(delay, JobClass::Urgent, Box::new(move || done.send((1, Instant::now())).unwrap()));
    jobs.spawn_after(Duration::MAX, JobClass::Urgent, Box::new(|| unreachable!()));
    let (first, at) = get(&ran);
    assert!(first == 1 && at - begin >= delay);
    let (second, at) = get(&ran);
    assert!(second == 2 && at - begin >= delay * 2);
    drop(gate);
}

#[test]
fn dropping_the_pool_drops_what_is_queued_and_waits_for_nothing() {
    let jobs = ThreadJobs::new(2);
    let gates = [block(&jobs, JobClass::Flush), block(&jobs, JobClass::Flush)];
    let token = Arc::new(());
    for delay in [Duration::ZERO, Duration::from_secs(3600)] {
        let token = Arc::clone(&token);
        jobs.spawn_after(delay, JobClass::Urgent, Box::new(move || drop(token)));
    }
    assert_eq!(Arc::strong_count(&token), 3);
    drop(jobs);
    assert_eq!(Arc::strong_count(&token), 1);
    drop(gates);
}

#[test]
fn a_job_may_own_the_last_handle_of_its_pool() {
    let jobs = Arc::new(ThreadJobs::new(2));
    let (done, ran) = channel();
    let (go, gone) = channel::<()>();
    let own = Arc::clone(&jobs);
    jobs.spawn(
        JobClass::Flush,
        Box::new(move || {
            let _ = gone.recv();
            own.spawn(JobClass::Flush, Box::new(|| {}));
            drop(own);
            done.send(()).unwrap();
        }),
    );
    drop(jobs);
    drop(go);
    get(&ran);
}

#[test]
fn a_lock_is_held_by_one_handle_until_it_is_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("LOCK");
    let fs = OsFs::new();
    let lock = fs.try_lock(&path, LockMode::Exclusive).unwrap().unwrap();
    assert!(fs.try_lock(&path, LockMode::Exclusive).unwrap().is_none());
    assert!(OsFs::new().try_lock(&path, LockMode::Exclusive).unwrap().is_none());
    let owner = std::fs::read_to_string(&path).unwrap();
    assert_eq!(owner, format!("process {}\n", std::process::id()));
    drop(lock);
    assert!(fs.try_lock(&path, LockMode::Exclusive).unwrap().is_some());
}

/// Run by the test below in a process of its own.
#[test]
fn child_that_takes_the_lock() {
    let Some(path) = std::env::var_os("RECENSION_TEST_LOCK") else { return };
    let taken = OsFs::new().try_lock(path.as_ref(), LockMode::Exclusive).unwrap().is_some();
    std::process::exit(if taken { 0 } else { 42 });
}

#[test]
fn a_lock_excludes_another_process() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("LOCK");
    let child = || {
        let me = std::env::current_exe().unwrap();
        let mut command = std::process::Command::new(me);
        command.args(["--exact", "env::tests::child_that_takes_the_lock"]).env("RECENSION_TEST_LOCK", &path);
        command.stdout(std::process::Stdio::null()).status().unwrap().code()
    };
    let lock = OsFs::new().try_lock(&path, LockMode::Exclusive).unwrap();
    assert!(lock.is_some());
    assert_eq!(child(), Some(42));
    drop(lock);
    assert_eq!(child(), Some(0));
}

#[test]
fn a_lock_that_was_given_up_is_free_also_while_child_processes_are_being_started() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("LOCK");
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                std::process::Command::new("true").status().unwrap();
            }
        });
        // A child that is being started has all files of this process open until it runs its own program.
        let free = (0..3000).all(|_| OsFs::new().try_lock(&path, LockMode::Exclusive).unwrap().is_some());
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(free);
    });
}

#[test]
fn create_new_does_not_take_over_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f");
    let fs = OsFs::new();
    let file = fs.open(&path, Access::CreateNew).unwrap();
    write_all_at(&*file, b"kept", 0).unwrap();
    assert_eq!(fs.open(&path, Access::CreateNew).map(drop).unwrap_err().kind(), ErrorKind::AlreadyExists);
    assert_eq!(read_vec_at(&*fs.open(&path, Access::Read).unwrap(), 4, 0).unwrap(), b"kept");
    assert_eq!(
        fs.open(&dir.path().join("g"), Access::ReadWrite).map(drop).unwrap_err().kind(),
        ErrorKind::NotFound
    );
}

#[test]
fn a_map_shows_the_file_outlives_its_name_and_is_never_longer_than_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f");
    let fs = OsFs::new();
    let file = fs.open(&path, Access::CreateNew).unwrap();
    write_all_at(&*file, b"sealed bytes", 0).unwrap();
    let map = file.map(6).unwrap();
    assert_eq!(file.map(13).unwrap_err().kind(), ErrorKind::UnexpectedEof);
    assert!(file.map(0).unwrap().is_empty());
    fs.remove_file(&path).unwrap();
    drop(file);
    assert_eq!(map, b"sealed"[..]);
}

#[test]
fn allocation_grows_the_file_with_zeros_and_keeps_what_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let fs = OsFs::new();
    let file = fs.open(&dir.path().join("f"), Access::CreateNew).unwrap();
    write_all_at(&*file, b"data", 0).unwrap();
    file.allocate(2, 100_000).unwrap();
    assert_eq!(file.len().unwrap(), 100_002);
    assert!(file.allocate(0, 0).is_err());
    let bytes = read_vec_at(&*file, 100_002, 0).unwrap();
    assert!(bytes.starts_with(b"data") && bytes.iter().skip(4).all(|byte| *byte == 0));
    // The same without fallocate.
    let path = dir.path().join("g");
    std::fs::write(&path, b"data").unwrap();
    let plain = std::fs::File::options().write(true).open(&path).unwrap();
    super::os_fs::write_zeros_past_end(&plain, 2, 100_000).unwrap();
    super::os_fs::write_zeros_past_end(&plain, 0, 10).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
}

#[test]
fn a_listing_is_sorted_and_leaves_out_names_that_are_not_text() {
    use std::os::unix::ffi::OsStrExt;
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("b"), b"12").unwrap();
    std::fs::create_dir(dir.path().join("a")).unwrap();
    let odd = dir.path().join(std::ffi::OsStr::from_bytes(b"\xff"));
    // Some file systems refuse such a name, which is as well.
    let _ = std::fs::write(odd, b"");
    let want = [
        DirEntry { name: "a".into(), is_dir: true, len: 0 },
        DirEntry { name: "b".into(), is_dir: false, len: 2 },
    ];
    assert_eq!(OsFs::new().read_dir(dir.path()).unwrap(), want);
    OsFs::new().sync_dir(dir.path()).unwrap();
}

#[test]
fn random_numbers_differ_between_calls_and_generators() {
    let (a, b) = (OsRng::new(), OsRng::new());
    let draws = [a.next_u64(), a.next_u64(), b.next_u64(), b.next_u64()];
    let distinct: std::collections::BTreeSet<u64> = draws.into();
    assert_eq!(distinct.len(), draws.len());
    let (mut long, mut again) = ([0; 100], [0; 100]);
    a.fill(&mut long);
    a.fill(&mut again);
    assert_ne!(long, again);
}

#[test]
fn clocks_run_forward() {
    let clock = OsClock::new();
    let before = clock.monotonic_us();
    clock.sleep(Duration::from_millis(2));
    assert!(clock.monotonic_us() >= before + 2_000);
    assert!(clock.wall_us() > 1_600_000_000_000_000);
}

#[cfg(target_os = "linux")]
#[test]
fn a_network_file_system_is_told_from_a_local_one() {
    use super::os_fs::network_name;
    // NFS, SMB, and what is local: ext4, XFS, btrfs, tmpfs, overlay, ZFS.
    assert_eq!((network_name(0x6969), network_name(0xff53_4d42)), (Some("NFS"), Some("SMB")));
    for local in [0xef53, 0x5846_5342, 0x9123_683e, 0x0102_1994, 0x794c_7630, 0x2fc1_2fc1] {
        assert_eq!(network_name(local), None);
    }
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(OsFs::new().network_file_system(dir.path()), None);
    assert_eq!(OsFs::new().network_file_system(&dir.path().join("none")), None);
}
