//! A revision table, whatever is in it: described, opened, verified, looked up in and walked both ways.
#![no_main]

use std::path::Path;
use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use recension::cache::Cache;
use recension::env::Access;
use recension::index::table::{RevisionTable, TableAccess, VerifyHash, describe_table};
use recension::index::{EntityRange, Order, Source, entity_hash};
use recension::model::Bound;
use recension_fuzz::image;

fuzz_target!(|data: &[u8]| {
    let Some((name, bytes)) = image().edited(".tab", data) else { return };
    let machine = recension::sim::SimEnv::new(1);
    machine.fs.write_file(&name, &bytes).expect("room");
    let path = Path::new(&name);
    let open = || machine.env().fs.open(path, Access::Read).expect("the file");
    let Ok((header, info)) = describe_table(open(), path) else { return };
    let cache = Arc::new(Cache::new(1 << 20));
    let Ok(table) = RevisionTable::open(open(), path, &info, &header.store, cache, TableAccess::Read) else {
        return;
    };
    let _ = table.verify(VerifyHash::Skip, &mut |_| Ok(()));
    let _ = table.stats();
    for entity in [&b"a"[..], b"ab", b"b", b"Q\0x", b"\xff\xff", b"nobody"] {
        let hash = entity_hash(entity);
        let _ = table.may_contain(entity, hash);
        for bound in [
            Bound::ALL,
            Bound::at(20),
            Bound { number: 3, ..Bound::ALL },
            Bound { effective_time: 0, ..Bound::ALL },
        ] {
            let _ = table.find(entity, hash, &bound);
        }
    }
    for order in [Order::Ascending, Order::Descending] {
        for row in table.clone().rows(b"a", &Bound::ALL, order).take(500) {
            if row.is_err() {
                break;
            }
        }
        let mut cursor = table.clone().runs(&EntityRange::default(), order);
        let mut runs = 0;
        while let Ok(Some(_)) = cursor.next_run() {
            runs += 1;
            assert!(runs < 100_000, "a walk that does not end");
            let _ = cursor.find(&Bound::at(20));
            let mut rows = 0;
            while let Ok(Some(_)) = cursor.next_row() {
                rows += 1;
                assert!(rows < 100_000, "a run that does not end");
            }
        }
    }
});
