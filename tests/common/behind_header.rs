//! What of a file of a store does not depend on which file it is.

/// The bytes behind a file's header, without what says there again which file it is: the checksums of a table's blocks cover the number of its file; the trailer of a
/// pack has its generation and the checksum of the last frame of the log that became it (a promise may stand behind the last change, or not), under a checksum. All
/// other bytes are compared, those that the checksums stand for among them.
pub fn behind_header(name: &str, mut bytes: Vec<u8>) -> Vec<u8> {
    let word = |bytes: &[u8], at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
    let mut bytes = bytes.split_off(word(&bytes, 12));
    if !name.ends_with(".pack") {
        // Frames of 24 bytes and what they hold, and a footer of 64.
        let mut at = 0;
        while at < bytes.len() - 64 {
            bytes[at + 16..at + 20].fill(0);
            at += 24 + word(&bytes, at + 4);
        }
        assert_eq!(at, bytes.len() - 64, "{name}");
        bytes[at + 60..].fill(0);
    } else {
        // The last words of a trailer: generation, version of the compressor, the log's last checksum, level, checksum of the tail, checksum.
        let end = bytes.len();
        for back in [24, 16, 4] {
            bytes[end - back..end - back + 4].fill(0);
        }
    }
    bytes
}
