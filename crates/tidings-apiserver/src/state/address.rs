//! The addresses of services: each has its own, and keeps it.
//!
//! Does not know the network: addresses come from one fixed range, in turn.
//!
//! Source: kubernetes pkg/registry/core/service/{storage,ipallocator} @v1.36.3; the sentences are those of a
//! real server.

use std::{collections::BTreeSet, net::Ipv4Addr};

use serde_json::{Value, json};

use super::State;
use crate::{kind::KindRow, refusal::Refusal};

impl State {
    /// Gives a service an address of its own; one that it asks for must be free.
    pub(super) fn give_address(
        &mut self,
        row: &KindRow,
        name: &str,
        old: Option<&Value>,
        document: &mut Value,
    ) -> Result<(), Refusal> {
        let spec = &document["spec"];
        let asked = spec["clusterIP"].as_str().unwrap_or_default().to_owned();
        if spec["type"] == "ExternalName" {
            return Ok(());
        }
        let before = old.and_then(|old| old["spec"]["clusterIP"].as_str());
        if before == Some(&*asked) && !asked.is_empty() {
            return Ok(());
        }
        if before.is_some_and(|it| !it.is_empty() && it != asked) {
            let message = format!("Invalid value: [\"{asked}\"]: may not change once set");
            let field = "spec.clusterIPs[0]";
            return Err(Refusal::invalid_field(
                row,
                name,
                "FieldValueInvalid",
                field,
                message,
            ));
        }
        let used = self.addresses();
        if used.contains(&asked) {
            let message = format!(
                "Invalid value: [\"{asked}\"]: failed to allocate IP {asked}: provided IP is already \
                 allocated"
            );
            let field = "spec.clusterIPs";
            return Err(Refusal::invalid_field(
                row,
                name,
                "FieldValueInvalid",
                field,
                message,
            ));
        }
        let mut address = asked;
        while address.is_empty() || used.contains(&address) {
            // 10.96.0.0/12 without its first two addresses: the second is the API server's own.
            let offset = 2 + self.next_address % ((1 << 20) - 3);
            self.next_address = self.next_address.wrapping_add(1);
            address = Ipv4Addr::from(SERVICE_NET + offset).to_string();
        }
        document["spec"]["clusterIPs"] = json!([address]);
        document["spec"]["clusterIP"] = address.into();
        Ok(())
    }

    /// The addresses that services have.
    fn addresses(&self) -> BTreeSet<String> {
        let Some(services) = self.resource("", "v1", "services") else {
            return BTreeSet::new();
        };
        let field = self.kind(services).field("spec.clusterIP");
        let all = self.objects(services).values();
        let addresses = all.filter_map(|service| service.field(field?));
        let addresses = addresses.filter(|it| !matches!(*it, "" | "None"));
        addresses.map(str::to_owned).collect()
    }
}

/// An update that says nothing of the service's address keeps it.
pub(super) fn keep_address(old: Option<&Value>, document: &mut Value) {
    let Some(old) = old else { return };
    if document["spec"]["type"] == "ExternalName" {
        return;
    }
    for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
        if document["spec"][field].is_null() && !old["spec"][field].is_null() {
            document["spec"][field] = old["spec"][field].clone();
        }
    }
}

/// 10.96.0.0/12.
const SERVICE_NET: u32 = (10 << 24) | (96 << 16);
