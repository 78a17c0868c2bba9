//! A plain table, whatever is in it: described, opened, verified, looked up in and walked both ways.
#![no_main]

use std::path::Path;
use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use recension::cache::Cache;
use recension::env::Access;
use recension::index::plain::PlainTable;
use recension::index::table::{TableAccess, VerifyHash, describe_table};
use recension::index::{EntityRange, Order};
use recension_fuzz::image;

fuzz_target!(|data: &[u8]| {
    let Some((name, bytes)) = image().edited(".kv", data) else { return };
    let machine = recension::sim::SimEnv::new(1);
    machine.fs.write_file(&name, &bytes).expect("room");
    let path = Path::new(&name);
    let open = || machine.env().fs.open(path, Access::Read).expect("the file");
    let Ok((header, info)) = describe_table(open(), path) else { return };
    let cache = Arc::new(Cache::new(1 << 20));
    let Ok(table) = PlainTable::open(open(), path, &info, &header.store, cache, TableAccess::Read) else {
        return;
    };
    let _ = table.verify(VerifyHash::Skip, None, &mut |_| Ok(()));
    for order in [Order::Ascending, Order::Descending] {
        for entry in table.clone().range(&EntityRange::default(), order).take(1000) {
            let Ok((key, _)) = entry else { break };
            let _ = table.get(&key, None);
        }
    }
});
