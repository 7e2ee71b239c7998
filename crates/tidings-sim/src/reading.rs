//! What arrives at an informer: heads, bytes in pieces of any size, refusals, the answers to probes.
//!
//! Does not judge what it means: the ingest decodes it, and the pipeline decides.
//!
//! R1  Nothing is read while the pipeline does not want input (D1 of `client`).
//! R2  What is not read yet comes first when reading goes on.

use std::time::Duration;

use tidings_api::{
    limits::Limits,
    status::{Status, is_success},
};
use tidings_engine::{
    ingest::{Body, Form, ProbeBody},
    reflector::{Failure, FailureKind, Input},
};

use crate::{
    link::{Asked, Head, Item, Reading, position},
    world::{Step, World},
};

impl World {
    /// Whatever has arrived on a connection.
    pub(crate) fn deliver(&mut self, id: u32) {
        while self.violation.is_none() {
            let now = self.now;
            let Some(connection) = self.connections.get(&id) else {
                return;
            };
            let index = connection.informer;
            let informer = &self.informers[index];
            let is_wanted = informer.busy_until <= now && informer.pipeline.wants_input();
            let next = connection.items.front();
            let is_here = next.is_some_and(|(arrival, _)| *arrival <= now);
            if !is_here || !is_wanted {
                return;
            }
            let connection = self.connections.get_mut(&id);
            let Some((_, item)) = connection.and_then(|it| it.items.pop_front()) else {
                return;
            };
            if self.informers[index].probe == Some(id) {
                self.read_probe(index, id, item);
            } else {
                self.read(index, id, item);
                self.turn(index);
            }
        }
    }

    fn read(&mut self, index: usize, id: u32, item: Item) {
        let is_end = item == Item::End;
        match item {
            Item::Head(head) if !is_success(head.code) => {
                self.set_reading(id, Reading::Refusal(head, Vec::new()));
            }
            Item::Head(head) => self.read_head(index, id, head),
            Item::Bytes(bytes) => self.read_bytes(index, id, bytes),
            Item::End | Item::Reset => {
                if is_end {
                    self.excuse_short(index);
                }
                let reading = self.connections.remove(&id).map(|it| it.reading);
                self.informers[index].stream = None;
                match reading {
                    Some(Reading::Refusal(head, text)) => self.refused(index, head, &text),
                    Some(Reading::Body(body)) if is_end => {
                        let finished = self.informers[index].ingest.finish(*body);
                        self.feed(index, finished.unwrap_or_else(Input::Broken));
                    }
                    Some(Reading::Nothing | Reading::Body(_) | Reading::Probe(_)) | None => {
                        self.fail(index, FailureKind::Transport, "the connection broke");
                    }
                }
            }
        }
    }

    fn read_head(&mut self, index: usize, id: u32, head: Head) {
        let asked = self.connections.get(&id).map(|it| it.asked);
        let form = match asked {
            Some(Asked::Watch | Asked::WatchList) => Form::Frames,
            Some(Asked::List | Asked::Page | Asked::Probe) | None => Form::Page,
        };
        let encoding = if head.gzip { "gzip" } else { "" };
        match Body::open(form, head.content_type, encoding, &Limits::default()) {
            Err(message) => self.fail(index, FailureKind::Undecodable, &message),
            Ok(body) => {
                self.set_reading(id, Reading::Body(Box::new(body)));
                self.note_accepted(index);
                self.feed(index, Input::Accepted);
            }
        }
    }

    fn refused(&mut self, index: usize, head: Head, text: &[u8]) {
        self.excuse_code(index, head.code);
        let is_future = position(text, b"Too large resource version").is_some();
        self.note_refusal(index, head.retry_after, is_future);
        let input = Input::Refused {
            code: head.code,
            status: Box::new(Status::parse(head.code, text)),
            retry_after: head.retry_after,
        };
        self.feed(index, input);
    }

    /// Feeds bytes in pieces of any size, and lets the pipeline work when it wants to (D1, D2).
    fn read_bytes(&mut self, index: usize, id: u32, bytes: Vec<u8>) {
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let now = self.now;
            let Some(connection) = self.connections.get_mut(&id) else {
                return;
            };
            let drip = connection.drip;
            let size = match (drip, self.case.knobs.chunk) {
                (Some(_), _) => 1,
                (None, 0) => 1 << connection.rng.u32(..12),
                (None, chunk) => usize::try_from(chunk).unwrap_or(usize::MAX),
            };
            let informer = &mut self.informers[index];
            let step = match &mut connection.reading {
                Reading::Refusal(_, text) => {
                    text.extend_from_slice(rest);
                    return;
                }
                Reading::Body(body) => {
                    let step = size.min(body.slice_bytes_max()).min(rest.len());
                    self.tally.chunks += 1;
                    let local = informer.local(now);
                    let (pipeline, ingest) = (&mut informer.pipeline, &mut informer.ingest);
                    if let Err(message) = ingest.feed(local, &rest[..step], body, pipeline) {
                        return self.fail(index, FailureKind::Undecodable, &message);
                    }
                    // They are not logged here.
                    while ingest.poll_report().is_some() {}
                    step
                }
                Reading::Nothing | Reading::Probe(_) => return,
            };
            rest = &rest[step..];
            let is_enough = informer.pipeline.leaves_stream() || !informer.pipeline.wants_input();
            if is_enough {
                self.turn(index);
            }
            if self.informers[index].stream != Some(id) {
                return;
            }
            let informer = &self.informers[index];
            let must_wait = informer.busy_until > now || !informer.pipeline.wants_input();
            if (drip.is_some() || must_wait) && !rest.is_empty() {
                return self.keep_for_later(id, rest.to_vec(), drip);
            }
        }
    }

    /// What was not read yet.
    fn keep_for_later(&mut self, id: u32, rest: Vec<u8>, drip: Option<u32>) {
        let delay = Duration::from_millis(u64::from(drip.unwrap_or(0)));
        let at = self.now + delay;
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.items.push_front((at, Item::Bytes(rest)));
        }
        if drip.is_some() {
            self.plan(at, Step::Deliver(id));
        }
    }

    fn read_probe(&mut self, index: usize, id: u32, item: Item) {
        let version = match item {
            Item::Head(head) if head.code == 200 => {
                let body = Box::new(ProbeBody::new(&Limits::default()));
                return self.set_reading(id, Reading::Probe(body));
            }
            Item::Bytes(bytes) => {
                let connection = self.connections.get_mut(&id);
                if let Some(Reading::Probe(body)) = connection.map(|it| &mut it.reading)
                    && body.feed(&bytes)
                {
                    return;
                }
                None
            }
            Item::End => match self.connections.remove(&id).map(|it| it.reading) {
                Some(Reading::Probe(body)) => body.finish(),
                _ => None,
            },
            Item::Head(_) | Item::Reset => None,
        };
        self.connections.remove(&id);
        self.informers[index].probe = None;
        let answer = version.map_or(Input::ProbeFailed, Input::ProbeAnswered);
        self.feed(index, answer);
    }

    fn set_reading(&mut self, id: u32, reading: Reading) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.reading = reading;
        }
    }

    fn fail(&mut self, index: usize, kind: FailureKind, message: &str) {
        if let Some(id) = self.informers[index].stream.take() {
            self.connections.remove(&id);
        }
        let message = message.to_owned();
        self.feed(index, Input::Broken(Failure { kind, message }));
    }
}
