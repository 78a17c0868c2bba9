//! Frames of a segment, whatever is in them: found one by one and on the grid, and their records decoded.
#![no_main]

use std::path::Path;

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use recension::env::Access;
use recension::log::{FRAME_GRID, Found, FrameReader, SEGMENT_HEADER_LEN, StoredContent, Unit, UnitHeader};
use recension_fuzz::image;

/// What a unit gives must be as long as it says; of a group, each content for itself.
fn read(file: &[u8], content: &StoredContent) {
    let place = content.locator;
    let start = usize::try_from(place.offset).expect("inside the file");
    let Some(unit) = file.get(start..start.saturating_add(place.len as usize)) else { return };
    let unit = Bytes::copy_from_slice(unit);
    let _ = UnitHeader::open(&unit, place.address);
    let Ok(opened) = Unit::open(&unit) else { return };
    for member in &opened.members {
        if let Ok(raw) = UnitHeader::open(&unit, member.address) {
            assert_eq!(raw.len(), member.raw_len as usize);
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((_, bytes)) = image().edited(".seg", data) else { return };
    let machine = recension::sim::SimEnv::new(1);
    machine.fs.write_file("/segment", &bytes).expect("room");
    let path = Path::new("/segment");
    let file = machine.env().fs.open(path, Access::Read).expect("the file");
    let end = bytes.len() as u64;
    let mut reader = FrameReader::new(file);
    let mut at = SEGMENT_HEADER_LEN as u64;
    while at < end {
        match reader.frame_at(path, at, end, None) {
            Ok(Found::Frame(frame)) => {
                assert!(frame.end() > at && frame.end() <= end);
                if let Ok(records) = frame.records(path) {
                    let _ = reader.contents_are_whole(path, &records, frame.end());
                    for content in records.iter().flat_map(|record| &record.contents) {
                        read(&bytes, content);
                    }
                }
                at = frame.end();
            }
            Ok(Found::Nothing { .. }) | Err(_) => at += FRAME_GRID as u64,
        }
    }
});
