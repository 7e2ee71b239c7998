//! A small scripted churn, so that there is something to see: deployments that roll, scale and
//! lose pods.
//!
//! Seeded and without a clock: equal seeds give equal scripts.

use serde_json::json;

use crate::{
    fixture,
    seed::Seed,
    state::{Admission, Patch, State, Terms},
};

/// A script in progress.
pub struct Churn {
    seed: Seed,
    next: u64,
    keys: Vec<String>,
}

impl Churn {
    /// A script that has done nothing yet.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self {
            seed: Seed::new(seed),
            next: 0,
            keys: Vec::new(),
        }
    }

    /// Creates `pods` pods to begin with.
    pub fn fill(&mut self, state: &mut State, pods: u64, now: u64) {
        for _ in 0..pods {
            self.create(state, now);
        }
    }

    /// Does one thing: mostly a pod's status changes, now and then one comes or goes.
    pub fn step(&mut self, state: &mut State, now: u64) {
        let Some(resource) = state.resource("", "v1", "pods") else {
            return;
        };
        if self.keys.len() < 3 {
            return self.create(state, now);
        }
        let index = usize::try_from(self.seed.below(self.keys.len() as u64)).unwrap_or(0);
        // Whoever else writes to this server may have been faster: then the step does nothing.
        match self.seed.below(10) {
            0 | 1 => self.create(state, now),
            2 | 3 => {
                let key = self.keys.swap_remove(index);
                let _ = state.delete(resource, &key, now);
            }
            _ => {
                let restarts = self.seed.below(20);
                let phase = if self.seed.below(8) == 0 {
                    "Pending"
                } else {
                    "Running"
                };
                let patch = json!({ "status": { "phase": phase, "containerStatuses": [
                    { "name": "app", "ready": phase == "Running", "restartCount": restarts }
                ] } });
                let body = patch.to_string();
                let _ = state.patch(resource, &self.keys[index], Patch::Merge, body.as_bytes());
            }
        }
    }

    fn create(&mut self, state: &mut State, now: u64) {
        const APPS: [(&str, &str); 4] = [
            ("default", "web"),
            ("default", "api"),
            ("shop", "cart"),
            ("shop", "search"),
        ];
        let Some(resource) = state.resource("", "v1", "pods") else {
            return;
        };
        Self::ensure_namespace(state, "shop", now);
        let (namespace, app) = APPS[usize::try_from(self.next % 4).unwrap_or(0)];
        let pod = fixture::pod(namespace, app, self.next);
        self.next += 1;
        if let Ok(stored) = state.create(resource, Some(namespace), pod, now) {
            self.keys.push(stored.key().to_owned());
        }
    }

    fn ensure_namespace(state: &mut State, name: &str, now: u64) {
        let Some(resource) = state.resource("", "v1", "namespaces") else {
            return;
        };
        if state.get(resource, name).is_none() {
            let document = json!({ "metadata": { "name": name } });
            let terms = Terms {
                admission: Admission::Strict,
                manager: "churn",
                ..Terms::open(now)
            };
            // It is a name, and it is free.
            let _ = state.create_with(resource, None, document, &terms);
        }
    }
}
