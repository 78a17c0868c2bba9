//! A batch in plain words: the model reads it, and a `Batch` is made of it.

use bytes::Bytes;
use recension::{Batch, Draft, Expect, FieldMask, Fields, Flags, Hiding, Timestamp};

/// One step.
#[derive(Clone, Debug)]
pub enum Step {
    Write { entity: Vec<u8>, expect: Expect, write: Write },
    Guard { entity: Vec<u8>, expect: Expect },
    Annotate { entity: Vec<u8>, show: bool, first: u64, last: u64, fields: FieldMask },
}

impl Step {
    pub fn entity(&self) -> &[u8] {
        match self {
            Self::Write { entity, .. } | Self::Guard { entity, .. } | Self::Annotate { entity, .. } => entity,
        }
    }
}

/// What becomes of the content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    Content(Bytes),
    Withheld,
    Tombstone,
    Revert(u64),
    Undelete,
}

/// A revision to be written.
#[derive(Clone, Debug)]
pub struct Write {
    pub body: Body,
    pub fields: Fields,
    pub slots: Vec<(Bytes, Option<Bytes>)>,
    pub flags: Flags,
    pub authored: Option<i64>,
    pub number: Option<u64>,
    pub parent: Option<u64>,
    pub if_changed: bool,
}

impl Write {
    pub fn new(body: Body) -> Self {
        Self {
            body,
            fields: Fields::default(),
            slots: Vec::new(),
            flags: Flags::default(),
            authored: None,
            number: None,
            parent: None,
            if_changed: false,
        }
    }

    pub fn draft(&self) -> Draft {
        let mut draft = match &self.body {
            Body::Content(content) => Draft::new(content.clone()),
            Body::Withheld => Draft::withheld(),
            Body::Tombstone => Draft::tombstone(),
            Body::Revert(number) => Draft::revert_to(*number),
            Body::Undelete => Draft::undelete(),
        };
        let fields = &self.fields;
        if let Some(author) = &fields.author {
            draft = draft.author(author.clone());
        }
        if let Some(comment) = &fields.comment {
            draft = draft.comment(comment.clone());
        }
        if let Some(content_type) = &fields.content_type {
            draft = draft.content_type(content_type.clone());
        }
        if let Some(version) = fields.schema_version {
            draft = draft.schema_version(version);
        }
        for tag in &fields.tags {
            draft = draft.tag(tag.clone());
        }
        if let Some(id) = fields.request_id {
            draft = draft.request_id(id);
        }
        if let Some(id) = fields.origin_id {
            draft = draft.origin_id(id);
        }
        // Given in the other order: names are sorted by the draft.
        for (name, value) in fields.attributes.iter().rev() {
            draft = draft.attribute(name.clone(), value.clone());
        }
        for (role, content) in &self.slots {
            draft = draft.slot(role.clone(), content.clone());
        }
        draft = draft.flags(self.flags);
        if let Some(time) = self.authored {
            draft = draft.authored(Timestamp(time));
        }
        if let Some(number) = self.number {
            draft = draft.number(number);
        }
        if let Some(parent) = self.parent {
            draft = draft.parent(parent);
        }
        if self.if_changed {
            draft = draft.if_changed();
        }
        draft
    }
}

/// A batch.
#[derive(Clone, Debug, Default)]
pub struct Spec {
    pub steps: Vec<Step>,
    pub request_id: Option<[u8; 16]>,
    pub as_run: bool,
}

impl Spec {
    pub fn of(step: Step) -> Self {
        Self { steps: vec![step], ..Self::default() }
    }

    /// The request id of a write of it.
    pub fn request_of(&self, write: &Write) -> Option<[u8; 16]> {
        write.fields.request_id.or(self.request_id)
    }

    pub fn batch(&self) -> recension::Result<Batch> {
        let mut batch = Batch::new();
        for step in &self.steps {
            batch = match step {
                Step::Write { entity, expect, write }
                    if write.body == Body::Tombstone && write.fields == Fields::default() =>
                {
                    // The shorthand, where it says the same.
                    match (write.number, write.authored, write.parent, write.flags, write.if_changed) {
                        (None, None, None, Flags(0), false) => batch.delete(entity, *expect)?,
                        _ => batch.put(entity, *expect, write.draft())?,
                    }
                }
                Step::Write { entity, expect, write } => batch.put(entity, *expect, write.draft())?,
                Step::Guard { entity, expect } => batch.require(entity, *expect)?,
                Step::Annotate { entity, show, first, last, fields } => {
                    let what = hiding(entity, *first, *last, *fields);
                    if *show { batch.show(what)? } else { batch.hide(what)? }
                }
            };
        }
        if let Some(id) = self.request_id {
            batch = batch.request_id(id);
        }
        if self.as_run {
            batch = batch.as_run();
        }
        Ok(batch)
    }
}

pub fn hiding(entity: &[u8], first: u64, last: u64, fields: FieldMask) -> Hiding {
    Hiding {
        entity: entity.to_vec(),
        first,
        last,
        fields,
        actor: "someone".into(),
        reason: format!("{first} to {last}"),
    }
}
