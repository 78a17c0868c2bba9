//! What is said of a table as a whole.
//!
//! ```text
//! (tag: varint, length: varint, value: length bytes)*     tags ascend
//!
//! 1 keyspace         varint        5 last entity or key   bytes
//! 2 rows             varint        6 smallest sequence    varint
//! 3 entities         varint        7 largest sequence     varint
//! 4 first entity     bytes
//! ```
//!
//! All of it also stands in the manifest; here it lets a table be understood alone, and lets the two be compared. Tags above 7
//! are a newer version's business and are passed over.

use bytes::Bytes;

use crate::codec::{Malformed, Reader, put_bytes, put_varint};

/// See the module's opening words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Properties {
    /// 0 revisions, 1 annotations, 16 and up views.
    pub keyspace: u16,
    /// Rows, or keys of a plain table.
    pub rows: u64,
    /// Entities; 0 in a plain table.
    pub entities: u64,
    /// Smallest entity or key.
    pub first: Bytes,
    /// Largest entity or key.
    pub last: Bytes,
    /// Smallest sequence number.
    pub sequence_first: u64,
    /// Largest sequence number.
    pub sequence_last: u64,
}

impl Properties {
    pub(in crate::index) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let number = |out: &mut Vec<u8>, tag: u64, n: u64| {
            let mut value = Vec::new();
            put_varint(&mut value, n);
            put_varint(out, tag);
            put_bytes(out, &value);
        };
        number(&mut out, 1, u64::from(self.keyspace));
        number(&mut out, 2, self.rows);
        number(&mut out, 3, self.entities);
        for (tag, key) in [(4, &self.first), (5, &self.last)] {
            put_varint(&mut out, tag);
            put_bytes(&mut out, key);
        }
        number(&mut out, 6, self.sequence_first);
        number(&mut out, 7, self.sequence_last);
        out
    }

    pub(in crate::index) fn decode(bytes: &Bytes) -> Result<Self, Malformed> {
        let mut properties = Self::default();
        let mut reader = Reader::new(bytes);
        let mut last = 0;
        while !reader.is_empty() {
            let tag = reader.varint("a property's tag")?;
            if tag <= last {
                return Err(reader.malformed("properties in ascending order"));
            }
            last = tag;
            let value = reader.prefixed(bytes.len(), "a property's value")?;
            let mut inner = Reader::new(value);
            let mut number = |max| {
                let n = inner.varint_max(max, "a number")?;
                inner.end("one number")?;
                Ok(n)
            };
            match tag {
                1 => properties.keyspace = number(u64::from(u16::MAX))? as u16,
                2 => properties.rows = number(u64::MAX)?,
                3 => properties.entities = number(u64::MAX)?,
                4 => properties.first = Bytes::copy_from_slice(value),
                5 => properties.last = Bytes::copy_from_slice(value),
                6 => properties.sequence_first = number(u64::MAX)?,
                7 => properties.sequence_last = number(u64::MAX)?,
                _ => {}
            }
        }
        Ok(properties)
    }
}
