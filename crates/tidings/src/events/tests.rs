//! The aggregation by hand, and the recorder under a paused clock over a scripted server.

mod aggregation;
mod recorder;

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

fn web() -> crate::api::ObjectReference {
    let key = ObjectKey::parse("default/web").unwrap();
    crate::api::ObjectReference::new("apps/v1", "Deployment", &key, "u1")
}

fn report(reason: &str) -> EventReport {
    EventReport::normal(web(), reason, "Acting", "it acts")
}

/// One line: what is sent, for which reason, and with which count.
fn line(output: &Output) -> String {
    match output {
        Output::Create(_, document) => format!("create {}", shown(document)),
        Output::Patch(_, document) => format!("patch {}", shown(document)),
        Output::Idle { .. } => "idle".to_owned(),
    }
}

fn shown(document: &Document) -> String {
    let event = document.to_json();
    let reason = event["reason"].as_str().unwrap_or_default();
    format!("{reason} x{}", document.count())
}
