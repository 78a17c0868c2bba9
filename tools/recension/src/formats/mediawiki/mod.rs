//! MediaWiki XML, export schema 0.3 to 0.11.
//!
//! ```text
//!  mediawiki          siteinfo?  (page | logitem)*
//!  page               title ns? id? redirect? restrictions? (revision | upload)*
//!  revision           id parentid? timestamp contributor minor? comment? origin? model? format? text content* sha1?
//!  content            role origin? model? format? text                                     (0.11: a further slot)
//! ```
//! What each becomes:
//!
//! | XML | record |
//! |---|---|
//! | title, or page id (see [`Key`]) | entity |
//! | revision id, parentid | `origin_id`, `origin_parent`: ids are wiki-global, numbers are the importer's |
//! | timestamp | `ts_us`; may go backwards inside a page |
//! | username or ip; `deleted` | author; withheld |
//! | minor, comment; `deleted` | the same; withheld. `<comment />` is empty, no element is absent |
//! | model | content type |
//! | text; `deleted` | body; withheld. `<text bytes="0" />` is empty, not deleted |
//! | `content` | a slot under its role; its model in `slot_types` |
//!
//! Everything else that an export needs to say the same again is kept as attributes, each only where it cannot be derived:
//!
//! | attribute | holds | left out if |
//! |---|---|---|
//! | `author_id` | the user id | there is none |
//! | `author_ip` | whether the author is an ip | this is what the name looks like (an address without a user id) |
//! | `bytes`, `sha1` | as written | the text is there and has this length and hash |
//! | `format` | format | it is the usual one of the model |
//! | `ns`, `page_id`, `redirect`, `restrictions` | of the page | 0, absent, absent, absent |
//! | `origin` | the revision that first had this text | it is this revision |
//! | `parent_id` | parentid | kept by the importer, if it cannot give the parent a number |
//! | `slot_info` | format, origin, bytes, sha1, stub of slots, by role | as above |
//! | `stub` | a stub dump's text id or address, or true | the text is there |
//! | `title` | the page's title | the entity is the title |
//!
//! Decisions:
//! - **A text whose `sha1` does not match is a reject** (the dump is damaged or was cut), if the hash is written like one. Not for
//!   models `wikibase-*`: MediaWiki hashes what it stores and exports old entities converted, so there the hash is kept as it
//!   was. A raw carriage return is a line feed by the rules of XML, unless only the raw text has the right hash.
//! - A revision of several slots has a hash over their hashes; it is kept, not verified.
//! - A text that is empty though `bytes` is above 0, or has an address (`id`, `location`), is a stub: withheld, not empty.
//!
//! Invariants:
//! 1. Memory does not depend on the length of a page's history nor on that of a text: what passes the content limit is a reject,
//!    and is not kept while it is passed over.
//! 2. Elements come in any order, unknown ones are passed over; only a page's title (or id, if that is the key) must stand before
//!    its revisions. The same page may come any number of times.
//! 3. A fault inside a revision is a reject; XML that is not well-formed, or ends early, is fatal with line and byte.
//! 4. What the writer gives is well-formed; what XML cannot hold is refused by name, never replaced.

mod attributes;
mod draft;
mod escape;
mod page;
mod reader;
mod site_info;
mod tags;
mod tap;
#[cfg(test)]
mod tests;
pub mod time;
mod writer;
mod xml;

pub use page::PageHead;
pub use reader::Reader;
pub use site_info::{Namespace, SiteInfo};
pub use writer::Writer;

/// What names the entity of a page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Key {
    /// Its title, as it stands in the dump.
    #[default]
    Title,
    /// Its page id in decimal; the title becomes an attribute.
    PageId,
}
