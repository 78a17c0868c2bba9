//! Progress of long operations: a bar on a terminal, Ctrl-C everywhere.

use indicatif::{ProgressBar, ProgressStyle};
use recension::Progress;

use crate::exit::Outcome;
use crate::interrupt;

/// Runs a long operation of the library with a bar that says which step it is at.
pub fn with_bar<T>(work: impl FnOnce(&mut Progress<'_>) -> recension::Result<T>) -> Outcome<T> {
    interrupt::catch()?;
    // Draws to standard error, and only if that is a terminal.
    let bar = ProgressBar::new(0);
    let mut present = "";
    let mut callback = |step: &'static str, done: u64, of: u64| {
        if step != present {
            present = step;
            bar.set_style(style(of > 0));
            bar.set_message(step);
        }
        bar.set_length(of);
        bar.set_position(done);
        bar.tick();
        !interrupt::asked()
    };
    let result = work(&mut Progress::new(&mut callback));
    bar.finish_and_clear();
    Ok(result?)
}

fn style(known: bool) -> ProgressStyle {
    let template = if known { "{msg} {bar:30} {pos}/{len} {eta}" } else { "{msg} {spinner} {pos} {elapsed}" };
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
