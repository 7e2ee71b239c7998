//! From a body to an object of its kind: unknown fields, wrong types, fields that are there twice.
//!
//! Does not judge values: that comes after, when the object has its name and its place.
//!
//! Source: endpoints/handlers/{create,update,patch}.go, apiextensions-apiserver
//! pkg/apiserver/customresource_handler.go @v0.36.3; the sentences are those of a real server.

use serde_json::Value;

use super::{
    State,
    names::not_registered,
    patch::Patch,
    typed::{self, Findings},
    write::{FieldValidation, Terms},
};
use crate::{
    kind::KindRow,
    refusal::{Refusal, RefusalCause},
};

/// Where a document comes from: it decides how it is refused.
pub(super) enum Source {
    /// The request's body is the object.
    Body,
    /// It is what a patch made, or the patch itself: as text.
    Patch(String),
}

// === impl Source ===

impl Source {
    fn refusal(&self, row: &KindRow, why: &str) -> Refusal {
        match self {
            Self::Body => {
                let (version, kind) = (&row.version, &row.kind);
                let message =
                    format!("{kind} in version \"{version}\" cannot be handled as a {kind}: {why}");
                Refusal::bad_request(message)
            }
            Self::Patch(text) => {
                let message = format!("Invalid value: {}: {why}", Value::from(text.as_str()));
                let cause = RefusalCause::new("FieldValueInvalid", message, "patch");
                Refusal::invalid("", "", "", vec![cause])
            }
        }
    }
}

// === impl State ===

impl State {
    /// A patch leaves the kind what it was. One that merges into a typed object cannot do otherwise.
    pub(super) fn check_patched_kind(
        &self,
        resource: usize,
        patch: Patch,
        document: &mut Value,
        source: &Source,
    ) -> Result<(), Refusal> {
        let row = self.kind(resource);
        if patch == Patch::Strategic {
            document["apiVersion"] = row.api_version().into();
            document["kind"] = row.kind.to_string().into();
        }
        if row.is_custom() {
            return self.check_kind(resource, document);
        }
        let text = |name: &str| document[name].as_str().unwrap_or_default();
        let (kind, version) = (text("kind"), text("apiVersion"));
        if kind == row.kind && version == row.api_version() {
            return Ok(());
        }
        Err(source.refusal(row, &not_registered(kind, version)))
    }

    /// Makes a document an object of its kind, with its defaults, and returns the warnings.
    pub(super) fn decode(
        &self,
        resource: usize,
        document: &mut Value,
        terms: &Terms<'_>,
        source: &Source,
    ) -> Result<Vec<String>, Refusal> {
        if !terms.is_strict() {
            return Ok(Vec::new());
        }
        let row = self.kind(resource);
        let mut findings = if row.is_custom() {
            typed::settle_metadata(document)
        } else {
            typed::settle(row, document, true)
        };
        if let Some(schema) = &row.schema {
            findings.unknown.extend(schema.unknown(document));
        }
        let refuse = |why: &str| source.refusal(row, why);
        if let Some(fault) = &findings.fault {
            return Err(refuse(fault));
        }
        let mut odd = odd_fields(terms.duplicates, &findings);
        match terms.fields {
            FieldValidation::Strict if !odd.is_empty() => {
                let why = format!("strict decoding error: {}", odd.join(", "));
                return Err(refuse(&why));
            }
            FieldValidation::Ignore => odd.clear(),
            FieldValidation::Strict | FieldValidation::Warn => {}
        }
        let spec = &document["spec"];
        let is_headless = row.is("", "Service") && spec["clusterIP"] == "None";
        if is_headless && spec["sessionAffinity"] == "ClientIP" {
            odd.push("spec.SessionAffinity is ignored for headless services".to_owned());
        }
        Ok(odd)
    }
}

/// What is said of fields that there are not, or that are there twice.
fn odd_fields(duplicates: &[String], findings: &Findings) -> Vec<String> {
    // Whether an unknown field is there twice, or has something twice in it, nobody asks.
    let is_known = |path: &&String| {
        let mut unknown = findings.unknown.iter();
        let inner = |rest: &str| rest.is_empty() || rest.starts_with(['.', '[']);
        !unknown.any(|it| path.strip_prefix(it.as_str()).is_some_and(inner))
    };
    let twice = duplicates.iter().filter(is_known);
    let twice = twice.map(|path| format!("duplicate field \"{path}\""));
    let unknown = findings.unknown.iter();
    let unknown = unknown.map(|path| format!("unknown field \"{path}\""));
    twice.chain(unknown).collect()
}
