//! The server's side of each connection: what a request gets, and when.
//!
//! Does not know the informer's state: it reads the path, as a server does.
//!
//! Source: rules pr-L1, pr-L2, pr-L6, pr-W1, pr-W7, pr-W12, pr-E11; pr 1.7.

use std::time::Duration;

use tidings_api::{Instant, status::parse_retry_after};
use tidings_apiserver::{
    Refusal,
    state::{ListQuery, Match, WatchListSupport, WatchQuery, WatchStep},
};

use crate::{
    fault::Fault,
    link::{self, Asked, Head, Item},
    ops::WatchLists,
    world::{Step, World},
};

impl World {
    /// A request reaches its server.
    pub(crate) fn arrive(&mut self, id: u32) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        let replicas = self.cluster.replicas.len();
        connection.replica = connection.rng.usize(..replicas);
        let (index, asked) = (connection.informer, connection.asked);
        if let Some(fault) = self.take_request_fault(index, asked) {
            self.note_fault(index, Some(asked), fault);
            if let Fault::TooLarge { millis } = fault {
                let until = self.now + Duration::from_millis(u64::from(millis));
                self.informers[index].future_until = until;
            }
            if fault == Fault::Html {
                self.excuse_fault(index, fault);
            }
            if self.meet_request(id, fault) {
                return;
            }
        }
        if let Some(fault) = self.lasting_fault(index, asked) {
            self.note_fault(index, Some(asked), fault);
            self.meet_request(id, fault);
            return;
        }
        self.serve(id);
    }

    /// A refusal that lasts: of everything, or of all that has a version to begin at.
    fn lasting_fault(&self, index: usize, asked: Asked) -> Option<Fault> {
        let informer = &self.informers[index];
        let overload = informer.overload.filter(|(until, _)| *until > self.now);
        let is_future = informer.future_until > self.now && asked == Asked::Watch;
        let future = is_future.then_some(Fault::TooLarge { millis: 0 });
        overload.map(|(_, fault)| fault).or(future)
    }

    /// A fault in place of the answer; `false` if the server answers all the same.
    fn meet_request(&mut self, id: u32, fault: Fault) -> bool {
        match fault {
            Fault::Refuse { code, after, plain } => {
                let mut refusal = Refusal::of_code(code, after.unwrap_or(0));
                refusal.plain_text |= plain;
                self.refuse_with(id, &refusal, after);
            }
            Fault::Overload { code, after, .. } => {
                let refusal = Refusal::of_code(code, after.unwrap_or(0));
                self.refuse_with(id, &refusal, after);
            }
            Fault::TooLarge { .. } => {
                let mut refusal = Refusal::of_code(504, 1);
                refusal.message = "Too large resource version: 9, current: 8".to_owned();
                self.refuse(id, &refusal);
            }
            Fault::Html => {
                let head = Head {
                    code: 200,
                    content_type: "text/html; charset=utf-8",
                    gzip: false,
                    retry_after: None,
                };
                self.send(id, Item::Head(head));
                self.send(id, Item::Bytes(b"<html>sign in</html>".to_vec()));
                self.send(id, Item::End);
            }
            Fault::NoAnswer => {}
            _ => return false,
        }
        true
    }

    fn serve(&mut self, id: u32) {
        let Some(connection) = self.connections.get(&id) else {
            return;
        };
        let (replica, path) = (connection.replica, connection.path.clone());
        let (path, query) = path.split_once('?').unwrap_or((&path, ""));
        let query = parse(query);
        let value = |name: &str| {
            let mut all = query.iter();
            let found = all.find(|(key, _)| key == name);
            found.map(|(_, value)| value.clone()).unwrap_or_default()
        };
        let is_watch = value("watch") == "true";
        let is_consistent = value("resourceVersion").is_empty();
        if is_consistent && !self.catch_up(replica) {
            // pr-L6: it waits for three seconds.
            self.plan_in(Duration::from_secs(3), Step::GiveUp(id));
            return;
        }
        let state = &self.cluster.replicas[replica].state;
        let Some((resource, namespace)) = target(state, path) else {
            return self.refuse(id, &Refusal::no_such_path());
        };
        let list = ListQuery {
            namespace,
            label_selector: value("labelSelector"),
            field_selector: value("fieldSelector"),
            resource_version: value("resourceVersion"),
            version_match: match value("resourceVersionMatch").as_str() {
                "NotOlderThan" => Some(Match::NotOlderThan),
                "Exact" => Some(Match::Exact),
                _ => None,
            },
            limit: value("limit").parse().unwrap_or(0),
            continue_token: value("continue"),
            send_initial_events: false,
        };
        if !is_watch {
            return self.serve_list(id, resource, &list);
        }
        let query = WatchQuery {
            list,
            bookmarks: value("allowWatchBookmarks") == "true",
            send_initial_events: match value("sendInitialEvents").as_str() {
                "true" => Some(true),
                "false" => Some(false),
                _ => None,
            },
        };
        let timeout = Duration::from_secs(value("timeoutSeconds").parse().unwrap_or(1800));
        self.serve_watch(id, resource, &query, timeout);
    }

    fn serve_list(&mut self, id: u32, resource: usize, query: &ListQuery) {
        let Some(connection) = self.connections.get(&id) else {
            return;
        };
        let (index, replica, asked) = (connection.informer, connection.replica, connection.asked);
        let page = match self.cluster.replicas[replica].state.list(resource, query) {
            Ok(page) => page,
            Err(refusal) => return self.refuse(id, &refusal),
        };
        let mut body: Vec<u8> = page.chunks(PAGE_BYTES).flatten().collect();
        if asked != Asked::Probe {
            let epoch = self.cluster.model.epoch();
            self.informers[index].is_served_list(epoch, asked == Asked::Page);
            if self.take_if(index, |fault| {
                fault == Fault::LoopPages && asked == Asked::Page
            }) {
                self.note_fault(index, Some(asked), Fault::LoopPages);
                body = with_token(&body, &query.continue_token);
            }
        }
        self.accept(id);
        self.send_bytes(id, body);
        self.send(id, Item::End);
    }

    fn serve_watch(&mut self, id: u32, resource: usize, query: &WatchQuery, timeout: Duration) {
        let Some(connection) = self.connections.get(&id) else {
            return;
        };
        let (index, replica) = (connection.informer, connection.replica);
        let mode = self.cluster.replicas[replica].watch_lists;
        let support = match mode {
            WatchLists::On | WatchLists::Endless => WatchListSupport::On,
            WatchLists::Refused => WatchListSupport::Refused,
            WatchLists::Ignored => WatchListSupport::Ignored,
        };
        let opened = self.cluster.replicas[replica]
            .state
            .watch(resource, query, support);
        let mut watch = match opened {
            Ok(watch) => watch,
            Err(refusal) if refusal.code == 410 && self.case.knobs.mute => {
                self.accept(id);
                return self.send(id, Item::End);
            }
            Err(refusal) => return self.refuse(id, &refusal),
        };
        if mode == WatchLists::Endless {
            watch.forget_end_bookmark();
        }
        let epoch = self.cluster.model.epoch();
        self.informers[index].is_served_watch(epoch, query.send_initial_events == Some(true));
        self.accept(id);
        if self.informers[index].close_until > self.now {
            let asked = self.connections.get(&id).map(|it| it.asked);
            self.note_fault(index, asked, Fault::CloseAtOnce { millis: 0 });
            self.send(id, Item::End);
            return;
        }
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.watch = Some(Box::new(watch));
        }
        self.plan_in(timeout, Step::Expire(id));
        let bookmarks = u64::from(self.case.knobs.bookmarks);
        if bookmarks > 0 {
            self.plan_in(Duration::from_secs(bookmarks), Step::Bookmark(id));
        }
        self.pump(id);
    }

    /// A server that hears nothing of etcd cannot answer.
    pub(crate) fn give_up(&mut self, id: u32) {
        let Some(connection) = self.connections.get(&id) else {
            return;
        };
        if self.catch_up(connection.replica) {
            self.serve(id);
        } else {
            self.refuse(id, &Refusal::of_code(504, 1));
        }
    }

    /// A consistent read makes an API server follow etcd at once (pr-L1).
    fn catch_up(&mut self, replica: usize) -> bool {
        let (now, rv) = (self.now, self.cluster.etcd.resource_version());
        let before = self.cluster.replicas[replica].state.resource_version();
        if !self.cluster.follow(replica, now, rv) {
            return false;
        }
        if self.cluster.replicas[replica].state.resource_version() != before {
            self.pump_all(Some(replica));
        }
        true
    }

    /// Something was written: every API server hears of it, in its time.
    pub(crate) fn after_write(&mut self) {
        let rv = self.cluster.etcd.resource_version();
        for index in 0..self.cluster.replicas.len() {
            let lag = u64::from(self.cluster.replicas[index].lag_millis);
            if lag == 0 {
                self.follow(index, rv);
            } else {
                self.plan_in(Duration::from_millis(lag), Step::Follow(index, rv));
            }
        }
    }

    pub(crate) fn follow(&mut self, replica: usize, rv: u64) {
        let rv = rv.min(self.cluster.etcd.resource_version());
        let now = self.now;
        if self.cluster.follow(replica, now, rv) {
            self.pump_all(Some(replica));
        }
    }

    /// Lets every watch of an API server, or of all, send what there is.
    pub(crate) fn pump_all(&mut self, replica: Option<usize>) {
        let is_concerned = |connection: &&link::Connection| {
            connection.watch.is_some() && replica.is_none_or(|it| it == connection.replica)
        };
        let all = self.connections.iter();
        let ids: Vec<u32> = all
            .filter(|(_, connection)| is_concerned(connection))
            .map(|(id, _)| *id)
            .collect();
        for id in ids {
            self.pump(id);
        }
    }

    pub(crate) fn pump(&mut self, id: u32) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        let Some(watch) = &mut connection.watch else {
            return;
        };
        let state = &self.cluster.replicas[connection.replica].state;
        let mut out = Vec::new();
        let step = watch.step(state, FLUSH_BYTES, &mut out);
        let index = connection.informer;
        if step == WatchStep::Ended {
            connection.watch = None;
            self.excuse_server(index);
            if self.case.knobs.mute
                && let Some(at) = link::position(&out, b"{\"type\":\"ERROR\"")
            {
                out.truncate(at);
            }
        }
        if !out.is_empty() {
            self.send_bytes(id, out);
        }
        match step {
            WatchStep::Ended => self.send(id, Item::End),
            WatchStep::Level => {}
            WatchStep::More => self.plan(self.now, Step::Pump(id)),
        }
    }

    pub(crate) fn send_bookmark(&mut self, id: u32) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        let Some(watch) = &mut connection.watch else {
            return;
        };
        let state = &self.cluster.replicas[connection.replica].state;
        let mut out = Vec::new();
        watch.bookmark(state, &mut out);
        if !out.is_empty() {
            self.send_bytes(id, out);
        }
        let period = u64::from(self.case.knobs.bookmarks.max(1));
        self.plan_in(Duration::from_secs(period), Step::Bookmark(id));
    }

    /// A watch has lasted as long as it was to (pr-W1).
    pub(crate) fn expire(&mut self, id: u32) {
        let is_open = self.connections.get_mut(&id).is_some_and(|connection| {
            connection.watch = None;
            !connection.is_over
        });
        if is_open {
            self.send(id, Item::End);
        }
    }

    /// The server's connections break, or end as they may.
    pub(crate) fn break_connection(&mut self, id: u32, abruptly: bool) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        connection.watch = None;
        if !connection.is_over {
            self.send(id, if abruptly { Item::Reset } else { Item::End });
        }
    }

    fn accept(&mut self, id: u32) {
        let wants_gzip = self.case.knobs.gzip;
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        connection.gzip = wants_gzip && connection.asked != Asked::Probe;
        let head = Head {
            code: 200,
            content_type: "application/json",
            gzip: connection.gzip,
            retry_after: None,
        };
        self.send(id, Item::Head(head));
    }

    fn refuse(&mut self, id: u32, refusal: &Refusal) {
        let after = Some(refusal.retry_after_seconds).filter(|after| *after > 0);
        self.refuse_with(id, refusal, after);
    }

    /// A refusal with a header that may say something else than its body.
    fn refuse_with(&mut self, id: u32, refusal: &Refusal, after: Option<u32>) {
        let retry_after = after.and_then(|after| parse_retry_after(&after.to_string()));
        let head = Head {
            code: refusal.code,
            content_type: "application/json",
            gzip: false,
            retry_after,
        };
        let body = if refusal.plain_text {
            refusal.message.clone().into_bytes()
        } else {
            refusal.to_json()
        };
        self.send(id, Item::Head(head));
        self.send(id, Item::Bytes(body));
        self.send(id, Item::End);
    }

    /// Sends bytes, with whatever the link makes of them.
    pub(crate) fn send_bytes(&mut self, id: u32, mut bytes: Vec<u8>) {
        let Some(connection) = self.connections.get(&id) else {
            return;
        };
        let (index, asked, gzip) = (connection.informer, connection.asked, connection.gzip);
        let mut cut = None;
        if asked != Asked::Probe && !self.is_calm {
            while let Some(fault) = self.next_byte_fault(index) {
                if fault.meets_stream() {
                    self.informers[index].armed.pop_front();
                    self.bring_to_stream(index, fault);
                    continue;
                }
                if let Fault::Truncate { clean } = fault {
                    cut = Some((fault, clean));
                } else if let Some(maimed) = link::maimed(fault, asked, &bytes) {
                    bytes = maimed;
                    self.note_fault(index, Some(asked), fault);
                    self.excuse_maimed(index, fault, asked);
                    if link::blemishes(fault) {
                        // pr-F7: of a deletion it learns that it does not know of what.
                        let is_seen = fault == Fault::Nameless
                            && asked == Asked::Watch
                            && link::position(&bytes, b"{\"type\":\"DELETED\"").is_some();
                        self.informers[index].is_blemished(is_seen);
                    }
                } else {
                    // It waits for bytes that it fits.
                    break;
                }
                self.informers[index].armed.pop_front();
            }
        }
        if gzip {
            bytes = link::compressed(&bytes);
        }
        if let Some((fault, clean)) = cut {
            self.note_fault(index, Some(asked), fault);
            bytes.truncate(bytes.len() / 2);
            self.send(id, Item::Bytes(bytes));
            self.break_connection(id, !clean);
            return;
        }
        self.send(id, Item::Bytes(bytes));
    }

    pub(crate) fn send(&mut self, id: u32, item: Item) {
        let now = self.now;
        let latency = self.case.knobs.latency;
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        if connection.is_over || connection.frozen_until == Instant::FAR_FUTURE {
            return;
        }
        let delay = connection.latency(latency);
        let arrival = connection.send(now, delay, item);
        self.plan(arrival, Step::Deliver(id));
    }

    fn take_request_fault(&mut self, index: usize, asked: Asked) -> Option<Fault> {
        if self.is_calm {
            return None;
        }
        let armed = &mut self.informers[index].armed;
        let fault = armed.front().copied().filter(|fault| {
            fault.meets_request() && *fault != Fault::LoopPages && *fault != Fault::NoConnect
        })?;
        // A probe is met now and then, and else left in peace.
        if asked == Asked::Probe && matches!(fault, Fault::TooLarge { .. }) {
            return None;
        }
        armed.pop_front();
        Some(fault)
    }

    pub(crate) fn take_if(&mut self, index: usize, is_it: impl Fn(Fault) -> bool) -> bool {
        let armed = &mut self.informers[index].armed;
        let found = !self.is_calm && armed.front().copied().is_some_and(is_it);
        if found {
            armed.pop_front();
        }
        found
    }

    fn next_byte_fault(&self, index: usize) -> Option<Fault> {
        let armed = &self.informers[index].armed;
        let fits = |fault: &Fault| fault.meets_bytes() || fault.meets_stream();
        armed.front().copied().filter(fits)
    }
}

/// Resource and namespace of a collection's path.
fn target(state: &tidings_apiserver::State, path: &str) -> Option<(usize, Option<String>)> {
    let mut parts = path.trim_start_matches('/').split('/').peekable();
    let group = match parts.next()? {
        "api" => "",
        _ => parts.next()?,
    };
    let version = parts.next()?;
    let namespace = if parts.peek() == Some(&"namespaces") {
        parts.next();
        Some(parts.next()?.to_owned())
    } else {
        None
    };
    let resource = state.resource(group, version, parts.next()?)?;
    Some((resource, namespace))
}

/// The parameters of a query, decoded.
fn parse(query: &str) -> Vec<(String, String)> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs
        .map(|(name, value)| (name.to_owned(), decoded(value)))
        .collect()
}

fn decoded(text: &str) -> String {
    let mut bytes = text.bytes();
    let mut out = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let mut digit = || bytes.next().and_then(|it| char::from(it).to_digit(16));
        if let (Some(high), Some(low)) = (digit(), digit()) {
            out.extend(u8::try_from(high * 16 + low));
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// The page with the token that it was asked for with.
fn with_token(body: &[u8], token: &str) -> Vec<u8> {
    let text = String::from_utf8_lossy(body);
    let Some((before, rest)) = text.split_once("\"metadata\":{") else {
        return body.to_vec();
    };
    let rest = match rest.split_once("\"continue\":\"") {
        Some((head, tail)) if head.len() < 200 => {
            let tail = tail.split_once('"').map_or("", |(_, tail)| tail);
            format!("{head}\"continue\":\"{token}\"{tail}")
        }
        _ => format!("\"continue\":\"{token}\",{rest}"),
    };
    format!("{before}\"metadata\":{{{rest}").into_bytes()
}

/// Bytes of a page that are written at a time.
const PAGE_BYTES: usize = 4 << 10;
const FLUSH_BYTES: usize = 2048;
