//! One revision, every field of it, and what may be given out of it now.

use super::*;

impl Oracle<'_> {
    /// A revision, every field of it.
    pub fn revision(&mut self, entity: &Bytes, revision: &Revision, rev: &Rev) -> Checked {
        let what = format!("revision {} of {}", rev.number, name(entity));
        let differ = |field: &str, found: String, wanted: String| {
            failure::<()>(
                "what was written is read bit for bit",
                format!("{what}: {field} is {found} instead of {wanted}"),
            )
        };
        macro_rules! same {
            ($field:literal, $found:expr, $wanted:expr) => {
                let (found, wanted) = ($found, $wanted);
                if found != wanted {
                    return differ($field, format!("{found:?}"), format!("{wanted:?}"));
                }
            };
        }
        same!("the entity", revision.entity().as_bytes(), &entity[..]);
        same!("the number", revision.number(), rev.number);
        same!("the parent", revision.parent(), rev.parent);
        same!("the sequence", revision.sequence(), rev.sequence);
        same!("the kind", revision.is_tombstone(), rev.tombstone);
        same!("the flags", revision.flags().0, rev.flags);
        same!("the authored time", revision.authored_time().map(|time| time.0), rev.authored);
        same!("the length", revision.content_len(), rev.content.as_ref().map(|content| content.len() as u32));
        same!("the address", revision.content_address().map(|a| (a.sequence, a.slot)), rev.address);
        let times = (revision.commit_time().0, revision.effective_time().0);
        match self.model.times.get(&rev.sequence) {
            Some(known) => {
                same!("the commit and effective time", times, *known);
            }
            None => {
                if let Some(effective) = self.model.effective(entity, rev, times.0) {
                    same!("the effective time", times.1, effective);
                }
                let before = self.model.times.range(..rev.sequence).next_back().map(|(_, times)| times.0);
                let behind = self.model.times.range(rev.sequence..).next().map(|(_, times)| times.0);
                if before.is_some_and(|before| before > times.0) || behind.is_some_and(|it| it < times.0) {
                    return failure(
                        "commit times never go back",
                        format!("{what}: {} between {before:?} and {behind:?}", times.0),
                    );
                }
                self.model.times.insert(rev.sequence, times);
            }
        }
        let (hidden, forgotten) = self.model.withheld(entity, rev.number, self.store.published());
        if revision.hidden() != hidden {
            return failure(
                "hidden is hidden",
                format!("{what}: hidden is {:?} instead of {hidden:?}", revision.hidden()),
            );
        }
        if revision.forgotten() != forgotten {
            return failure(
                "forgotten is forgotten",
                format!("{what}: forgotten is {:?} instead of {forgotten:?}", revision.forgotten()),
            );
        }
        let withheld = hidden.with(forgotten);
        let Some(fields) = self.take(&what, revision.fields().cloned())? else { return Ok(()) };
        let shown = |field: FieldMask, value: &Option<Bytes>| {
            if withheld.contains(field) { None } else { value.clone() }
        };
        same!("the author", fields.author, shown(FieldMask::AUTHOR, &rev.author));
        same!("the comment", fields.comment, shown(FieldMask::COMMENT, &rev.comment));
        same!("the content type", fields.content_type, rev.content_type.clone());
        same!("the request id", fields.request_id, rev.request);
        same!("the origin id", fields.origin_id, rev.origin_id);
        if withheld.contains(FieldMask::ATTRIBUTES) {
            same!("the tags", fields.tags.len(), 0);
            same!("the attributes", fields.attributes.len(), 0);
        } else {
            same!("the tags", &fields.tags, &rev.tags);
            same!("the attributes", &fields.attributes, &rev.attributes);
        }
        let gone = forgotten.contains(FieldMask::CONTENT);
        let wanted = match (&rev.content, rev.tombstone) {
            (_, false) if gone => Content::Forgotten,
            (Some(_), _) if hidden.contains(FieldMask::CONTENT) => Content::Hidden,
            (Some(content), _) => Content::Present(content.clone()),
            (None, true) => Content::Deleted,
            (None, false) => Content::Withheld,
        };
        let Some(content) = self.take(&what, revision.content())? else { return Ok(()) };
        same_content(&what, &content, &wanted)?;
        if let Some(content) = &rev.content {
            if let Some(found) = self.take(&what, revision.content_unhidden())? {
                let wanted = if gone { Content::Forgotten } else { Content::Present(content.clone()) };
                same_content(&what, &found, &wanted)?;
            }
            if let Some(digest) = self.take(&what, revision.digest())? {
                let shown = !withheld.contains(FieldMask::CONTENT);
                same!("the digest", digest, rev.digest().filter(|_| shown));
            }
        }
        if !rev.slots.is_empty() || !fields.slots.is_empty() {
            let Some(slots) = self.take(&what, revision.slots())? else { return Ok(()) };
            same!("the slots", slots.len(), rev.slots.len());
            for ((role, found), (wanted_role, wanted)) in slots.iter().zip(&rev.slots) {
                same!("a slot's role", role, wanted_role);
                let wanted = match wanted {
                    _ if gone => Content::Forgotten,
                    Some(_) if hidden.contains(FieldMask::CONTENT) => Content::Hidden,
                    Some(content) => Content::Present(content.clone()),
                    None => Content::Withheld,
                };
                same_content(&what, found, &wanted)?;
            }
        }
        Ok(())
    }

    pub(super) fn same_head(
        &mut self,
        what: &str,
        entity: &Bytes,
        head: &Head,
        rev: Option<&std::sync::Arc<Rev>>,
    ) -> Checked {
        match (head, rev) {
            (Head::Absent, None) if self.model.purged_now(entity).is_none() => Ok(()),
            (Head::Purged(last), None)
                if self.model.purged_now(entity).is_some_and(|purge| purge.last == *last) =>
            {
                Ok(())
            }
            (_, None) if self.model.purged_now(entity).is_some() => {
                failure("forgotten is forgotten", format!("{what}: {head:?} of a purged entity"))
            }
            (Head::Live(revision), Some(rev)) if !rev.tombstone => self.light(entity, revision, rev),
            (Head::Deleted(revision), Some(rev)) if rev.tombstone => self.light(entity, revision, rev),
            (found, wanted) => failure(
                "heads are right",
                format!(
                    "{what}: {found:?} instead of revision {:?}",
                    wanted.map(|rev| (rev.number, rev.sequence, rev.tombstone))
                ),
            ),
        }
    }

    /// A revision that was compared in full before.
    pub(super) fn light(&mut self, entity: &Bytes, revision: &Revision, rev: &Rev) -> Checked {
        if (revision.number(), revision.sequence()) != (rev.number, rev.sequence)
            || revision.entity().as_bytes() != &entity[..]
        {
            return failure(
                "heads are right",
                format!("{}: {revision:?} instead of ({}, {})", name(entity), rev.number, rev.sequence),
            );
        }
        let (hidden, forgotten) = self.model.withheld(entity, rev.number, self.store.published());
        if revision.hidden() != hidden {
            return failure("hidden is hidden", format!("{revision:?}: {:?}", revision.hidden()));
        }
        if revision.forgotten() != forgotten {
            return failure("forgotten is forgotten", format!("{revision:?}: {:?}", revision.forgotten()));
        }
        Ok(())
    }

    /// A revision that was found earlier: its content is what may be given out now.
    pub fn in_hand(&mut self, revision: &Revision) -> Checked {
        let entity = Bytes::copy_from_slice(revision.entity().as_bytes());
        let at = self.store.published();
        let what = format!("revision {} of {}, found earlier", revision.number(), name(&entity));
        let rev = self.model.at(&entity, at).iter().find(|rev| rev.sequence == revision.sequence()).cloned();
        let Some(rev) = rev else {
            // Purged since.
            return match self.take(&what, revision.content())? {
                Some(Content::Present(bytes)) => {
                    failure("forgotten is forgotten", format!("{what}: {} of a purged entity", short(&bytes)))
                }
                _ => Ok(()),
            };
        };
        let Some(content) = &rev.content else { return Ok(()) };
        let (hidden, forgotten) = self.model.withheld(&entity, rev.number, at);
        let wanted = match () {
            () if forgotten.contains(FieldMask::CONTENT) => Content::Forgotten,
            () if hidden.contains(FieldMask::CONTENT) => Content::Hidden,
            () => Content::Present(content.clone()),
        };
        match self.take(&what, revision.content())? {
            Some(found) => same_content(&what, &found, &wanted),
            None => Ok(()),
        }
    }
}

fn same_content(what: &str, found: &Content, wanted: &Content) -> Checked {
    if found == wanted {
        return Ok(());
    }
    let words = |content: &Content| match content {
        Content::Present(bytes) => short(bytes),
        other => format!("{other:?}"),
    };
    let oracle = match (wanted, found) {
        (Content::Hidden, Content::Present(_)) => "hidden is hidden",
        (Content::Forgotten, _) => "forgotten is forgotten",
        _ => "what was written is read bit for bit",
    };
    failure(oracle, format!("{what}: the content is {} instead of {}", words(found), words(wanted)))
}
