//! Any bytes read as JSON lines give records, rejects or an error; a record that can be written reads back as it was.
#![no_main]

use libfuzzer_sys::fuzz_target;
use recension_cli::formats::jsonl::{self, Reader};
use recension_cli::formats::{Input, Options, Place, ReadError, RecordReader};

fuzz_target!(|data: &[u8]| {
    let options = Options {
        append: data.first().is_some_and(|byte| byte % 2 == 1),
        line_len_max: 1 << 16,
        ..Options::default()
    };
    let Ok(input) = Input::from_reader("fuzz", std::io::Cursor::new(data.to_vec()), None) else { return };
    let mut reader = Reader::new(input, options.clone());
    loop {
        match reader.next() {
            Ok(Some(record)) => {
                let mut line = Vec::new();
                if jsonl::line(&record, &mut line).is_ok() {
                    let again =
                        jsonl::parse_line(line.trim_ascii_end(), Place::start(&"fuzz".into()), &options)
                            .expect("a canonical line is read");
                    let mut second = Vec::new();
                    jsonl::line(&again, &mut second).expect("it was written once");
                    assert_eq!(line, second, "a canonical line is read and written back byte for byte");
                }
            }
            Ok(None) | Err(ReadError::Fatal(_)) => return,
            Err(ReadError::Reject(_)) => {}
        }
    }
});
