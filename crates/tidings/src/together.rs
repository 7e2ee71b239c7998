//! What several informers know as of now: waits until all of their stores are as fresh as a moment.
//!
//! Does not read the stores, and does not stop them: after [`TogetherOutcome::Reached`] the caller takes
//! snapshots, each of which is at least as new as it says, and may be newer.
//!
//! ```text
//!   call ---- probe each resource ---- wait ----------------- Reached: snapshots
//!             pods at 70, nodes at 72   pods at 71, nodes at 68 .. 72
//! ```
//!
//! T1  `Reached` is said only when every store has the version that its own server gave after the call
//!     began (or the one that the caller named), within the history that it was in at the call.
//! T2  A wait ends at its timeout, whatever the server does; what is behind is named.
//!
//! How long it takes: a store learns that nothing has happened from bookmarks alone, and kube-apiserver
//! sends them about once a minute (pr-E11). A busy resource is there at once, one in which nothing happens
//! while others are written may take until its next bookmark: a timeout below 70 s has to expect
//! [`TogetherOutcome::TimedOut`] without anything being wrong. The probe cannot shorten that: its one item
//! and its count say nothing of the other objects, and only a list of all would, which is what an informer
//! avoids. Nor can the stream be reopened for it: a watch that begins at the store's version is not told
//! at once that nothing came.
//!
//! Source: DESIGN 4.10; rules pr-E11, pr-E11c.

use std::{sync::Arc, time::Duration};

use serde::Deserialize;
use tidings_api::{
    ResourceVersion,
    options::{ListOptions, ListVersion, Scope},
    request::Request,
    status::is_success,
};
use tidings_http::Client;
use tokio::{sync::watch, task::JoinSet, time::Instant};

use crate::{api::plain_body, informer::InformerHandle, payload::Payload, state::Progress};

/// Several informers of any payload, whose stores are waited for together. It keeps none of them alive.
#[derive(Clone, Debug, Default)]
pub struct Together {
    members: Vec<Member>,
}

/// How a wait for several stores ended. The scopes are those of the informers.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TogetherOutcome {
    /// A server's history has become another one, so that its versions mean nothing in a store; ask again
    /// once the store has followed.
    EpochChanged {
        /// Of which resource.
        scope: Arc<Scope>,
    },
    /// Every store has its version, or a later one: in the order in which the informers were added.
    Reached {
        /// The versions that were waited for.
        versions: Vec<ResourceVersion>,
    },
    /// An informer has stopped: its store will not change any more.
    Stopped {
        /// Which.
        scope: Arc<Scope>,
    },
    /// The time is over.
    TimedOut {
        /// The stores that are behind, with what they have.
        behind: Vec<Behind>,
    },
    /// A server did not say where it is. Nothing is known about the stores.
    Unanswered {
        /// What was asked for.
        scope: Arc<Scope>,
        /// Why there is no answer, in one sentence without content.
        problem: String,
    },
}

/// A store that has not reached its version.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Behind {
    /// What it follows.
    pub scope: Arc<Scope>,
    /// What it has; absent before its first sync.
    pub at: Option<ResourceVersion>,
    /// What it should have; absent if the server had not answered.
    pub wanted: Option<ResourceVersion>,
}

#[derive(Clone, Debug)]
struct Member {
    scope: Arc<Scope>,
    progress: watch::Receiver<Progress>,
}

/// Where a store stood when a wait began.
struct Mark {
    epoch: u64,
    version: Option<ResourceVersion>,
}

// === impl Together ===

impl Together {
    /// None yet: nothing to wait for.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            members: Vec::new(),
        }
    }

    /// And this one.
    #[must_use]
    pub fn with<P: Payload>(mut self, informer: &InformerHandle<P>) -> Self {
        self.members.push(Member {
            scope: Arc::new(informer.scope().clone()),
            progress: informer.watch_progress(),
        });
        self
    }

    /// Waits until every store has what its resource was at when this was called: asks the server for the
    /// present version of each, and waits until each store has reached its own. For any server, as the
    /// versions of different resources are not compared.
    ///
    /// The probes are lists of one item with the informers' own scopes, so that whoever may follow may
    /// probe; they go out at the same time.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost when the future is dropped.
    pub async fn at_present(&self, client: &Client, timeout: Duration) -> TogetherOutcome {
        let deadline = Instant::now() + timeout;
        let marks = self.marks();
        let mut versions = vec![None; self.members.len()];
        let asked = tokio::time::timeout_at(deadline, self.ask(client, &mut versions)).await;
        match asked {
            Ok(Ok(())) => self.reach(&marks, versions, deadline).await,
            Ok(Err(unanswered)) => unanswered,
            Err(_) => self.timed_out(&versions),
        }
    }

    /// Waits until every store has one version, such as that of a write that concerns them all. Only for
    /// servers whose versions are one sequence over all resources, as those of a kube-apiserver with one
    /// etcd are: where events or a group have an etcd of their own, or an aggregated server answers, the
    /// outcome means nothing.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost when the future is dropped.
    pub async fn at_version(
        &self,
        version: &ResourceVersion,
        timeout: Duration,
    ) -> TogetherOutcome {
        let deadline = Instant::now() + timeout;
        let marks: Vec<Mark> = self
            .marks()
            .into_iter()
            // A store beyond the version has it: nothing went back.
            .map(|mark| Mark {
                version: None,
                ..mark
            })
            .collect();
        let versions = vec![Some(version.clone()); self.members.len()];
        self.reach(&marks, versions, deadline).await
    }

    fn marks(&self) -> Vec<Mark> {
        let mark = |member: &Member| {
            let progress = member.progress.borrow();
            Mark {
                epoch: progress.epoch,
                version: progress.resource_version.clone(),
            }
        };
        self.members.iter().map(mark).collect()
    }

    /// Probes all at the same time. What is known when it is dropped stands in `versions`.
    async fn ask(
        &self,
        client: &Client,
        versions: &mut [Option<ResourceVersion>],
    ) -> Result<(), TogetherOutcome> {
        let mut probes = JoinSet::new();
        for (at, member) in self.members.iter().enumerate() {
            let (client, scope) = (client.clone(), Arc::clone(&member.scope));
            probes.spawn(async move { (at, probe(&client, &scope).await) });
        }
        while let Some(joined) = probes.join_next().await {
            // A probe neither panics nor is aborted before this returns.
            let Ok((at, answer)) = joined else { continue };
            let unanswered = |problem| TogetherOutcome::Unanswered {
                scope: Arc::clone(&self.members[at].scope),
                problem,
            };
            versions[at] = Some(answer.map_err(unanswered)?);
        }
        Ok(())
    }

    async fn reach(
        &self,
        marks: &[Mark],
        versions: Vec<Option<ResourceVersion>>,
        deadline: Instant,
    ) -> TogetherOutcome {
        for ((member, mark), version) in self.members.iter().zip(marks).zip(&versions) {
            let Some(version) = version else {
                return self.timed_out(&versions);
            };
            // A consistent read below what the store had is of another history: the store would seem to be
            // there for as long as its informer has not noticed.
            if mark
                .version
                .as_ref()
                .is_some_and(|at| version.is_before(at))
            {
                let scope = Arc::clone(&member.scope);
                return TogetherOutcome::EpochChanged { scope };
            }
            let mut progress = member.progress.clone();
            let is_decided = |now: &Progress| {
                now.stopped || now.epoch != mark.epoch || has_reached(now, version)
            };
            let decided = tokio::time::timeout_at(deadline, progress.wait_for(is_decided)).await;
            let scope = || Arc::clone(&member.scope);
            match decided {
                Err(_) => return self.timed_out(&versions),
                Ok(Err(_)) => return TogetherOutcome::Stopped { scope: scope() },
                Ok(Ok(now)) if now.epoch != mark.epoch => {
                    return TogetherOutcome::EpochChanged { scope: scope() };
                }
                Ok(Ok(now)) if !has_reached(&now, version) => {
                    return TogetherOutcome::Stopped { scope: scope() };
                }
                Ok(Ok(_)) => {}
            }
        }
        self.settled(marks, versions)
    }

    /// All were there, one after the other: none may have begun another history meanwhile.
    fn settled(&self, marks: &[Mark], versions: Vec<Option<ResourceVersion>>) -> TogetherOutcome {
        let mut members = self.members.iter().zip(marks);
        let turned = members.find(|(member, mark)| member.progress.borrow().epoch != mark.epoch);
        match turned {
            Some((member, _)) => TogetherOutcome::EpochChanged {
                scope: Arc::clone(&member.scope),
            },
            None => TogetherOutcome::Reached {
                versions: versions.into_iter().flatten().collect(),
            },
        }
    }

    fn timed_out(&self, versions: &[Option<ResourceVersion>]) -> TogetherOutcome {
        let mut behind = Vec::new();
        for (member, wanted) in self.members.iter().zip(versions) {
            let now = member.progress.borrow();
            let is_there = wanted.as_ref().is_some_and(|it| has_reached(&now, it));
            if !is_there {
                behind.push(Behind {
                    scope: Arc::clone(&member.scope),
                    at: now.resource_version.clone(),
                    wanted: wanted.clone(),
                });
            }
        }
        TogetherOutcome::TimedOut { behind }
    }
}

fn has_reached(progress: &Progress, version: &ResourceVersion) -> bool {
    let at = progress.resource_version.as_ref();
    at.is_some_and(|at| at.is_at_least(version))
}

/// The version of a resource now, past every cache.
async fn probe(client: &Client, scope: &Scope) -> Result<ResourceVersion, String> {
    let options = ListOptions {
        version: ListVersion::Consistent,
        limit: Some(1),
        continue_token: None,
    };
    let request = Request::list(scope, &options).map_err(|error| error.to_string())?;
    let answer = client.send(&request).await;
    let answer = answer.map_err(|error| error.to_string())?;
    if !is_success(answer.status) {
        return Err(format!("the server answered with {}", answer.status));
    }
    let body = plain_body(&answer).map_err(|error| error.to_string())?;
    let list: Head = serde_json::from_slice(&body)
        .map_err(|_| "the answer is not a list with a version".to_owned())?;
    ResourceVersion::parse(&list.metadata.resource_version).map_err(|error| error.to_string())
}

/// What a probe reads of a list; serde skips the item.
#[derive(Deserialize)]
struct Head {
    metadata: HeadMeta,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct HeadMeta {
    resource_version: String,
}

#[cfg(test)]
mod tests;
