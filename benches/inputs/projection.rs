//! The fields of a pod that a routing controller reads; all else is skipped when decoding.

use std::collections::BTreeMap;

use serde::Deserialize;

/// A pod as far as it is named here.
#[derive(Debug, Deserialize)]
pub struct Projection {
    /// Labels.
    pub metadata: Meta,
    /// Where it runs.
    #[serde(default)]
    pub spec: Spec,
    /// How it is.
    #[serde(default)]
    pub status: Status,
}

/// The metadata in use.
#[derive(Debug, Deserialize)]
pub struct Meta {
    /// The labels.
    #[serde(default)]
    pub labels: BTreeMap<Box<str>, Box<str>>,
}

/// The spec in use.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Spec {
    /// The node.
    pub node_name: Box<str>,
}

/// The status in use.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Status {
    /// The phase.
    pub phase: Box<str>,
    /// The address.
    #[serde(rename = "podIP")]
    pub pod_ip: Box<str>,
    /// The conditions.
    pub conditions: Box<[Condition]>,
}

/// One condition.
#[derive(Debug, Deserialize)]
pub struct Condition {
    /// Which.
    #[serde(rename = "type")]
    pub kind: Box<str>,
    /// Whether it holds.
    pub status: Box<str>,
}
