use std::sync::atomic::AtomicUsize;

use super::*;
use crate::Error;

fn key(file: u64, at: u64) -> CacheKey {
    CacheKey { file, at, kind: CacheKind::Plain }
}

fn bytes(len: usize) -> Result<Bytes> {
    Ok(Bytes::from(vec![7; len]))
}

#[test]
fn what_was_loaded_once_is_not_loaded_again() {
    let cache = Cache::new(1 << 20);
    let first = cache.get_or_load(key(1, 0), || bytes(10)).unwrap();
    let again = cache.get_or_load(key(1, 0), || -> Result<Bytes> { panic!("loaded twice") }).unwrap();
    assert!(Arc::ptr_eq(&first, &again));
    assert_eq!(cache.counts(CacheKind::Plain), (1, 1));
    assert_eq!(cache.stats().entries, 1);
    assert_eq!(cache.used(), 10 + ENTRY_OVERHEAD as u64);
}

#[test]
fn an_error_is_not_remembered() {
    let cache = Cache::new(1 << 20);
    assert!(cache.get_or_load::<Bytes>(key(1, 0), || Err(Error::Cancelled)).is_err());
    assert_eq!(cache.get_or_load(key(1, 0), || bytes(3)).unwrap().len(), 3);
}

#[test]
fn files_offsets_and_kinds_are_told_apart() {
    let cache = Cache::new(1 << 20);
    let keys = [key(1, 2), key(2, 1), key(1, 1), CacheKey { kind: CacheKind::Filter, ..key(1, 1) }];
    for (i, key) in keys.into_iter().enumerate() {
        cache.get_or_load(key, || bytes(i)).unwrap();
    }
    for (i, key) in keys.into_iter().enumerate() {
        assert_eq!(cache.get::<Bytes>(key).unwrap().len(), i);
    }
}

#[test]
fn it_never_holds_more_than_its_capacity() {
    let cache = Cache::new(64 << 10);
    for at in 0..1000 {
        cache.get_or_load(key(1, at), || bytes(1000)).unwrap();
        assert!(cache.used() <= cache.capacity(), "{cache:?}");
    }
    assert!(cache.used() > 32 << 10, "{cache:?}");
    assert_eq!(cache.get_or_load(key(2, 0), || bytes(1 << 20)).unwrap().len(), 1 << 20);
    assert!(cache.used() <= cache.capacity());
}

#[test]
fn a_cache_without_room_still_answers() {
    let cache = Cache::new(0);
    for _ in 0..2 {
        assert_eq!(cache.get_or_load(key(1, 0), || bytes(5)).unwrap().len(), 5);
    }
    assert_eq!(cache.used(), 0);
}

#[test]
fn passing_through_keeps_nothing_and_removing_a_file_drops_only_that_file() {
    let cache = Cache::new(1 << 20);
    cache.get_or_pass(key(1, 0), || bytes(5)).unwrap();
    assert_eq!(cache.stats().entries, 0);
    for file in [1, 2] {
        for at in 0..10 {
            cache.insert(key(file, at), &Arc::new(Bytes::from_static(b"x")));
        }
    }
    cache.remove_file(1);
    assert_eq!(cache.stats().entries, 10);
    assert!(cache.get::<Bytes>(key(1, 3)).is_none());
    assert!(cache.get::<Bytes>(key(2, 3)).is_some());
    cache.remove(key(2, 3));
    assert!(cache.get::<Bytes>(key(2, 3)).is_none());
}

#[test]
fn many_threads_that_want_the_same_load_it_once() {
    let cache = Cache::new(1 << 20);
    let loads = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let got = cache.get_or_load(key(9, 9), || {
                    loads.fetch_add(1, Ordering::Relaxed);
                    std::thread::yield_now();
                    bytes(42)
                });
                assert_eq!(got.unwrap().len(), 42);
            });
        }
    });
    assert_eq!(loads.load(Ordering::Relaxed), 1);
}

#[test]
fn the_same_calls_leave_the_same_entries() {
    let run = || {
        let cache = Cache::new(32 << 10);
        for at in 0..500_u64 {
            cache.get_or_load(key(at % 7, at * 37 % 101), || bytes(300)).unwrap();
        }
        (0..7 * 101).filter(|n| cache.get::<Bytes>(key(n / 101, n % 101)).is_some()).collect::<Vec<_>>()
    };
    assert_eq!(run(), run());
}
