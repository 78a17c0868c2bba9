//! Packs that several threads make.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::support::*;
use crate::Error;
use crate::env::{Job, JobClass, Jobs, ThreadJobs};
use crate::index::annotations::NothingErased;
use crate::pack::crew::Pieces;

/// A segment of pages, pictures and small things.
fn segment(fs: &Arc<MemFs>) -> PackInput {
    let mut log = Writer::new(fs);
    for edit in 0..40_usize {
        for name in 0..6 {
            log.commit(vec![put(&format!("Page {name}"), &page(edit + name, 40 + name))]);
        }
        log.commit(vec![put_bytes("Picture", noise(edit as u64, 6000))]);
        log.commit(vec![put(&format!("Small {edit}"), "a few words")]);
    }
    sealed(&log)
}

fn made_by(fs: &MemFs, input: &PackInput, number: u64, crew: &Crew) -> Vec<u8> {
    let request = request(number, 1, 320, TEST);
    let path = path_of(request.id);
    let inputs = std::slice::from_ref(input);
    let info = pack_erasing(fs, &path, inputs, &NothingErased, &request, crew, &|| false).unwrap();
    let pack = open(fs, &info);
    pack.verify(Depth::Contents, &|| false).unwrap();
    behind_header(fs, &pack)
}

/// Jobs that are kept and never run.
#[derive(Default)]
struct Kept(Mutex<Vec<Job>>);

impl Jobs for Kept {
    fn spawn(&self, _: JobClass, job: Job) {
        self.0.lock().push(job);
    }

    fn spawn_after(&self, _: Duration, class: JobClass, job: Job) {
        self.spawn(class, job);
    }

    fn help(&self) -> Option<bool> {
        None
    }
}

#[test]
fn whoever_helps_the_bytes_are_the_same() {
    let fs = MemFs::new();
    let input = segment(&fs);
    let alone = made_by(&fs, &input, 9, &Crew::alone());
    for number in 10..14 {
        let crew = Crew::new(Arc::new(ThreadJobs::new(3)));
        let _hurry = crew.hurry();
        assert!(made_by(&fs, &input, number, &crew) == alone);
    }
}

#[test]
fn help_that_never_comes_is_not_waited_for() {
    let fs = MemFs::new();
    let input = segment(&fs);
    let jobs = Arc::new(Kept::default());
    let crew = Crew::new(Arc::clone(&jobs) as Arc<dyn Jobs>);
    let hurry = crew.hurry();
    let hurried = made_by(&fs, &input, 9, &crew);
    assert_eq!(jobs.0.lock().len(), 1, "one job is enough until it has run");
    drop(hurry);
    assert!(made_by(&fs, &input, 10, &crew) == hurried);
    assert_eq!(jobs.0.lock().len(), 1, "nobody waits: nobody is called");
    // It finds nothing to do, and then another one may be called.
    let job = jobs.0.lock().pop().unwrap();
    job();
    let _hurry = crew.hurry();
    made_by(&fs, &input, 11, &crew);
    assert_eq!(jobs.0.lock().len(), 1);
}

#[test]
fn who_waits_for_his_turn_helps_and_gets_it_in_order() {
    let crew = Arc::new(Crew::alone());
    let order = Arc::new(Mutex::new(Vec::new()));
    let helped = Arc::new(AtomicUsize::new(0));
    let pool = ThreadJobs::new(2);
    let turn = crew.turn();
    let (of_waiter, order_of_waiter) = (Arc::clone(&crew), Arc::clone(&order));
    pool.spawn(
        JobClass::Urgent,
        Box::new(move || {
            let _turn = of_waiter.turn();
            order_of_waiter.lock().push("the one who waited");
        }),
    );
    let mut pieces = Pieces::new(&crew);
    let me = std::thread::current().id();
    let mut next = 0_usize;
    // Until the other thread waits, and then until it has taken a piece.
    while helped.load(Ordering::SeqCst) == 0 {
        let helped = Arc::clone(&helped);
        pieces.hand_in(1, move || {
            helped.fetch_add(usize::from(std::thread::current().id() != me), Ordering::SeqCst);
            next
        });
        next += 1;
        std::thread::yield_now();
    }
    let mut taken = Vec::new();
    while let Some(number) = pieces.next(true).unwrap() {
        taken.push(number);
    }
    assert_eq!(taken, (0..next).collect::<Vec<_>>(), "in the order in which they were handed in");
    order.lock().push("the packer");
    drop((pieces, turn));
    drop(crew.turn());
    assert_eq!(*order.lock(), ["the packer", "the one who waited"]);
}

#[test]
fn a_piece_that_panics_is_an_error_of_its_pack() {
    let crew = Crew::new(Arc::new(Kept::default()));
    let _hurry = crew.hurry();
    let mut pieces = Pieces::new(&crew);
    pieces.hand_in(1, || 1);
    pieces.hand_in(1, || panic!("planned"));
    pieces.hand_in(1, || 3);
    assert_eq!(pieces.next(true).unwrap(), Some(1));
    assert!(matches!(pieces.next(true), Err(Error::Invalid { .. })));
    drop(pieces);
    let mut pieces = Pieces::new(&crew);
    pieces.hand_in(1, || 4);
    assert_eq!(pieces.next(true).unwrap(), Some(4), "the crew goes on");
    assert_eq!(pieces.next(true).unwrap(), None);
}

#[test]
fn what_is_handed_in_is_bounded_and_what_is_given_up_is_not_made() {
    let crew = Crew::new(Arc::new(Kept::default()));
    let _hurry = crew.hurry();
    let made = Arc::new(AtomicUsize::new(0));
    let mut pieces = Pieces::new(&crew);
    let mut waiting = 0_usize;
    for n in 0..100_usize {
        let count = Arc::clone(&made);
        pieces.hand_in(1 << 20, move || _ = count.fetch_add(1, Ordering::SeqCst));
        while pieces.next(false).unwrap().is_some() {}
        waiting = n + 1 - made.load(Ordering::SeqCst);
        assert!(waiting <= 8, "{waiting} MiB");
    }
    assert!(waiting > 0);
    let before = made.load(Ordering::SeqCst);
    let large = Arc::clone(&made);
    pieces.hand_in(5 << 20, move || _ = large.fetch_add(1, Ordering::SeqCst));
    assert_eq!(made.load(Ordering::SeqCst), before + 1, "a large piece is made at once");
    drop(pieces);
    drop(crew.turn());
    assert_eq!(made.load(Ordering::SeqCst), before + 1);
}
