//! Objects of an array that is not one entity a line, found by their braces.
//!
//! Only strings, brackets and line starts are looked at; whether an object is JSON is decided once it is whole. A line end
//! inside a string, or an object longer than allowed, ends the object as damaged.

/// Looks for the end of an object, byte by byte, across reads.
#[derive(Debug, Default)]
pub(super) struct Braces {
    depth: u32,
    in_string: bool,
    escaped: bool,
}

/// Where an object ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Not in these bytes.
    Open,
    /// After so many bytes.
    End(usize),
    /// It is damaged; the damage was seen after so many bytes.
    Damaged(usize),
}

impl Braces {
    /// Takes the next bytes of an object, of which the first byte of all is its `{`.
    pub fn feed(&mut self, bytes: &[u8]) -> Found {
        for (i, &byte) in bytes.iter().enumerate() {
            if self.in_string {
                match byte {
                    _ if self.escaped => self.escaped = false,
                    b'\\' => self.escaped = true,
                    b'"' => self.in_string = false,
                    b'\n' => return Found::Damaged(i),
                    _ => {}
                }
                continue;
            }
            match byte {
                b'"' => self.in_string = true,
                b'{' | b'[' => self.depth = self.depth.saturating_add(1),
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth == 0 {
                        return Found::End(i + 1);
                    }
                }
                _ => {}
            }
        }
        Found::Open
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_ends_with_its_own_brace_wherever_reads_are_split() {
        let text = br#"{"a":"}\"]\\","b":[{"c":"{"}]},{"#;
        for split in 0..text.len() - 2 {
            let mut braces = Braces::default();
            let (front, back) = text.split_at(split);
            let end = match braces.feed(front) {
                Found::Open => braces.feed(back),
                found => panic!("{found:?}"),
            };
            assert_eq!(end, Found::End(text.len() - 2 - split));
        }
    }

    #[test]
    fn a_line_end_in_a_string_is_damage() {
        assert_eq!(Braces::default().feed(b"{\"a\n\":1}"), Found::Damaged(3));
    }
}
