//! All that a store says of each revision, to be compared with what it says after a repair.

use std::collections::BTreeMap;
use std::path::Path;

use recension::model::{Annotation, Digest};
use recension::{ChangeKind, Content, Packing, Revision, Store, StoreBuilder};

/// Entity and number.
pub type Which = (Vec<u8>, u64);

/// What is said of one revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    pub sequence: u64,
    /// Parent, kind, times; flags but for the one that says that the content is withheld.
    pub skeleton: String,
    pub fields: String,
    pub content: String,
    pub slots: Vec<String>,
    /// Hidden and forgotten fields.
    pub masks: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    pub revisions: BTreeMap<Which, Told>,
    /// In commit order.
    pub order: Vec<Which>,
    pub annotations: Vec<Annotated>,
}

/// What an annotation says, and with which change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Annotated {
    pub sequence: u64,
    pub said: Annotation,
}

impl Annotated {
    /// Whether it is about a revision.
    pub fn is_about(&self, which: &Which) -> bool {
        let numbers = self.said.first..=self.said.last;
        self.said.entity.as_bytes() == which.0 && numbers.contains(&which.1)
    }
}

pub fn survey(builder: StoreBuilder) -> Survey {
    let store = builder.open().expect("a store that opens");
    let survey = of(&store);
    store.close().expect("closed");
    survey
}

pub fn survey_dir(dir: &Path) -> Survey {
    survey(Store::builder(dir).packing(Packing::WhenAsked))
}

fn of(store: &Store) -> Survey {
    let mut survey = Survey::default();
    for change in store.changes(0).expect("a feed") {
        let change = change.expect("a change");
        match change.kind {
            ChangeKind::Revision(revision) => {
                let which = (revision.entity().as_bytes().to_vec(), revision.number());
                // By the index as well as by the log.
                let indexed = store.revision(&which.0, which.1).expect("read").expect("in the index");
                assert_eq!(indexed.sequence(), revision.sequence(), "{which:?}");
                survey.order.push(which.clone());
                assert!(survey.revisions.insert(which, told(&indexed)).is_none(), "a number is given twice");
            }
            ChangeKind::Annotation(said) => {
                survey.annotations.push(Annotated { sequence: change.sequence, said });
            }
            _ => {}
        }
    }
    survey
}

fn told(revision: &Revision) -> Told {
    let withheld = recension::Flags::CONTENT_WITHHELD;
    let fields = revision.fields().expect("fields");
    let slots = revision.slots().expect("slots");
    let named = fields.clone();
    let named = recension::Fields { slots: Vec::new(), ..named };
    Told {
        sequence: revision.sequence(),
        skeleton: format!(
            "{:?}",
            (
                revision.parent(),
                revision.is_tombstone(),
                revision.commit_time(),
                revision.authored_time(),
                revision.effective_time(),
                revision.flags().0 & !withheld.0,
            )
        ),
        fields: format!("{named:?}"),
        content: said(&revision.content_unhidden().expect("content")),
        slots: slots
            .iter()
            .map(|(role, content)| format!("{}={}", role.escape_ascii(), said(content)))
            .collect(),
        masks: format!("{:?}", (revision.hidden(), revision.forgotten())),
    }
}

fn said(content: &Content) -> String {
    match content {
        Content::Present(bytes) => format!("{} B {}", bytes.len(), Digest::of(bytes)),
        other => format!("{other:?}"),
    }
}
