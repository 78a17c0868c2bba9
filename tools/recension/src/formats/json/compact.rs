//! A value as its compact source token.

use super::DEPTH_MAX;
use super::scanner::{JsonError, Scanner};

impl Scanner<'_> {
    /// Reads any value; gives its source without the white space between tokens.
    ///
    /// # Errors
    /// It is not JSON, an object in it has a key twice, or it is nested too deeply.
    pub fn compact(&mut self) -> Result<Box<str>, JsonError> {
        let mut out = String::new();
        self.compact_into(&mut out, 0)?;
        Ok(out.into_boxed_str())
    }

    fn compact_into(&mut self, out: &mut String, depth: u32) -> Result<(), JsonError> {
        if depth > DEPTH_MAX {
            return Err(self.too_deep());
        }
        match self.peek() {
            Some(b'"') => out.push_str(self.skip_string()?),
            Some(b'{') => self.compact_object(out, depth)?,
            Some(b'[') => {
                self.expect(b'[')?;
                out.push('[');
                let (mut first, mut comma) = (true, "");
                while self.next_element(&mut first)? {
                    out.push_str(comma);
                    comma = ",";
                    self.compact_into(out, depth + 1)?;
                }
                out.push(']');
            }
            _ => out.push_str(self.scalar()?),
        }
        Ok(())
    }

    fn compact_object(&mut self, out: &mut String, depth: u32) -> Result<(), JsonError> {
        self.expect(b'{')?;
        out.push('{');
        let mut keys = Vec::new();
        let (mut first, mut comma) = (true, "");
        while let Some((key, at)) = self.next_key(&mut first)? {
            out.push_str(comma);
            comma = ",";
            out.push_str(self.string_at(at)?);
            out.push(':');
            keys.push((key, at));
            self.compact_into(out, depth + 1)?;
        }
        out.push('}');
        match duplicate(&mut keys) {
            None => Ok(()),
            Some((key, at)) => {
                Err(JsonError { at, reason: format!("the key {key:?} stands here twice").into() })
            }
        }
    }
}

/// The first key that stands twice, with the place of its second appearance.
pub(in crate::formats) fn duplicate<K: Ord + AsRef<str>>(keys: &mut [(K, usize)]) -> Option<(String, usize)> {
    keys.sort_unstable();
    let twice = keys.windows(2).filter_map(|pair| match pair {
        [(a, _), (b, at)] if a == b => Some((b.as_ref().to_owned(), *at)),
        _ => None,
    });
    twice.min_by_key(|(_, at)| *at)
}
