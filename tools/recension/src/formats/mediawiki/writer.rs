//! The writer: records to MediaWiki XML, schema 0.11.

use std::collections::BTreeMap;
use std::io::{self, Write};

use super::xml::Xml;
use super::{PageHead, SiteInfo, escape};
use crate::formats::{Record, Refusal, WriteError};

const SCHEMA: &str = "http://www.mediawiki.org/xml/export-0.11";

/// Writes a dump: [`Writer::begin`], then records grouped by entity, ascending, then [`Writer::end`].
///
/// Ids in a dump are wiki-global; a revision's is its foreign id, else its number, so two entities that were never part of a
/// wiki may show the same ids.
pub struct Writer<W> {
    out: W,
    /// The page that comes next, until its first revision is written.
    head: Option<PageHead>,
    /// The entity whose page it is, if records say so.
    entity: Option<Vec<u8>>,
    open: bool,
    pages: u64,
    losses: BTreeMap<String, u64>,
}

impl<W: Write> Writer<W> {
    /// Writes the head of a dump onto an output, which should be buffered.
    ///
    /// # Errors
    /// The head has characters that XML cannot hold, or the output failed.
    pub fn begin(mut out: W, site: &SiteInfo) -> Result<Self, WriteError> {
        let mut xml = Xml::default();
        let lang = xml.checked("language", site.lang.as_deref().unwrap_or("en"))?.to_owned();
        xml.raw(&format!(
            "<mediawiki xmlns=\"{SCHEMA}/\" xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" \
             xsi:schemaLocation=\"{SCHEMA}/ {SCHEMA}.xsd\" version=\"0.11\" xml:lang=\""
        ));
        escape::attribute(&lang, &mut xml.0);
        xml.raw("\">\n");
        let elements = site.elements();
        if elements.iter().any(|(_, text)| text.is_some()) || !site.namespaces.is_empty() {
            xml.raw("  <siteinfo>\n");
            for (name, text) in elements {
                if let Some(text) = text {
                    xml.element(4, name, text)?;
                }
            }
            xml.raw("    <namespaces>\n");
            for ns in &site.namespaces {
                xml.raw("      <namespace");
                xml.attribute("key", &ns.key)?;
                xml.attribute("case", &ns.case)?;
                xml.close_with_text("namespace", &ns.name)?;
            }
            xml.raw("    </namespaces>\n  </siteinfo>\n");
        }
        out.write_all(&xml.0)?;
        Ok(Self { out, head: None, entity: None, open: false, pages: 0, losses: BTreeMap::new() })
    }

    /// Begins a page. Its head is written with its first revision, so a page without one does not appear.
    ///
    /// # Errors
    /// The output failed.
    pub fn page(&mut self, head: PageHead) -> Result<(), WriteError> {
        self.close_page()?;
        self.head = Some(head);
        self.entity = None;
        Ok(())
    }

    /// Writes a record as a revision of its entity's page, which it begins if it is not open. The page's head is as this first
    /// record tells it: for another one call [`Writer::page`] and [`Writer::revision`].
    ///
    /// # Errors
    /// XML cannot hold the record (nothing of it was written, the next one can be), or the output failed.
    pub fn record(&mut self, record: &Record) -> Result<(), WriteError> {
        if self.entity.as_deref() != Some(record.entity.as_slice()) {
            let head = PageHead::of(record).map_err(WriteError::Refused)?;
            self.page(head)?;
            self.entity = Some(record.entity.clone());
        }
        self.revision(record)
    }

    /// Writes a revision of the page that was begun.
    ///
    /// # Errors
    /// XML cannot hold the record (nothing of it was written, the next one can be), or the output failed.
    pub fn revision(&mut self, record: &Record) -> Result<(), WriteError> {
        let refuse = |mut refusal: Refusal| {
            (refusal.entity, refusal.rev) = (record.entity.clone(), record.rev);
            WriteError::Refused(refusal)
        };
        let mut xml = Xml::default();
        if let Some(head) = &self.head {
            xml.page(head, self.pages + 1).map_err(refuse)?;
        }
        let mut losses = Vec::new();
        xml.revision(record, &mut losses).map_err(refuse)?;
        self.out.write_all(&xml.0)?;
        if self.head.take().is_some() {
            self.pages += 1;
            self.open = true;
        }
        for loss in losses {
            *self.losses.entry(loss).or_default() += 1;
        }
        Ok(())
    }

    /// What XML did not hold of the revisions that were written: what, and of how many.
    pub fn losses(&self) -> &BTreeMap<String, u64> {
        &self.losses
    }

    /// Ends the dump.
    ///
    /// # Errors
    /// The output failed.
    pub fn end(mut self) -> io::Result<W> {
        self.close_page()?;
        self.out.write_all(b"</mediawiki>\n")?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn close_page(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.open) {
            self.out.write_all(b"  </page>\n")?;
        }
        Ok(())
    }
}
