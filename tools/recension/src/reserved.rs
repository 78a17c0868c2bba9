//! Names that the command line keeps for itself. See `docs/decisions/0002-import-progress.md`.
//!
//! | name | holds |
//! |---|---|
//! | `\0recension/import/HASH` | how far the import of the source with that hash has come |
//! | `\0recension/siteinfo` | what the last imported MediaWiki dump said of its wiki |
//!
//! They are entities like others, written in the commit that they speak of; `ls`, `export`, `changes` and `history` leave them out,
//! and no import or `put` writes to them. An argument cannot hold the zero byte anyway.

/// What all of them start with.
pub const PREFIX: &[u8] = b"\0recension/";
/// The wiki of the last MediaWiki dump.
pub const SITE_INFO: &[u8] = b"\0recension/siteinfo";

/// Why a record is refused.
pub const REFUSAL: &str = "names that start with a zero byte and `recension/` are kept for this program";

/// Whether a name is one of them.
pub fn is_reserved(entity: &[u8]) -> bool {
    entity.starts_with(PREFIX)
}

/// The progress of the import of a source.
pub fn progress(source_hash: &[u8; 32]) -> Vec<u8> {
    let mut name = PREFIX.to_vec();
    name.extend_from_slice(b"import/");
    for byte in source_hash.iter().take(16) {
        name.extend_from_slice(format!("{byte:02x}").as_bytes());
    }
    name
}
