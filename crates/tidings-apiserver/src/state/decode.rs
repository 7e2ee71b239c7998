//! From a body to an object of its kind: unknown fields, wrong types, fields that are there twice.
//!
//! Does not judge values: that comes after, when the object has its name and its place.
//!
//! Source: endpoints/handlers/{create,update,patch}.go, apiextensions-apiserver
//! pkg/apiserver/customresource_handler.go @v0.36.3; the sentences are those of a real server.

use serde_json::Value;

use super::{
    State,
    typed::{self, Findings},
    write::{FieldValidation, Terms},
};
use crate::refusal::{Refusal, RefusalCause};

/// Where a document comes from: it decides how it is refused.
pub(super) enum Source {
    /// The request's body is the object.
    Body,
    /// It is what a patch made, or the patch itself: as text.
    Patch(String),
}

impl State {
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
        let refuse = |why: &str| match source {
            Source::Body => {
                let (version, kind) = (row.api_version(), &row.kind);
                let message = format!(
                    "{kind} in version \"{}\" cannot be handled as a {kind}: {why}",
                    version.rsplit('/').next().unwrap_or(&version)
                );
                Refusal::bad_request(message)
            }
            Source::Patch(text) => {
                let message = format!("Invalid value: {}: {why}", Value::from(text.as_str()));
                let cause = RefusalCause::new("FieldValueInvalid", message, "patch");
                Refusal::invalid("", "", "", vec![cause])
            }
        };
        if let Some(fault) = &findings.fault {
            return Err(refuse(fault));
        }
        let odd = odd_fields(terms.duplicates, &findings);
        match terms.fields {
            FieldValidation::Strict if !odd.is_empty() => Err(refuse(&format!(
                "strict decoding error: {}",
                odd.join(", ")
            ))),
            FieldValidation::Ignore => Ok(Vec::new()),
            FieldValidation::Strict | FieldValidation::Warn => Ok(odd),
        }
    }
}

/// What is said of fields that there are not, or that are there twice.
fn odd_fields(duplicates: &[String], findings: &Findings) -> Vec<String> {
    // Whether an unknown field is there twice, or has something twice in it, nobody asks.
    let is_known = |path: &&String| {
        let mut unknown = findings.unknown.iter();
        !unknown.any(|it| path.starts_with(it.as_str()))
    };
    let twice = duplicates.iter().filter(is_known);
    let twice = twice.map(|path| format!("duplicate field \"{path}\""));
    let unknown = findings.unknown.iter();
    let unknown = unknown.map(|path| format!("unknown field \"{path}\""));
    twice.chain(unknown).collect()
}
