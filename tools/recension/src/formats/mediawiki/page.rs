//! The head of a page.

use super::attributes::{self, NS, PAGE_ID, REDIRECT, RESTRICTIONS, TITLE};
use crate::formats::{Record, Refusal};

/// What stands before a page's revisions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PageHead {
    /// Its title.
    pub title: String,
    /// Number of its namespace.
    pub ns: i64,
    /// Its id; `None`: the writer counts.
    pub id: Option<u64>,
    /// It is a redirect; to where, if that is told.
    pub redirect: Option<Option<String>>,
    /// Old-style protection.
    pub restrictions: Option<String>,
}

impl PageHead {
    /// As a record of the page tells it.
    ///
    /// # Errors
    /// The title is not text.
    pub fn of(record: &Record) -> Result<Self, Refusal> {
        let text = |name: &str| record.attribute(name).and_then(attributes::plain);
        let title = match text(TITLE) {
            Some(title) => title,
            None => String::from_utf8(record.entity.clone()).map_err(|_| Refusal {
                entity: record.entity.clone(),
                rev: record.rev,
                what: "a title in XML is text, and this name is not UTF-8".into(),
            })?,
        };
        Ok(Self {
            title,
            ns: record.attribute(NS).and_then(attributes::number).unwrap_or(0),
            id: record.attribute(PAGE_ID).and_then(|id| id.parse().ok()),
            redirect: record.attribute(REDIRECT).map(attributes::plain),
            restrictions: text(RESTRICTIONS),
        })
    }
}
