//! What a dump says of its wiki.

use serde_json::{Map, Value};

/// A namespace of a wiki.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Namespace {
    /// Its number.
    pub key: String,
    /// `first-letter` or `case-sensitive`.
    pub case: String,
    /// Its name; empty for the main one.
    pub name: String,
}

/// The head of a dump. Absent elements are `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SiteInfo {
    /// Schema version of the dump it was read from; an export is 0.11 whatever stands here.
    pub version: Option<String>,
    /// Language of the wiki.
    pub lang: Option<String>,
    /// Name of the wiki.
    pub site_name: Option<String>,
    /// Name of its database.
    pub db_name: Option<String>,
    /// Address of its main page.
    pub base: Option<String>,
    /// What wrote the dump.
    pub generator: Option<String>,
    /// `first-letter` or `case-sensitive`.
    pub case: Option<String>,
    /// Its namespaces in the order of the dump.
    pub namespaces: Vec<Namespace>,
}

impl SiteInfo {
    /// As compact JSON, to be kept with a store.
    pub fn to_json(&self) -> String {
        let mut map = Map::new();
        for (name, value) in self.fields() {
            if let Some(value) = value {
                map.insert(name.into(), value.clone().into());
            }
        }
        let namespaces = self.namespaces.iter().map(|ns| {
            Value::Array(vec![ns.key.clone().into(), ns.case.clone().into(), ns.name.clone().into()])
        });
        map.insert("namespaces".into(), namespaces.collect());
        Value::Object(map).to_string()
    }

    /// From what [`SiteInfo::to_json`] gave; `None` if it is something else.
    pub fn from_json(json: &str) -> Option<Self> {
        let map: Map<String, Value> = serde_json::from_str(json).ok()?;
        let text = |name: &str| map.get(name).and_then(Value::as_str).map(str::to_owned);
        let part = |ns: &Value, i: usize| Some(ns.get(i)?.as_str()?.to_owned());
        let namespaces = map.get("namespaces")?.as_array()?.iter();
        Some(Self {
            version: text("version"),
            lang: text("lang"),
            site_name: text("sitename"),
            db_name: text("dbname"),
            base: text("base"),
            generator: text("generator"),
            case: text("case"),
            namespaces: namespaces
                .map(|ns| Some(Namespace { key: part(ns, 0)?, case: part(ns, 1)?, name: part(ns, 2)? }))
                .collect::<Option<_>>()?,
        })
    }

    /// Itself; or, if it says nothing of a wiki, what is true of any store. The schema does without, readers of dumps (`mwxml` for one) do not.
    #[must_use]
    pub fn or_of_a_store(self) -> Self {
        if self.elements().iter().any(|(_, text)| text.is_some()) || !self.namespaces.is_empty() {
            return self;
        }
        let case = "case-sensitive".to_owned();
        let main = Namespace { key: "0".into(), case: case.clone(), name: String::new() };
        Self { generator: Some("Recension".into()), case: Some(case), namespaces: vec![main], ..self }
    }

    fn fields(&self) -> [(&'static str, &Option<String>); 7] {
        [
            ("version", &self.version),
            ("lang", &self.lang),
            ("sitename", &self.site_name),
            ("dbname", &self.db_name),
            ("base", &self.base),
            ("generator", &self.generator),
            ("case", &self.case),
        ]
    }

    /// The elements of `siteinfo`, in the schema's order.
    pub(super) fn elements(&self) -> [(&'static str, Option<&str>); 5] {
        [
            ("sitename", self.site_name.as_deref()),
            ("dbname", self.db_name.as_deref()),
            ("base", self.base.as_deref()),
            ("generator", self.generator.as_deref()),
            ("case", self.case.as_deref()),
        ]
    }

    /// The field for an element's name.
    pub(super) fn element_mut(&mut self, name: &str) -> Option<&mut Option<String>> {
        Some(match name {
            "sitename" => &mut self.site_name,
            "dbname" => &mut self.db_name,
            "base" => &mut self.base,
            "generator" => &mut self.generator,
            "case" => &mut self.case,
            _ => return None,
        })
    }

    /// The number of the namespace that a title begins with; 0 if it begins with none. For schemas without `<ns>`.
    pub(super) fn namespace_of(&self, title: &str) -> i64 {
        let Some((prefix, _)) = title.split_once(':') else { return 0 };
        let named = self.namespaces.iter().find(|ns| !ns.name.is_empty() && ns.name == prefix);
        named.and_then(|ns| ns.key.parse().ok()).unwrap_or(0)
    }
}
