//! `/scale`: the replicas of an object, seen and written alone.
//!
//! Does not know the object: three paths of the kind's row say where the numbers are.
//!
//! Source: kubernetes pkg/registry/apps/deployment/storage/storage.go, apiextensions-apiserver
//! pkg/registry/customresource/etcd.go @v1.36.3.

use serde_json::{Value, json};

use super::{
    Outcome, Part, Patch, State, Stored, names::check_name, patch::patched, typed::settle_options,
    write::Terms,
};
use crate::refusal::{Refusal, RefusalCause};

impl State {
    /// The scale of an object, if its kind has one.
    ///
    /// # Errors
    ///
    /// A [`Refusal`]: not there, or no such endpoint.
    pub fn scale(&self, resource: usize, key: &str) -> Result<Value, Refusal> {
        let object = self.existing(resource, key)?;
        self.scale_of(resource, &object)
    }

    /// The scale of an object as it was returned by a write.
    ///
    /// # Errors
    ///
    /// A [`Refusal`]: no such endpoint.
    pub fn scale_of(&self, resource: usize, object: &Stored) -> Result<Value, Refusal> {
        let scale = self.kind(resource).scale.as_ref();
        let scale = scale.ok_or_else(Refusal::no_such_path)?;
        let document = object.document();
        let number = |path: &str| document.pointer(path).cloned().unwrap_or_else(|| 0.into());
        let mut meta = json!({});
        for field in [
            "name",
            "namespace",
            "uid",
            "resourceVersion",
            "creationTimestamp",
        ] {
            if let Some(value) = document["metadata"].get(field) {
                meta[field] = value.clone();
            }
        }
        let mut answer = json!({
            "kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": meta,
            "spec": { "replicas": number(&scale.spec) },
            "status": { "replicas": number(&scale.status) }
        });
        // An empty path is none; as a pointer it would be the whole object.
        let selector = document
            .pointer(&scale.selector)
            .filter(|_| !scale.selector.is_empty())
            .map(selector_text);
        if let Some(selector) = selector.filter(|text| !text.is_empty()) {
            answer["status"]["selector"] = selector.into();
        }
        Ok(answer)
    }

    /// Replaces a scale, or patches it.
    ///
    /// # Errors
    ///
    /// A [`Refusal`]: not there, changed meanwhile, or no number of replicas.
    pub fn rescale(
        &mut self,
        resource: usize,
        key: &str,
        patch: Option<Patch>,
        body: &[u8],
        terms: &Terms<'_>,
    ) -> Result<Outcome, Refusal> {
        let row = self.row(resource);
        let Some(scale) = row.scale.clone() else {
            return Err(Refusal::no_such_path());
        };
        let old = self.existing(resource, key)?;
        let mut wanted = self.scale_of(resource, &old)?;
        match patch {
            None => {
                wanted = serde_json::from_slice(body)
                    .map_err(|error| Refusal::bad_request(error.to_string()))?;
            }
            Some(Patch::Apply) => {
                return Err(Refusal::unknown_patch(&row));
            }
            Some(patch) => {
                patched(&row, &mut wanted, patch, body)?;
            }
        }
        check_name(&wanted, &old.name)?;
        if let Some(fault) = settle_options("autoscaling.Scale", &mut wanted) {
            let message = format!("Scale in version \"v1\" cannot be handled as a Scale: {fault}");
            return Err(Refusal::bad_request(message));
        }
        let replicas = wanted["spec"]
            .get("replicas")
            .map_or(Some(0), Value::as_i64);
        let Some(replicas) = replicas.filter(|replicas| *replicas >= 0) else {
            let message = format!(
                "Invalid value: {}: must be greater than or equal to 0",
                wanted["spec"]["replicas"]
            );
            let field = "spec.replicas";
            let cause = RefusalCause::new("FieldValueInvalid", message, field);
            return Err(Refusal::invalid(
                "Scale",
                "autoscaling",
                &old.name,
                vec![cause],
            ));
        };
        let mut document = self.shown_document(resource, &old);
        if let Some(place) = document.pointer_mut(&scale.spec) {
            *place = replicas.into();
        } else if let Some((parent, field)) = scale.spec.rsplit_once('/')
            && let Some(Value::Object(parent)) = document.pointer_mut(parent)
        {
            parent.insert(field.to_owned(), replicas.into());
        }
        for field in ["resourceVersion", "uid"] {
            if let Some(given) = wanted["metadata"].get(field) {
                document["metadata"][field] = given.clone();
            }
        }
        self.update_with(resource, key, document, Part::Main, terms)
    }
}

/// A selector as text: of labels, as an object of them or as text already.
fn selector_text(selector: &Value) -> String {
    if let Some(text) = selector.as_str() {
        return text.to_owned();
    }
    let labels = selector.get("matchLabels").unwrap_or(selector);
    let pair = |(name, value): (&String, &Value)| {
        let value = value.as_str()?;
        Some(format!("{name}={value}"))
    };
    let mut terms: Vec<String> = labels
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(pair)
        .collect();
    for term in selector["matchExpressions"]
        .as_array()
        .into_iter()
        .flatten()
    {
        let key = term["key"].as_str().unwrap_or_default();
        let values = term["values"].as_array().into_iter().flatten();
        let values: Vec<&str> = values.filter_map(Value::as_str).collect();
        let values = values.join(",");
        terms.push(match term["operator"].as_str() {
            Some("In") => format!("{key} in ({values})"),
            Some("NotIn") => format!("{key} notin ({values})"),
            Some("DoesNotExist") => format!("!{key}"),
            _ => key.to_owned(),
        });
    }
    terms.join(",")
}
