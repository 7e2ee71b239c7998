//! The cells of pods, which are told from the states of all their containers.
//!
//! Source: kubernetes pkg/printers/internalversion/printers.go, `printPod` @v1.36.3.

use serde_json::Value;

use super::{age, cells::items};

pub(super) fn ready(pod: &Value, _: u64) -> Value {
    let summary = Summary::of(pod);
    format!("{}/{}", summary.ready, summary.total).into()
}

pub(super) fn status(pod: &Value, _: u64) -> Value {
    Summary::of(pod).reason.into()
}

pub(super) fn restarts(pod: &Value, now: u64) -> Value {
    let summary = Summary::of(pod);
    match summary.last_restart {
        Some(then) if summary.restarts > 0 => {
            let ago = age::human(now.cast_signed().saturating_sub(then));
            format!("{} ({ago} ago)", summary.restarts).into()
        }
        _ => summary.restarts.to_string().into(),
    }
}

pub(super) fn gates(pod: &Value, _: u64) -> Value {
    let gates = items(pod, "/spec/readinessGates");
    if gates.is_empty() {
        return "<none>".into();
    }
    let holds =
        |gate: &&Value| condition(pod, gate["conditionType"].as_str().unwrap_or("")) == "True";
    let count = gates.iter().filter(holds).count();
    format!("{count}/{}", gates.len()).into()
}

/// What the containers say together.
struct Summary {
    ready: usize,
    total: usize,
    reason: String,
    restarts: i64,
    last_restart: Option<i64>,
}

impl Summary {
    fn of(pod: &Value) -> Self {
        let text = |pointer: &str| pod.pointer(pointer).and_then(Value::as_str).unwrap_or("");
        let phase = text("/status/phase");
        let mut reason = match text("/status/reason") {
            "" => phase,
            reason => reason,
        }
        .to_owned();
        let conditions = items(pod, "/status/conditions");
        if conditions
            .iter()
            .any(|it| it["type"] == "PodScheduled" && it["reason"] == "SchedulingGated")
        {
            "SchedulingGated".clone_into(&mut reason);
        }
        let sidecars = items(pod, "/spec/initContainers")
            .iter()
            .filter(|it| it["restartPolicy"] == "Always");
        let mut summary = Self {
            ready: 0,
            total: items(pod, "/spec/containers").len() + sidecars.count(),
            reason,
            restarts: 0,
            last_restart: None,
        };
        let mut sidecars = Restarts::default();
        let is_starting = summary.read_init(pod, &mut sidecars);
        if !is_starting || condition(pod, "Initialized") == "True" {
            summary.restarts = sidecars.count;
            summary.last_restart = sidecars.last;
            summary.read_main(pod);
        }
        if !pod["metadata"]["deletionTimestamp"].is_null() {
            if text("/status/reason") == "NodeLost" {
                "Unknown".clone_into(&mut summary.reason);
            } else if !matches!(phase, "Failed" | "Succeeded") {
                "Terminating".clone_into(&mut summary.reason);
            }
        }
        summary
    }

    /// The init containers; whether one of them still has to end.
    fn read_init(&mut self, pod: &Value, sidecars: &mut Restarts) -> bool {
        let specs = items(pod, "/spec/initContainers");
        let statuses = items(pod, "/status/initContainerStatuses");
        let mut all = Restarts::default();
        let mut is_starting = false;
        for (index, status) in statuses.iter().enumerate() {
            all.add(status);
            let spec = specs.iter().find(|spec| spec["name"] == status["name"]);
            let is_sidecar = spec.is_some_and(|spec| spec["restartPolicy"] == "Always");
            if is_sidecar {
                sidecars.add(status);
            }
            let (ended, waiting) = (&status["state"]["terminated"], &status["state"]["waiting"]);
            if ended.is_object() && code(ended) == 0 {
                continue;
            }
            if is_sidecar && status["started"] == true {
                self.ready += usize::from(status["ready"] == true);
                continue;
            }
            self.reason = match waiting["reason"].as_str() {
                _ if ended.is_object() => format!("Init:{}", why_ended(ended)),
                Some(why) if !why.is_empty() && why != "PodInitializing" => format!("Init:{why}"),
                _ => format!("Init:{index}/{}", specs.len()),
            };
            is_starting = true;
            break;
        }
        self.restarts = all.count;
        self.last_restart = all.last;
        is_starting
    }

    /// The containers proper, the first of which has the last word.
    fn read_main(&mut self, pod: &Value) {
        let mut all = Restarts {
            count: self.restarts,
            last: self.last_restart,
        };
        let (mut is_running, mut error) = (false, None);
        for status in items(pod, "/status/containerStatuses").iter().rev() {
            all.add(status);
            let state = &status["state"];
            match state["waiting"]["reason"].as_str() {
                Some(why) if !why.is_empty() => why.clone_into(&mut self.reason),
                _ if state["terminated"].is_object() => {
                    self.reason = why_ended(&state["terminated"]);
                    if code(&state["terminated"]) != 0 {
                        error = Some(self.reason.clone());
                    }
                }
                _ if status["ready"] == true && state["running"].is_object() => {
                    is_running = true;
                    self.ready += 1;
                }
                _ => {}
            }
        }
        self.restarts = all.count;
        self.last_restart = all.last;
        if self.reason == "Completed" {
            if is_running && condition(pod, "Ready") == "True" {
                "Running".clone_into(&mut self.reason);
            } else if let Some(error) = error {
                self.reason = error;
            } else if is_running {
                "NotReady".clone_into(&mut self.reason);
            }
        }
    }
}

/// How often containers were started anew, and when last.
#[derive(Default)]
struct Restarts {
    count: i64,
    last: Option<i64>,
}

impl Restarts {
    fn add(&mut self, status: &Value) {
        self.count += status["restartCount"].as_i64().unwrap_or(0);
        let then = status["lastState"]["terminated"]["finishedAt"].as_str();
        self.last = self.last.max(then.and_then(age::unix_seconds));
    }
}

fn code(ended: &Value) -> i64 {
    ended["exitCode"].as_i64().unwrap_or(0)
}

fn why_ended(ended: &Value) -> String {
    match (ended["reason"].as_str(), ended["signal"].as_i64()) {
        (Some(reason), _) if !reason.is_empty() => reason.to_owned(),
        (_, Some(signal)) if signal != 0 => format!("Signal:{signal}"),
        _ => format!("ExitCode:{}", code(ended)),
    }
}

fn condition<'a>(pod: &'a Value, kind: &str) -> &'a str {
    let all = items(pod, "/status/conditions");
    let found = all.iter().find(|it| it["type"] == kind);
    found.and_then(|it| it["status"].as_str()).unwrap_or("")
}
