//! A filter of any bytes decodes to an error or to something that can be asked.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use recension::index::filter::{Filter, Fingerprint, encode_filter};

fuzz_target!(|data: &[u8]| {
    let Some((which, rest)) = data.split_first() else { return };
    let bytes = match which % 3 {
        0 => rest.to_vec(),
        _ => {
            let hashes: Vec<u64> =
                (0..u64::from(*which)).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect();
            let width = if which % 3 == 1 { Fingerprint::Narrow } else { Fingerprint::Wide };
            let mut bytes = encode_filter(hashes.clone(), width);
            let filter = Filter::decode(&Bytes::from(bytes.clone())).expect("what was encoded");
            assert!(hashes.iter().all(|hash| filter.contains(*hash)));
            recension_fuzz::edit(&mut bytes, rest);
            bytes
        }
    };
    if let Ok(filter) = Filter::decode(&Bytes::from(bytes)) {
        for n in 0..64_u64 {
            filter.contains(n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        }
    }
});
