//! Any bytes read as a MediaWiki dump give records, rejects or an error, and reading ends.
#![no_main]

use libfuzzer_sys::fuzz_target;
use recension_cli::formats::mediawiki::{Key, Reader};
use recension_cli::formats::{Input, Options, ReadError, RecordReader};

const HEAD: &str = "<mediawiki version=\"0.11\"><siteinfo><sitename>w</sitename></siteinfo><page><title>T</title><ns>0</ns><id>1</id>";

fuzz_target!(|data: &[u8]| {
    let Some((which, rest)) = data.split_first() else { return };
    let text = match which % 2 {
        0 => rest.to_vec(),
        _ => [HEAD.as_bytes(), rest].concat(),
    };
    let key = if which & 2 == 0 { Key::Title } else { Key::PageId };
    let options = Options { key, content_len_max: 1 << 16, ..Options::default() };
    let Ok(input) = Input::from_reader("fuzz", std::io::Cursor::new(text), None) else { return };
    let mut reader = Reader::new(input, options);
    loop {
        match reader.next() {
            Ok(Some(_)) | Err(ReadError::Reject(_)) => {}
            Ok(None) | Err(ReadError::Fatal(_)) => return,
        }
    }
});
