//! The bounded explorer, as far as a test may take.

#[test]
fn every_crash_of_single_operations_leaves_a_store_that_comes_back() {
    let explored = crash::exhaustive::exhaustive(1, 4, 2, false);
    assert_eq!(explored.failures, []);
    assert!(explored.crashes > 200 && explored.images > 1000, "{explored:?}");
}
