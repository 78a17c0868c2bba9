//! What is known about a revision besides its content, for people and for programs.

use recension::model::{RevisionKind, Row};
use recension::{Annotation, AnnotationKind, Entity, FieldMask, Fields, Flags, Revision, Timestamp};

use crate::args::Global;
use crate::convert::{MARK, compact};
use crate::entity::shown;
use crate::exit::Outcome;
use crate::formats::jsonl::timestamp;
use crate::output::{Object, size};
use crate::time;

/// A revision's metadata, wherever it came from.
pub struct Meta<'a> {
    pub entity: &'a Entity,
    pub number: u64,
    pub parent: u64,
    pub sequence: u64,
    pub commit_time: Timestamp,
    pub authored: Option<Timestamp>,
    pub effective: Timestamp,
    pub tombstone: bool,
    pub flags: Flags,
    pub len: Option<u32>,
    pub hidden: FieldMask,
    pub forgotten: FieldMask,
    pub fields: &'a Fields,
}

impl<'a> Meta<'a> {
    pub fn of(revision: &'a Revision) -> Outcome<Self> {
        Ok(Self {
            entity: revision.entity(),
            number: revision.number(),
            parent: revision.parent(),
            sequence: revision.sequence(),
            commit_time: revision.commit_time(),
            authored: revision.authored_time(),
            effective: revision.effective_time(),
            tombstone: revision.is_tombstone(),
            flags: revision.flags(),
            len: revision.content_len(),
            hidden: revision.hidden(),
            forgotten: revision.forgotten(),
            fields: revision.fields()?,
        })
    }

    /// Of a row of the log. `fields` are without what is hidden or forgotten.
    pub fn of_row(
        entity: &'a Entity,
        row: &Row,
        fields: &'a Fields,
        hidden: FieldMask,
        forgotten: FieldMask,
    ) -> Self {
        Self {
            entity,
            number: row.number,
            parent: row.parent,
            sequence: row.sequence,
            commit_time: Timestamp(row.commit_time),
            authored: row.authored_time.map(Timestamp),
            effective: Timestamp(row.effective_time),
            tombstone: row.kind == RevisionKind::Delete,
            flags: row.flags,
            len: row.content.map(|content| content.len),
            hidden,
            forgotten,
            fields,
        }
    }

    /// As an object: the keys of JSON lines, and those that only a store knows.
    pub fn object(&self) -> Object {
        let mut object = Object::new();
        object.entity(self.entity.as_bytes()).number("rev", self.number).number("parent", self.parent);
        object.number("sequence", self.sequence);
        let fields = self.fields;
        if let Some(id) = fields.origin_id {
            object.number("origin_id", id);
        }
        if let Some(time) = self.authored {
            object.raw("ts", &timestamp::format(time.as_micros()));
        }
        object.text("commit_time", &time::rfc3339(self.commit_time));
        object.text("effective_time", &time::rfc3339(self.effective));
        if let Some(author) = &fields.author {
            object.bytes("author", author);
        }
        object.flag("minor", self.flags.contains(Flags::MINOR)).flag("bot", self.flags.contains(Flags::BOT));
        object.flag("mass", self.flags.contains(Flags::MASS));
        if !fields.tags.is_empty() {
            let tags: Vec<_> = fields.tags.iter().map(|tag| String::from_utf8_lossy(tag)).collect();
            object.texts("tags", tags.iter().map(|tag| &**tag));
        }
        if let Some(comment) = &fields.comment {
            object.bytes("comment", comment);
        }
        if let Some(content_type) = &fields.content_type {
            object.bytes("type", content_type);
        }
        if let Some(version) = fields.schema_version {
            object.number("schema_version", version);
        }
        let attributes = self.attributes();
        if attributes.len() > 0 {
            object.object("attributes", &attributes.object);
        }
        if !fields.slots.is_empty() {
            let roles: Vec<_> = fields.slots.iter().map(|(role, _)| String::from_utf8_lossy(role)).collect();
            object.texts("slots", roles.iter().map(|role| &**role));
        }
        if let Some(len) = self.len {
            object.number("length", u64::from(len));
        }
        object.flag("deleted", self.tombstone).flag("withheld", self.withheld());
        if !self.hidden.is_empty() {
            object.texts("hidden", parts(self.hidden));
        }
        if !self.forgotten.is_empty() {
            object.texts("forgotten", parts(self.forgotten));
        }
        object
    }

    fn withheld(&self) -> bool {
        self.flags.contains(Flags::CONTENT_WITHHELD)
    }

    fn attributes(&self) -> AttributesObject {
        let mut out = AttributesObject::default();
        for (name, value) in self.fields.attributes.iter().filter(|(name, _)| name != MARK) {
            let name = String::from_utf8_lossy(name);
            out.count += 1;
            match compact(value) {
                Some(json) => out.object.raw(&name, &json),
                None => out.object.bytes(&name, value),
            };
        }
        out
    }

    /// The time to show: when it was made, as far as that is claimed.
    pub fn time(&self, global: &Global) -> String {
        time::shown(self.authored.unwrap_or(self.commit_time), global)
    }

    /// The author, or what became of that.
    pub fn author(&self) -> String {
        match &self.fields.author {
            _ if self.forgotten.contains(FieldMask::AUTHOR) => "(forgotten)".into(),
            _ if self.hidden.contains(FieldMask::AUTHOR) => "(hidden)".into(),
            Some(author) => shown(author),
            None if self.flags.contains(Flags::AUTHOR_WITHHELD) => "(withheld)".into(),
            None => String::new(),
        }
    }

    /// The comment, or what became of that.
    pub fn comment(&self) -> String {
        match &self.fields.comment {
            _ if self.forgotten.contains(FieldMask::COMMENT) => "(forgotten)".into(),
            _ if self.hidden.contains(FieldMask::COMMENT) => "(hidden)".into(),
            Some(comment) => shown(comment),
            None if self.flags.contains(Flags::COMMENT_WITHHELD) => "(withheld)".into(),
            None => String::new(),
        }
    }

    /// The size of the content, or why there is none.
    pub fn size(&self) -> String {
        match self.len {
            _ if self.tombstone => "deleted".into(),
            _ if self.forgotten.contains(FieldMask::CONTENT) => "forgotten".into(),
            _ if self.hidden.contains(FieldMask::CONTENT) => "hidden".into(),
            Some(len) => size(u64::from(len)),
            None => "withheld".into(),
        }
    }

    /// Flags as letters: m minor, b bot, M mass edit.
    pub fn letters(&self) -> String {
        let flags = [(Flags::MINOR, 'm'), (Flags::BOT, 'b'), (Flags::MASS, 'M')];
        flags.into_iter().filter(|(flag, _)| self.flags.contains(*flag)).map(|(_, letter)| letter).collect()
    }

    /// Names and values, for `get --meta`.
    pub fn properties(&self, global: &Global) -> Vec<(&'static str, String)> {
        let fields = self.fields;
        let mut rows = vec![
            ("entity", shown(self.entity.as_bytes())),
            ("revision", self.number.to_string()),
            ("parent", if self.parent == 0 { "none".into() } else { self.parent.to_string() }),
            ("sequence", self.sequence.to_string()),
            ("size", self.size()),
            ("committed", time::shown(self.commit_time, global)),
        ];
        let mut add = |name, value: String| {
            if !value.is_empty() {
                rows.push((name, value));
            }
        };
        add("authored", self.authored.map(|at| time::shown(at, global)).unwrap_or_default());
        add("effective", time::shown(self.effective, global));
        add("author", self.author());
        add("comment", self.comment());
        add("type", fields.content_type.as_deref().map(shown).unwrap_or_default());
        add("schema version", fields.schema_version.map(|n| n.to_string()).unwrap_or_default());
        add("origin id", fields.origin_id.map(|n| n.to_string()).unwrap_or_default());
        let flags = [(Flags::MINOR, "minor"), (Flags::BOT, "bot"), (Flags::MASS, "mass edit")];
        let set = flags.into_iter().filter(|(flag, _)| self.flags.contains(*flag)).map(|(_, name)| name);
        add("flags", set.collect::<Vec<_>>().join(", "));
        add("tags", fields.tags.iter().map(|tag| shown(tag)).collect::<Vec<_>>().join(", "));
        add("slots", fields.slots.iter().map(|(role, _)| shown(role)).collect::<Vec<_>>().join(", "));
        for (name, value) in fields.attributes.iter().filter(|(name, _)| name != MARK) {
            add("attribute", format!("{} = {}", shown(name), shown(value)));
        }
        add("hidden", parts(self.hidden).collect::<Vec<_>>().join(", "));
        add("forgotten", parts(self.forgotten).collect::<Vec<_>>().join(", "));
        rows
    }
}

#[derive(Default)]
struct AttributesObject {
    object: Object,
    count: usize,
}

impl AttributesObject {
    fn len(&self) -> usize {
        self.count
    }
}

/// The names of the parts in a mask.
pub fn parts(mask: FieldMask) -> impl Iterator<Item = &'static str> {
    let names = [
        (FieldMask::CONTENT, "content"),
        (FieldMask::COMMENT, "comment"),
        (FieldMask::AUTHOR, "author"),
        (FieldMask::ATTRIBUTES, "attributes"),
    ];
    names.into_iter().filter(move |(part, _)| mask.contains(*part)).map(|(_, name)| name)
}

/// An annotation as an object.
pub fn annotation_object(sequence: u64, commit_time: Timestamp, annotation: &Annotation) -> Object {
    let mut object = Object::new();
    match purged_hash(annotation) {
        Some(hash) => object.text("entity_hash", &hash),
        None => object.entity(annotation.entity.as_bytes()),
    };
    object.text("change", verb(annotation.kind)).number("sequence", sequence);
    object.text("commit_time", &time::rfc3339(commit_time));
    object.number("first", annotation.first).number("last", annotation.last);
    object.texts("fields", parts(annotation.fields));
    object.text("actor", &annotation.actor).text("reason", &annotation.reason);
    if let Some(erasure) = annotation.erasure {
        object.text("job", &format!("{:016x}", erasure.job)).flag("more", erasure.more);
    }
    object
}

/// A purge names a hash instead of the entity.
fn purged_hash(annotation: &Annotation) -> Option<String> {
    let name = annotation.entity.as_bytes().strip_prefix(recension::model::PURGED_PREFIX)?;
    let is_purge = annotation.kind == AnnotationKind::Purge;
    is_purge.then(|| name.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Whose revisions an annotation is about, for people.
pub fn whose(annotation: &Annotation) -> String {
    match purged_hash(annotation) {
        Some(hash) => format!("#{}", hash.get(..16).unwrap_or_default()),
        None => shown(annotation.entity.as_bytes()),
    }
}

/// What an annotation does.
pub fn verb(kind: AnnotationKind) -> &'static str {
    match kind {
        AnnotationKind::Hide => "hide",
        AnnotationKind::Show => "show",
        AnnotationKind::Forget => "forget",
        AnnotationKind::Purge => "purge",
        AnnotationKind::Retain => "retain",
        _ => "annotation",
    }
}

/// The revisions that an annotation is about: `3`, `3-5`, `3-`.
pub fn range(annotation: &Annotation) -> String {
    let (first, last) = (annotation.first, annotation.last);
    match last {
        _ if last == first => first.to_string(),
        recension::limits::REVISION_NUMBER_MAX => format!("{first}-"),
        _ => format!("{first}-{last}"),
    }
}
