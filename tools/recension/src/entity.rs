//! Names of entities and other bytes, from the command line and for people.

use std::ffi::OsStr;

use recension::Entity;

use crate::exit::{Failure, Outcome};
use crate::reserved;

/// An entity's name as an argument: its bytes, whatever they are.
pub fn from_arg(arg: &OsStr) -> Outcome<Entity> {
    let entity = Entity::new(arg.as_encoded_bytes()).map_err(|error| Failure::Usage(error.to_string()))?;
    if reserved::is_reserved(entity.as_bytes()) {
        return Err(Failure::Usage(reserved::REFUSAL.into()));
    }
    Ok(entity)
}

/// Bytes for people: control characters, which a terminal could obey, are escaped; what is not UTF-8 is `0x…`.
pub fn shown(bytes: &[u8]) -> String {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return bytes.iter().fold("0x".to_owned(), |out, byte| out + &format!("{byte:02x}"));
    };
    if !text.chars().any(char::is_control) {
        return text.to_owned();
    }
    text.chars().fold(String::with_capacity(text.len() + 8), |mut out, c| {
        match c.is_control() {
            true => out.extend(c.escape_default()),
            false => out.push(c),
        }
        out
    })
}
