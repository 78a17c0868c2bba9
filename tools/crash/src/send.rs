//! From a script's relative words to what is really sent.

use bytes::Bytes;
use recension::{AnnotationKind, Batch, Draft, Expect, FieldMask, Flags, HeadState, Hiding, Timestamp};

use crate::model::{Model, Rev};
use crate::predict::{Body, Sent, SentBatch, SentWhat, SentWrite};
use crate::script::{Edit, Put, Want, What, Write, content, entity};

/// 2024-01-01 UTC, µs: where the simulated clock starts.
pub const START_US: i64 = 1_704_067_200_000_000;

pub fn request_id(n: u8) -> [u8; 16] {
    [n.wrapping_add(1); 16]
}

/// Fills in numbers from what was submitted so far.
pub fn batch(write: &Write, model: &Model) -> SentBatch {
    SentBatch {
        changes: write.edits.iter().map(|edit| sent(edit, model)).collect(),
        request: write.request.map(request_id),
        run: write.run,
        sync: write.sync,
    }
}

pub fn sent(edit: &Edit, model: &Model) -> Sent {
    let name = entity(edit.entity);
    let number = model.head_state(&name).number();
    let expect = expected(edit.expect, &name, model);
    let range = |back: u8, open: bool| {
        let first = number.saturating_sub(u64::from(back)).max(1);
        (first, if open { recension::limits::REVISION_NUMBER_MAX } else { number.max(first) })
    };
    let what = match &edit.what {
        What::Put(put) => SentWhat::Write(put_of(put, number)),
        What::Withheld => write(Body::Withheld, blank(Flags::CONTENT_WITHHELD.0), None, false),
        What::Delete => write(Body::Tombstone, blank(0), None, false),
        What::Undelete => write(Body::Undelete, blank(0), None, false),
        What::Revert { back, if_changed } => {
            let revs = model.standing(&name);
            let at = revs.len().checked_sub(usize::from(*back) + 1);
            let number = at.and_then(|at| revs.get(at)).map_or(1_000_007, |rev| rev.number);
            write(Body::Revert(number), blank(0), None, *if_changed)
        }
        What::Hide { back, open, fields } => {
            let (first, last) = range(*back, *open);
            SentWhat::Note { kind: AnnotationKind::Hide, first, last, fields: FieldMask(*fields) }
        }
        What::Show { back, open, fields } => {
            let (first, last) = range(*back, *open);
            SentWhat::Note { kind: AnnotationKind::Show, first, last, fields: FieldMask(*fields) }
        }
        What::Require => SentWhat::Require,
    };
    Sent { entity: name, expect, what }
}

/// What a write expects, in numbers.
pub fn expected(want: Want, name: &Bytes, model: &Model) -> Expect {
    let state = model.head_state(name);
    match want {
        Want::Absent => Expect::Absent,
        Want::Any => Expect::Any,
        Want::Current if state == HeadState::Absent => Expect::Absent,
        Want::Current => Expect::Head(state.number()),
        Want::Stale => Expect::Head(state.number().saturating_sub(1)),
        Want::Future => Expect::Head(state.number() + 1),
    }
}

fn write(body: Body, rev: Rev, number: Option<u64>, if_changed: bool) -> SentWhat {
    SentWhat::Write(SentWrite { body, rev, number, if_changed })
}

fn blank(flags: u16) -> Rev {
    Rev {
        number: 0,
        parent: 0,
        sequence: 0,
        rest: 0,
        tombstone: false,
        flags,
        authored: None,
        content: None,
        address: None,
        slots: Vec::new(),
        author: None,
        comment: None,
        content_type: None,
        tags: Vec::new(),
        attributes: Vec::new(),
        origin_id: None,
        request: None,
    }
}

fn put_of(put: &Put, head: u64) -> SentWrite {
    let id = put.id;
    let text = |what: &str| Bytes::from(format!("{what} {id}"));
    let has = |bit: u8| put.meta & bit != 0;
    let mut rev = blank(if has(32) { Flags::MINOR.0 } else { 0 });
    rev.authored = put.authored.map(|by| START_US + by);
    rev.author = has(1).then(|| text("author"));
    rev.comment = if has(128) { Some(Bytes::new()) } else { has(2).then(|| text("comment")) };
    if has(4) {
        rev.tags = vec![text("tag"), Bytes::from_static(b"second")];
    }
    if has(8) {
        rev.attributes =
            vec![(Bytes::from_static(b"a"), text("value")), (Bytes::from_static(b"b"), Bytes::new())];
    }
    rev.content_type = has(16).then(|| Bytes::from_static(b"text/x-wiki"));
    rev.origin_id = has(64).then_some(u64::from(id) + 1_000_000);
    for slot in 0..put.slots {
        let bytes = (slot != 1).then(|| content(id + 500_000 + u32::from(slot), 40 + u32::from(slot) * 100));
        rev.slots.push((Bytes::from(format!("slot{slot}")), bytes));
    }
    SentWrite {
        body: Body::Content(content(id, put.len)),
        rev,
        number: (put.gap > 0).then(|| head + 1 + u64::from(put.gap)),
        if_changed: put.if_changed,
    }
}

fn draft(write: &SentWrite) -> Draft {
    let rev = &write.rev;
    let mut draft = match &write.body {
        Body::Content(content) => Draft::new(content.clone()),
        Body::Withheld => Draft::withheld(),
        Body::Tombstone => Draft::tombstone(),
        Body::Revert(number) => Draft::revert_to(*number),
        Body::Undelete => Draft::undelete(),
    };
    if let Some(author) = &rev.author {
        draft = draft.author(author.clone());
    }
    if let Some(comment) = &rev.comment {
        draft = draft.comment(comment.clone());
    }
    if let Some(content_type) = &rev.content_type {
        draft = draft.content_type(content_type.clone());
    }
    for tag in &rev.tags {
        draft = draft.tag(tag.clone());
    }
    for (name, value) in &rev.attributes {
        draft = draft.attribute(name.clone(), value.clone());
    }
    for (role, content) in &rev.slots {
        draft = draft.slot(role.clone(), content.clone());
    }
    if let Some(id) = rev.origin_id {
        draft = draft.origin_id(id);
    }
    if let Some(authored) = rev.authored {
        draft = draft.authored(Timestamp(authored));
    }
    if let Some(number) = write.number {
        draft = draft.number(number);
    }
    if write.if_changed {
        draft = draft.if_changed();
    }
    draft.flags(Flags(rev.flags))
}

/// The call's own type.
pub fn real(batch: &SentBatch) -> recension::Result<Batch> {
    let mut out = Batch::new();
    for sent in &batch.changes {
        out = match &sent.what {
            SentWhat::Write(write) => out.put(&sent.entity, sent.expect, draft(write))?,
            SentWhat::Require | SentWhat::Read(_) | SentWhat::Purge => {
                out.require(&sent.entity, sent.expect)?
            }
            SentWhat::Note { kind, first, last, fields } => {
                let what = Hiding {
                    entity: sent.entity.to_vec(),
                    first: *first,
                    // As the documentation says it.
                    last: if *last == recension::limits::REVISION_NUMBER_MAX { u64::MAX } else { *last },
                    fields: *fields,
                    actor: "crash".into(),
                    reason: first.to_string(),
                };
                match kind {
                    AnnotationKind::Hide => out.hide(what)?,
                    _ => out.show(what)?,
                }
            }
        };
    }
    if batch.run {
        out = out.as_run();
    }
    Ok(match batch.request {
        Some(id) => out.request_id(id),
        None => out,
    })
}

/// What a transaction puts.
pub fn put_into(transaction: &mut recension::Transaction, sent: &Sent) -> recension::Result<()> {
    match &sent.what {
        SentWhat::Write(write) => transaction.put(&sent.entity, draft(write)),
        _ => Ok(()),
    }
}
