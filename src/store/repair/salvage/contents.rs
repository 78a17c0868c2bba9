//! Contents that prove themselves, wherever they are.

use bytes::Bytes;

use super::{Entry, GROUPS_KEPT, Salvage};
use crate::env::read_at_most;
use crate::error::IoContext;
use crate::log::{Locator, UnitHeader};
use crate::model::Address;
use crate::pack::read_group;
use crate::{Error, Result};

impl Salvage {
    /// A content, if it is what was written.
    pub fn content(&mut self, entry: &Entry, address: Address) -> Result<Option<Bytes>> {
        let own = self.files.get(entry.file);
        if let Some(locator) = own.and_then(|file| file.units.get(&address).copied())
            && let Some(raw) = self.unit(entry.file, locator)?
        {
            return Ok(Some(raw));
        }
        // Where only the index or a directory has the change, any file may have the content.
        for file in 0..self.files.len() {
            let Some(place) = self.files.get(file).and_then(|file| file.groups.get(&address).copied()) else {
                continue;
            };
            if let Some(raw) = self.member(file, place.0, address)? {
                return Ok(Some(raw));
            }
        }
        if let Some((file, locator)) = self.strays.get(&address).copied() {
            return self.unit(file, locator);
        }
        let other = self.files.iter().position(|file| file.units.contains_key(&address));
        let other = other.filter(|other| *other != entry.file);
        match other.and_then(|other| Some((other, *self.files.get(other)?.units.get(&address)?))) {
            Some((file, locator)) => self.unit(file, locator),
            None => Ok(None),
        }
    }

    fn unit(&self, file: usize, locator: Locator) -> Result<Option<Bytes>> {
        let Some(source) = self.files.get(file) else { return Ok(None) };
        let mut bytes = vec![0; locator.len as usize];
        let n = read_at_most(&*source.file, &mut bytes, locator.offset).context("read", &source.path)?;
        bytes.truncate(n);
        Ok(UnitHeader::open(&Bytes::from(bytes), locator.address).ok())
    }

    fn member(&mut self, file: usize, at: u64, address: Address) -> Result<Option<Bytes>> {
        let key = (file, at);
        if !self.group_cache.iter().any(|(held, _)| *held == key) {
            let Some(source) = self.files.get(file) else { return Ok(None) };
            let members = match read_group(&*source.file, &source.path, at, source.salt) {
                Ok(members) => members,
                Err(Error::Corrupt(_)) => Vec::new(),
                Err(error) => return Err(error),
            };
            self.group_cache.push_back((key, members));
            if self.group_cache.len() > GROUPS_KEPT {
                self.group_cache.pop_front();
            }
        }
        let members = self.group_cache.iter().find(|(held, _)| *held == key).map(|(_, members)| members);
        Ok(members.and_then(|members| members.iter().find(|(member, _)| *member == address)?.1.clone()))
    }
}
