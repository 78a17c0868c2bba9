//! Which elements mean something, and where.

/// An open element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tag {
    MediaWiki,
    SiteInfo,
    Namespaces,
    Page,
    Revision,
    Contributor,
    /// A further slot.
    Content,
    /// An element whose text counts, and what it belongs to.
    Leaf(Owner, Name),
    /// Of no concern, like everything in it.
    Unknown,
}

/// What a leaf belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    SiteInfo,
    Page,
    Revision,
    Slot,
}

/// Names of leaves, as they are written.
macro_rules! names {
    ($($variant:ident $text:literal)*) => {
        /// The name of a leaf.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Name { $($variant),* }

        impl Name {
            pub fn of(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$variant),)* _ => None }
            }

            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }
        }
    };
}

names! {
    Sitename "sitename" Database "dbname" Base "base" Generator "generator" Case "case" Namespace "namespace"
    Title "title" Ns "ns" Id "id" Redirect "redirect" Restrictions "restrictions"
    ParentId "parentid" Timestamp "timestamp" Minor "minor" Comment "comment" Origin "origin" Model "model"
    Format "format" Text "text" Sha1 "sha1" Role "role" Username "username" Ip "ip" UserId "user id"
}

/// What an element is, by its name and the one around it; `None` around the outermost.
pub(super) fn child(parent: Option<Tag>, name: &str) -> Tag {
    use Name::*;
    let leaf = |owner, allowed: &[Name]| match Name::of(name) {
        Some(name) if allowed.contains(&name) => Tag::Leaf(owner, name),
        _ => Tag::Unknown,
    };
    match (parent, name) {
        (None, "mediawiki") => Tag::MediaWiki,
        // Pages without the element around them: a piece cut out of a multistream dump.
        (None | Some(Tag::MediaWiki), "page") => Tag::Page,
        (None | Some(Tag::MediaWiki), "siteinfo") => Tag::SiteInfo,
        (Some(Tag::SiteInfo), "namespaces") => Tag::Namespaces,
        (Some(Tag::SiteInfo), _) => leaf(Owner::SiteInfo, &[Sitename, Database, Base, Generator, Case]),
        (Some(Tag::Namespaces), _) => leaf(Owner::SiteInfo, &[Namespace]),
        (Some(Tag::Page), "revision") => Tag::Revision,
        (Some(Tag::Page), _) => leaf(Owner::Page, &[Title, Ns, Id, Redirect, Restrictions]),
        (Some(Tag::Revision), "contributor") => Tag::Contributor,
        (Some(Tag::Revision), "content") => Tag::Content,
        (Some(Tag::Revision), _) => leaf(
            Owner::Revision,
            &[Id, ParentId, Timestamp, Minor, Comment, Origin, Model, Format, Text, Sha1],
        ),
        (Some(Tag::Contributor), "id") => Tag::Leaf(Owner::Revision, UserId),
        (Some(Tag::Contributor), _) => leaf(Owner::Revision, &[Username, Ip]),
        (Some(Tag::Content), _) => leaf(Owner::Slot, &[Role, Origin, Model, Format, Text]),
        _ => Tag::Unknown,
    }
}
