//! What a server makes of a client's object before it is stored: defaults, checks, addresses.
//!
//! Does not decode: what comes here has the fields of its kind, and their defaults.
//!
//! Source: kubernetes pkg/registry/core/{pod,service,namespace}
//! and plugin/pkg/admission/namespace/lifecycle @v1.36.3; the sentences are those of a real server.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    State,
    address::keep_address,
    admission::{admit, begin_namespace},
    checks::{check, check_change},
    delete::DEFINITIONS,
    names::{check_finalizers, metadata_faults},
    typed,
    write::Terms,
};
use crate::{
    refusal::{Refusal, RefusalCause},
    seed::timestamp,
};

impl State {
    /// The namespaces that are there from the beginning, at the first version and without a change.
    pub(super) fn lay_namespaces(&mut self, now: u64) {
        let Some(resource) = self.namespaces() else {
            return;
        };
        for name in ["default", "kube-node-lease", "kube-public", "kube-system"] {
            let mut document = json!({ "metadata": {
                "name": name, "uid": self.seed.uid(), "creationTimestamp": timestamp(now)
            } });
            begin_namespace(&mut document);
            let stored = self.lay_out(resource, document, self.rv);
            let collection = self.places[resource].collection;
            self.collections[collection].insert(name.into(), Arc::new(stored));
        }
    }

    pub(super) fn namespaces(&self) -> Option<usize> {
        self.resource("", "v1", "namespaces")
    }

    /// Whether a new object may be where it wants to be.
    pub(super) fn check_home(
        &self,
        resource: usize,
        document: &Value,
        name: &str,
    ) -> Result<(), Refusal> {
        let row = self.kind(resource);
        let definition = format!("{}.{}", row.plural, row.group);
        let definitions = self.resource(DEFINITIONS.0, "v1", "customresourcedefinitions");
        if row.is_custom()
            && definitions.is_some_and(|definitions| self.is_marked(definitions, &definition))
        {
            let why = "create not allowed while custom resource definition is terminating";
            return Err(Refusal::forbidden(row, name, why));
        }
        let namespace = document["metadata"]["namespace"].as_str();
        let (Some(namespace), Some(namespaces)) = (namespace, self.namespaces()) else {
            return Ok(());
        };
        if self.get(namespaces, namespace).is_none() {
            return Err(Refusal::not_found(self.kind(namespaces), namespace));
        }
        if !self.is_marked(namespaces, namespace) {
            return Ok(());
        }
        let why = format!(
            "unable to create new content in namespace {namespace} because it is being terminated"
        );
        let mut refusal = Refusal::forbidden(row, name, &why);
        let message = format!("namespace {namespace} is being terminated");
        let field = "metadata.namespace";
        refusal
            .causes
            .push(RefusalCause::new("NamespaceTerminating", message, field));
        Err(refusal)
    }

    /// Fills in what the client left out, before anybody owns it, and checks what there is.
    pub(super) fn complete(
        &self,
        resource: usize,
        old: Option<&Value>,
        document: &mut Value,
    ) -> Result<(), Refusal> {
        let row = self.kind(resource);
        let name = document["metadata"]["name"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        // pr-N10: a status is written through its own endpoint; nodes bring theirs.
        if old.is_none() && row.status && !row.is("", "Node") {
            remove(document, "status");
        }
        // What the server made of the parts by itself is an object of the kind, too; and one pass is not
        // enough: an empty list that decoding leaves out may be what another field fills in.
        typed::settle(&self.kinds[self.places[resource].storage], document, true);
        if let Some(schema) = &row.schema {
            schema.prepare(document);
            let causes = schema.validate(document);
            if !causes.is_empty() {
                return Err(Refusal::invalid_object(row, &name, causes));
            }
        }
        if row.is("", "Service") {
            keep_address(old, document);
        }
        if row.is(DEFINITIONS.0, DEFINITIONS.1) {
            super::definition::complete(row, &name, document)?;
        }
        Ok(())
    }

    /// Fills in what is the server's own, and refuses what may not change.
    pub(super) fn settle(
        &mut self,
        resource: usize,
        old: Option<&Value>,
        document: &mut Value,
        terms: &Terms<'_>,
    ) -> Result<(), Refusal> {
        let row = self.row(resource);
        let name = document["metadata"]["name"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        admit(&row, old, document);
        let mut causes = metadata_faults(&row, &name, document);
        causes.extend(check(&self.kinds[self.places[resource].storage], document));
        if let Some(old) = old {
            causes.extend(check_change(&row, old, document));
        }
        if !causes.is_empty() {
            return Err(Refusal::invalid_object(&row, &name, causes));
        }
        if let Some(old) = old {
            check_finalizers(&row, &name, old, document)?;
        }
        if row.is("", "Service") {
            self.give_address(&row, &name, old, document)?;
        }
        if row.is(DEFINITIONS.0, DEFINITIONS.1) {
            self.accept(document, terms.now);
        }
        Ok(())
    }
}

fn remove(document: &mut Value, field: &str) {
    if let Some(top) = document.as_object_mut() {
        top.remove(field);
    }
}

#[cfg(test)]
mod tests;
