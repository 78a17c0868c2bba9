//! What `Debug` writes, as a tree.

use std::collections::BTreeMap;

#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Number(i128),
    /// A name, with what is in parentheses behind it; a tuple has no name.
    Call(String, Vec<Value>),
    Record(String, BTreeMap<String, Value>),
    List(Vec<Value>),
}

impl Value {
    /// Reads a whole line.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parser = Parser { rest: text };
        let value = parser.value()?;
        match parser.rest.trim() {
            "" => Ok(value),
            rest => Err(format!("expected the end of the line, found `{rest:.40}`")),
        }
    }

    pub fn name(&self) -> &str {
        match self {
            Self::Call(name, _) | Self::Record(name, _) => name,
            _ => "",
        }
    }
}

struct Parser<'a> {
    rest: &'a str,
}

impl Parser<'_> {
    fn eat(&mut self, what: char) -> bool {
        let rest = self.rest.trim_start();
        match rest.strip_prefix(what) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn expect(&mut self, what: char) -> Result<(), String> {
        match self.eat(what) {
            true => Ok(()),
            false => Err(format!("expected `{what}`, found `{:.40}`", self.rest)),
        }
    }

    /// A name or a number.
    fn word(&mut self) -> &str {
        let rest = self.rest.trim_start();
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_' && c != '-').unwrap_or(rest.len());
        let (word, rest) = rest.split_at(end);
        self.rest = rest;
        word
    }

    fn until(&mut self, close: char) -> Result<Vec<Value>, String> {
        let mut values = Vec::new();
        while !self.eat(close) {
            values.push(self.value()?);
            if !self.eat(',') {
                self.expect(close)?;
                break;
            }
        }
        Ok(values)
    }

    fn value(&mut self) -> Result<Value, String> {
        if self.eat('[') {
            return self.until(']').map(Value::List);
        }
        let word = self.word().to_owned();
        if let Ok(number) = word.parse() {
            return Ok(Value::Number(number));
        }
        if self.eat('(') {
            return Ok(Value::Call(word, self.until(')')?));
        }
        if word.is_empty() {
            return Err(format!("expected a value, found `{:.40}`", self.rest));
        }
        if !self.eat('{') {
            return Ok(Value::Call(word, Vec::new()));
        }
        let mut fields = BTreeMap::new();
        while !self.eat('}') {
            let field = self.word().to_owned();
            self.expect(':')?;
            fields.insert(field, self.value()?);
            if !self.eat(',') {
                self.expect('}')?;
                break;
            }
        }
        Ok(Value::Record(word, fields))
    }
}
