//! Entity ids.

use std::borrow::Borrow;
use std::fmt;

use bytes::Bytes;

use crate::limits;
use crate::{Error, Result};

/// The id of an entity: 1 to 512 opaque bytes, compared bytewise.
///
/// Shown as text where it is UTF-8 without control characters, else as `0x…`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Entity(Bytes);

impl Entity {
    /// Checks the length.
    ///
    /// # Errors
    /// `Invalid` for 0 or more than 512 bytes.
    pub fn new(id: impl AsRef<[u8]>) -> Result<Self> {
        let id = id.as_ref();
        Self::check(id)?;
        Ok(Self(Bytes::copy_from_slice(id)))
    }

    /// The same without copying.
    ///
    /// # Errors
    /// `Invalid` for 0 or more than 512 bytes.
    pub fn from_bytes(id: Bytes) -> Result<Self> {
        Self::check(&id)?;
        Ok(Self(id))
    }

    /// A name that was made here and is within the limits: prefix and hash.
    pub(super) fn of_hash(name: Vec<u8>) -> Self {
        debug_assert!(Self::check(&name).is_ok(), "a prefix and a hash are a name");
        Self(Bytes::from(name))
    }

    fn check(id: &[u8]) -> Result<()> {
        if id.is_empty() || id.len() > limits::ENTITY_LEN_MAX {
            return Err(Error::invalid(format!(
                "an entity name has 1 to {} bytes, this one has {}",
                limits::ENTITY_LEN_MAX,
                id.len()
            )));
        }
        Ok(())
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes, shared.
    pub fn bytes(&self) -> &Bytes {
        &self.0
    }

    /// The id as text, if it is UTF-8.
    pub fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }
}

impl AsRef<[u8]> for Entity {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Borrow<[u8]> for Entity {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Entity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.as_str() {
            Some(text) if !text.chars().any(char::is_control) => f.write_str(text),
            _ => {
                f.write_str("0x")?;
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }
    }
}

impl fmt::Debug for Entity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}
