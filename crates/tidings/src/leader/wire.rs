//! The requests of an election, and what each answer means for it.
//!
//! Does not decide when to ask: the elector does. An answer that may have been cut, or that no API server
//! gives, is one that leaves a write's outcome unknown.

use std::{future::poll_fn, sync::Arc, time::Duration};

use bytes::BytesMut;
use tidings_api::{
    ResourceVersion,
    request::{JSON, Request},
    status::{Refusal, Status, is_success, refusal, retry_after_of},
};
use tidings_engine::lease::{GetOutcome, Input, Record, RequestId, WriteOutcome};

use super::object::LeaseObject;
use crate::transport::{Purpose, Transport, TransportFailure};

/// What an answer brings.
pub(super) struct Answered {
    /// What the elector is told.
    pub(super) input: Input,
    /// The Lease as the answer has it.
    pub(super) object: Option<LeaseObject>,
    /// What went wrong, for people.
    pub(super) trouble: Option<String>,
    /// The credential was refused.
    pub(super) is_unauthorized: bool,
}

/// Where the Lease is, and how to get there.
#[derive(Clone)]
pub(super) struct Wire {
    pub(super) transport: Arc<dyn Transport>,
    /// The path of the collection.
    pub(super) collection: String,
    /// The path of the Lease.
    pub(super) path: String,
}

/// A whole answer.
struct Whole {
    code: u16,
    retry_after: Option<Duration>,
    body: BytesMut,
}

/// Why there is no Lease in an answer.
struct Refused {
    refusal: Refusal,
    retry_after: Option<Duration>,
    message: String,
}

// === impl Wire ===

impl Wire {
    pub(super) async fn get(self, id: RequestId) -> Answered {
        let (outcome, object, refused) = match self.ask(Request::get(self.path.clone())).await {
            Ok(Ok(object)) => match object.seen() {
                Some(seen) => (GetOutcome::Found(seen), Some(object), None),
                None => (GetOutcome::Failed { retry_after: None }, None, None),
            },
            Ok(Err(refused)) if refused.refusal == Refusal::NotFound => {
                (GetOutcome::NotFound, None, None)
            }
            Ok(Err(refused)) => {
                let retry_after = refused.retry_after;
                (GetOutcome::Failed { retry_after }, None, Some(refused))
            }
            Err(failure) => return Self::get_failed(id, failure),
        };
        let input = Input::GetAnswered { id, outcome };
        Answered::new(input, object, refused)
    }

    fn get_failed(id: RequestId, failure: TransportFailure) -> Answered {
        let outcome = GetOutcome::Failed { retry_after: None };
        Answered {
            input: Input::GetAnswered { id, outcome },
            object: None,
            trouble: Some(failure.0),
            is_unauthorized: false,
        }
    }

    pub(super) async fn create(self, id: RequestId, base: LeaseObject, record: Record) -> Answered {
        let body = base.with_record(&record);
        let request = Request::write("POST", self.collection.clone(), JSON, body);
        self.write(id, request).await
    }

    pub(super) async fn update(self, id: RequestId, base: LeaseObject, record: Record) -> Answered {
        let body = base.with_record(&record);
        let request = Request::write("PUT", self.path.clone(), JSON, body);
        self.write(id, request).await
    }

    async fn write(self, id: RequestId, request: Request) -> Answered {
        let (outcome, object, refused) = match self.ask(request).await {
            Ok(Ok(object)) => match object.seen() {
                Some(seen) => {
                    let version = seen.version;
                    (WriteOutcome::Stored { version }, Some(object), None)
                }
                None => (WriteOutcome::Unknown, None, None),
            },
            Ok(Err(refused)) => (outcome_of(&refused), None, Some(refused)),
            Err(failure) => {
                let outcome = WriteOutcome::Unknown;
                return Answered {
                    input: Input::WriteAnswered { id, outcome },
                    object: None,
                    trouble: Some(failure.0),
                    is_unauthorized: false,
                };
            }
        };
        let input = Input::WriteAnswered { id, outcome };
        Answered::new(input, object, refused)
    }

    /// Sends a request. The Lease of the answer, or why there is none; a failure if nobody answered.
    async fn ask(
        &self,
        request: Request,
    ) -> Result<Result<LeaseObject, Refused>, TransportFailure> {
        let whole = self.whole(request).await?;
        if is_success(whole.code) {
            let broken = |_| TransportFailure("the answer is no Lease".to_owned());
            return serde_json::from_slice(&whole.body).map(Ok).map_err(broken);
        }
        let status = Status::parse(whole.code, &whole.body);
        let mut message = format!("refused with {}", whole.code);
        let said = status.message.chars().filter(|letter| !letter.is_control());
        let said: String = said.take(MESSAGE_LEN_MAX).collect();
        if !said.is_empty() {
            message.push_str(": ");
            message.push_str(&said);
        }
        Ok(Err(Refused {
            refusal: refusal(whole.code, &status),
            retry_after: retry_after_of(&status, whole.retry_after),
            message,
        }))
    }

    async fn whole(&self, request: Request) -> Result<Whole, TransportFailure> {
        let mut response = self.transport.open(request, Purpose::Short).await?;
        let mut body = BytesMut::new();
        while let Some(chunk) = poll_fn(|context| response.body.poll_chunk(context)).await {
            let chunk = chunk?;
            if body.len() + chunk.len() > BODY_BYTES_MAX {
                return Err(TransportFailure("the answer is too long".to_owned()));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Whole {
            code: response.status,
            retry_after: response.retry_after,
            body,
        })
    }
}

// === impl Answered ===

impl Answered {
    fn new(input: Input, object: Option<LeaseObject>, refused: Option<Refused>) -> Self {
        let is_unauthorized =
            (refused.as_ref()).is_some_and(|refused| refused.refusal == Refusal::Unauthorized);
        Self {
            input,
            object,
            // A lost race and an absent Lease are no trouble, but the course of things.
            trouble: refused
                .filter(|refused| !is_conflict(refused.refusal))
                .map(|refused| refused.message),
            is_unauthorized,
        }
    }
}

/// Whether the Lease is another than the one that the write would have replaced.
const fn is_conflict(refusal: Refusal) -> bool {
    matches!(
        refusal,
        Refusal::AlreadyExists | Refusal::Conflict | Refusal::Gone | Refusal::NotFound
    )
}

fn outcome_of(refused: &Refused) -> WriteOutcome {
    let retry_after = refused.retry_after;
    match refused.refusal {
        refusal if is_conflict(refusal) => WriteOutcome::Conflict,
        refusal if refusal.may_have_acted() => WriteOutcome::Unknown,
        _ => WriteOutcome::Refused { retry_after },
    }
}

/// The version of the object that a write replaces, if that object is at hand.
pub(super) fn is_at(object: &LeaseObject, version: &ResourceVersion) -> bool {
    object.seen().is_some_and(|seen| seen.version == *version)
}

/// Most bytes of an answer: a Lease has some hundred, its annotations at most 256 KiB.
const BODY_BYTES_MAX: usize = 1 << 20;
/// Most characters that are repeated of a server's sentence (SEC-29).
const MESSAGE_LEN_MAX: usize = 300;
