//! What a power cut may leave of changes that were not synced.

use super::fault::Rate;
use super::rng::Prng;

/// The unit in which unsynced bytes survive or are lost, each for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grain {
    /// A write as it was made.
    Whole,
    /// 4 KiB of the file.
    Page,
    /// 512 bytes of the file.
    Sector,
    /// Within a sector any front or back part, by chance any set of bytes.
    Byte,
}

/// Which sets of changes of one file, or of one directory, may survive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The first ones, in the order they were made.
    Prefix,
    /// Any: a later one without an earlier one, an intermediate one without the last.
    Subset,
}

/// How the length of a file that grew survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LengthRule {
    /// As far as the data that survived.
    WithData,
    /// By itself: zeros where data was lost, or data lost because the length was.
    Apart,
}

/// What is where lost bytes were to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LostAs {
    /// What was there before.
    Old,
    /// That, or zeros.
    Zeros,
    /// That, zeros, or garbage.
    Garbage,
}

/// The rules of one crash. Whatever they are, a write never harms bytes outside its own range (powersafe overwrite), and what
/// was synced stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CrashPolicy {
    /// Unit of survival of data.
    pub grain: Grain,
    /// Order among the changes of a file.
    pub data: Order,
    /// Order among the changes of a directory.
    pub names: Order,
    /// How lengths survive.
    pub length: LengthRule,
    /// What lost bytes look like.
    pub lost_as: LostAs,
    /// Whether a rename may survive in half.
    pub split_renames: bool,
    /// How likely each piece survives, where the choice is drawn.
    pub keep: Rate,
}

impl CrashPolicy {
    /// Like a journalling file system with ordered data: of each file and directory the first changes survive.
    pub const LENIENT: Self = Self {
        grain: Grain::Page,
        data: Order::Prefix,
        names: Order::Prefix,
        length: LengthRule::WithData,
        lost_as: LostAs::Old,
        split_renames: false,
        keep: Rate::percent(50),
    };
    /// What POSIX allows, with 4 KiB written at once.
    pub const POSIX: Self =
        Self { data: Order::Subset, names: Order::Subset, length: LengthRule::Apart, ..Self::LENIENT };
    /// The same with sectors, and with zeros where something was lost.
    pub const STRICT: Self = Self { grain: Grain::Sector, lost_as: LostAs::Zeros, ..Self::POSIX };
    /// More than any disk does: any set of bytes, garbage, halves of renames.
    pub const PARANOID: Self =
        Self { grain: Grain::Byte, lost_as: LostAs::Garbage, split_renames: true, ..Self::STRICT };
    /// All that was not synced is gone.
    pub const NOTHING: Self = Self { keep: Rate::NEVER, ..Self::POSIX };
    /// All that was written is there.
    pub const EVERYTHING: Self = Self { keep: Rate::ALWAYS, ..Self::POSIX };

    /// The same with another likelihood of survival.
    #[must_use]
    pub const fn keep(mut self, keep: Rate) -> Self {
        self.keep = keep;
        self
    }

    /// One of the named policies or a mixture, with any likelihood of survival.
    #[must_use]
    pub fn draw(rng: &mut Prng) -> Self {
        let named = [Self::LENIENT, Self::POSIX, Self::STRICT, Self::PARANOID];
        let mut policy = *rng.pick(&named).unwrap_or(&Self::POSIX);
        if rng.one_in(4) {
            policy.grain =
                *rng.pick(&[Grain::Whole, Grain::Page, Grain::Sector, Grain::Byte]).unwrap_or(&policy.grain);
            policy.data = *rng.pick(&[Order::Prefix, Order::Subset]).unwrap_or(&policy.data);
            policy.names = *rng.pick(&[Order::Prefix, Order::Subset]).unwrap_or(&policy.names);
        }
        policy.keep(Rate::percent(*rng.pick(&[0, 5, 25, 50, 75, 95, 100]).unwrap_or(&50)))
    }
}

/// The choices that a crash leaves open, counted so that all images of a small one can be tried.
#[derive(Clone, Debug, Default)]
pub struct CrashSpace {
    /// One for each piece that may survive or not.
    pub choices: Vec<CrashChoice>,
}

/// A piece that may survive in several ways. 0 always means that it is lost, the highest number of a prefix, or 1 of a piece,
/// that it is kept.
#[derive(Clone, Debug)]
pub struct CrashChoice {
    /// What it is about, for people.
    pub what: String,
    /// How many ways there are.
    pub options: u32,
}

impl CrashSpace {
    /// How many combinations there are; `None` if more than fit.
    #[must_use]
    pub fn images(&self) -> Option<u64> {
        self.choices.iter().try_fold(1_u64, |n, choice| n.checked_mul(u64::from(choice.options)))
    }

    /// The `k`-th combination, to be given to [`super::SimFs::crash_with`].
    #[must_use]
    pub fn nth(&self, mut k: u64) -> Vec<u32> {
        let digit = |choice: &CrashChoice| {
            let options = u64::from(choice.options).max(1);
            let digit = k % options;
            k /= options;
            u32::try_from(digit).unwrap_or_default()
        };
        self.choices.iter().map(digit).collect()
    }
}
