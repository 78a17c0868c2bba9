//! Aligned columns, a few hundred rows at a time, so that any number of rows can be printed as they come.

use crate::exit::Outcome;
use crate::output::Out;

/// Rows that are looked at together to find the widths.
const CHUNK: usize = 200;
/// A column is made no wider than this: a cell that is longer pushes its own row only.
const WIDTH_MAX: usize = 48;

/// How a column is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Text.
    Left,
    /// Numbers.
    Right,
}

/// A table. The last column is never padded, so it may be long.
pub struct Table {
    columns: Vec<(&'static str, Align)>,
    widths: Vec<usize>,
    rows: Vec<Vec<String>>,
    printed: bool,
}

impl Table {
    /// No rows yet; names of the columns and how they are set.
    pub fn new(columns: &[(&'static str, Align)]) -> Self {
        let widths = columns.iter().map(|(name, _)| name.chars().count()).collect();
        Self { columns: columns.to_vec(), widths, rows: Vec::new(), printed: false }
    }

    /// Adds a row.
    pub fn row(&mut self, out: &mut Out, cells: Vec<String>) -> Outcome {
        self.rows.push(cells);
        if self.rows.len() >= CHUNK { self.print(out) } else { Ok(()) }
    }

    /// Prints what is left; without any row nothing at all.
    pub fn end(mut self, out: &mut Out) -> Outcome {
        self.print(out)
    }

    /// Prints the rows so far: for output that is waited for.
    pub fn print(&mut self, out: &mut Out) -> Outcome {
        if self.rows.is_empty() {
            return Ok(());
        }
        for row in &self.rows {
            for (width, cell) in self.widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count().min(WIDTH_MAX));
            }
        }
        if !std::mem::replace(&mut self.printed, true) {
            let names: Vec<_> = self.columns.iter().map(|(name, _)| (*name).to_owned()).collect();
            self.line(out, &names, true)?;
        }
        for row in std::mem::take(&mut self.rows) {
            self.line(out, &row, false)?;
        }
        Ok(())
    }

    fn line(&self, out: &mut Out, cells: &[String], head: bool) -> Outcome {
        let mut text = String::new();
        let last = self.columns.len().saturating_sub(1);
        for (i, ((cell, (_, align)), width)) in cells.iter().zip(&self.columns).zip(&self.widths).enumerate()
        {
            if i > 0 {
                text.push_str("  ");
            }
            let padding = " ".repeat(width.saturating_sub(cell.chars().count()));
            match align {
                Align::Right => text.extend([padding.as_str(), cell]),
                Align::Left if i == last => text.push_str(cell),
                Align::Left => text.extend([cell, padding.as_str()]),
            }
        }
        let text = text.trim_end();
        match head && out.color() {
            true => out.line(&format!("\u{1b}[1m{text}\u{1b}[0m")),
            false => out.line(text),
        }
    }
}

/// Names and values below each other: for one thing with many properties.
pub fn properties(out: &mut Out, rows: &[(&str, String)]) -> Outcome {
    let width = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    for (name, value) in rows {
        let padding = " ".repeat(width - name.chars().count());
        out.line(&format!("{name}{padding}  {value}"))?;
    }
    Ok(())
}
