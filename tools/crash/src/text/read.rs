//! From the tree to the types of a script.

use recension::sim::{CrashPolicy, FaultKind, Grain, LengthRule, LostAs, Order, Rate};

use super::value::Value;
use crate::script::{
    At, By, Crash, CrashKind, Edit, End, Op, Options, Put, Sharing, Target, Want, What, Write,
};

pub trait Read: Sized {
    fn read(value: &Value) -> Result<Self, String>;
}

fn field<T: Read>(value: &Value, name: &str) -> Result<T, String> {
    match value {
        Value::Record(_, fields) => match fields.get(name) {
            Some(value) => T::read(value).map_err(|what| format!("{name}: {what}")),
            None => Err(format!("{} lacks `{name}`", value.name())),
        },
        _ => Err(format!("expected a record with `{name}`, found {value:?}")),
    }
}

fn inner<T: Read>(value: &Value, at: usize) -> Result<T, String> {
    match value {
        Value::Call(name, values) => match values.get(at) {
            Some(value) => T::read(value),
            None => Err(format!("`{name}` lacks a value")),
        },
        _ => Err(format!("expected a value in parentheses, found {value:?}")),
    }
}

macro_rules! numbers {
    ($($type:ty),*) => {$(
        impl Read for $type {
            fn read(value: &Value) -> Result<Self, String> {
                match value {
                    Value::Number(n) => Self::try_from(*n).map_err(|_| format!("{n} is out of range")),
                    other => Err(format!("expected a number, found {other:?}")),
                }
            }
        }
    )*};
}

numbers!(u8, u32, u64, i64);

impl Read for bool {
    fn read(value: &Value) -> Result<Self, String> {
        match value.name() {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(format!("expected `true` or `false`, found {value:?}")),
        }
    }
}

impl<T: Read> Read for Option<T> {
    fn read(value: &Value) -> Result<Self, String> {
        match value.name() {
            "None" => Ok(None),
            _ => inner(value, 0).map(Some),
        }
    }
}

impl<T: Read> Read for Vec<T> {
    fn read(value: &Value) -> Result<Self, String> {
        match value {
            Value::List(values) => values.iter().map(T::read).collect(),
            other => Err(format!("expected a list, found {other:?}")),
        }
    }
}

impl<A: Read, B: Read> Read for (A, B) {
    fn read(value: &Value) -> Result<Self, String> {
        Ok((inner(value, 0)?, inner(value, 1)?))
    }
}

macro_rules! records {
    ($($type:ident { $($field:ident),* })*) => {$(
        impl Read for $type {
            fn read(value: &Value) -> Result<Self, String> {
                Ok(Self { $($field: field(value, stringify!($field))?),* })
            }
        }
    )*};
}

/// Variants without values; with one in parentheses; with fields.
macro_rules! choices {
    ($($type:ident [$($unit:ident)*] [$($tuple:ident)*] [$($record:ident { $($field:ident),* })*])*) => {$(
        impl Read for $type {
            fn read(value: &Value) -> Result<Self, String> {
                match value.name() {
                    $(stringify!($unit) => Ok(Self::$unit),)*
                    $(stringify!($tuple) => inner(value, 0).map(Self::$tuple),)*
                    $(stringify!($record) => {
                        Ok(Self::$record { $($field: field(value, stringify!($field))?),* })
                    })*
                    other => Err(format!("`{other}` is no {}", stringify!($type))),
                }
            }
        }
    )*};
}

records! {
    Options { promise_us, map, size, jobs }
    Crash { at, kind }
    Write { edits, sync, request, run }
    Edit { entity, expect, what }
    Put { id, len, if_changed, meta, authored, gap, slots }
    CrashPolicy { grain, data, names, length, lost_as, split_renames, keep }
}

choices! {
    At [] [Change Sync] []
    CrashKind [Process] [Power] []
    End [Clean Drop] [Crash] []
    Want [Absent Any Current Stale Future] [] []
    Target [Any Segment Table Notes Manifest Pack Names Copies] [] []
    What [Withheld Delete Undelete Require] [Put] [
        Revert { back, if_changed }
        Hide { back, open, fields }
        Show { back, open, fields }
    ]
    Op [WaitAll WaitOne DropOne Sync Flush Checkpoint Reopen Verify Hold Evict ReadOnly Rebuild Anew Restore Stray]
        [Commit Submit Retry Jobs Advance ClockJump Read Feed Room Rot Follow Aim]
        [
            Transaction { reads, writes, between, sync }
            During { first, other }
            Compact { full, stop }
            Fault { kind, on, skip }
            Forget { entity, back, fields }
            ForgetAll { like, by, fields, sharing }
            Retain { keep, back, fields }
            Purge { entity, expect }
            Reclaim { stop }
        ]
    By [Author Digest] [] []
    Sharing [Refuse Include Leave] [] []
    Grain [Whole Page Sector Byte] [] []
    Order [Prefix Subset] [] []
    LengthRule [WithData Apart] [] []
    LostAs [Old Zeros Garbage] [] []
}

impl Read for Rate {
    fn read(value: &Value) -> Result<Self, String> {
        inner(value, 0).map(Self::per_million)
    }
}

impl Read for FaultKind {
    fn read(value: &Value) -> Result<Self, String> {
        let found = Self::ALL.iter().find(|kind| format!("{kind:?}") == value.name());
        found.copied().ok_or_else(|| format!("{value:?} is no kind of fault"))
    }
}
