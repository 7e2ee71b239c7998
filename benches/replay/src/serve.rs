//! Answers requests: one thread a connection, lists and watches of pods, and the replay's own routes.

use std::io;
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::SharedServer;
use crate::args::Args;
use crate::connection::{Connection, Identity};
use crate::generator::{self, Phase, Stats};
use crate::http::{Chunks, Request, respond};
use crate::pods::{Catalog, KIND};
use crate::usage;

const METADATA_KIND: &[u8] = br#"{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","#;
const CONTINUE_PREFIX: &str = "replay-";
/// A quiet watch looks this often whether its client has gone.
const QUIET_CHECK: Duration = Duration::from_millis(500);

/// The pods, the flags, and the orders to start an event phase.
pub struct Server {
    catalog: Catalog,
    args: Args,
    orders: Mutex<Order>,
    ordered: Condvar,
    stats: Stats,
    identity: Option<Identity>,
    /// Whether a watch has been told that its version has expired.
    expired: AtomicBool,
}

/// The newest order; watches compare its number with the last one they obeyed.
#[derive(Clone, Copy)]
struct Order {
    number: u64,
    phase: Phase,
}

impl Server {
    /// Makes a server that is not yet listening.
    pub fn new(catalog: Catalog, args: Args, identity: Option<Identity>) -> SharedServer {
        let phase = Phase {
            events: args.events,
            rate: args.rate,
        };
        Arc::new(Self {
            catalog,
            args,
            orders: Mutex::new(Order { number: 0, phase }),
            ordered: Condvar::new(),
            stats: Stats::default(),
            identity,
            expired: AtomicBool::new(false),
        })
    }

    /// Accepts connections until the process is ended.
    pub fn run(self: Arc<Self>, listener: &TcpListener) {
        for stream in listener.incoming() {
            match stream {
                Ok(stream) => {
                    let server = Arc::clone(&self);
                    // A failed connection concerns its client alone, and the client says so.
                    std::thread::spawn(move || server.serve(stream).ok());
                }
                Err(error) => eprintln!("tidings-replay: cannot accept: {error}"),
            }
        }
    }

    fn serve(&self, stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut stream = match &self.identity {
            None => Connection::Plain(stream),
            Some(identity) => identity.accept(stream)?,
        };
        let mut carry = Vec::new();
        while let Some(request) = Request::read(&mut stream, &mut carry)? {
            match (request.method.as_str(), request.path.as_str()) {
                ("GET", "/api/v1/pods") if request.flag("watch") => {
                    // A watch is the last thing on its connection.
                    return self.watch(&mut stream, &request);
                }
                ("GET", "/api/v1/pods") => self.list(&mut stream, &request)?,
                ("POST", "/replay/start") => self.start(&mut stream, &request)?,
                ("GET", "/replay/stats") => respond(&mut stream, "200 OK", &self.stats_json())?,
                ("GET", path) => match discovery(path) {
                    Some(body) => respond(&mut stream, "200 OK", body)?,
                    None => respond(&mut stream, "404 Not Found", NOT_FOUND)?,
                },
                _ => respond(&mut stream, "405 Method Not Allowed", NOT_ALLOWED)?,
            }
        }
        Ok(())
    }

    /// Answers a list; like an API server with a watch cache, it ignores `limit` at RV 0.
    fn list(&self, stream: &mut Connection, request: &Request) -> io::Result<()> {
        let total = self.catalog.len();
        let first = request
            .param("continue")
            .and_then(|token| token.strip_prefix(CONTINUE_PREFIX)?.parse().ok())
            .unwrap_or(0_usize)
            .min(total);
        let limit = request
            .param("limit")
            .and_then(|limit| limit.parse().ok())
            .unwrap_or(0);
        let whole = limit == 0 || (request.param("resourceVersion") == Some("0") && first == 0);
        let end = if whole {
            total
        } else {
            first.saturating_add(limit).min(total)
        };
        let (kind, version, item_start): (_, _, &[u8]) = if request.metadata_only {
            ("PartialObjectMetadataList", "meta.k8s.io/v1", METADATA_KIND)
        } else {
            ("PodList", "v1", b"{")
        };
        let rest = match total - end {
            0 => String::new(),
            rest => format!(r#","continue":"{CONTINUE_PREFIX}{end}","remainingItemCount":{rest}"#),
        };
        let rv = self.catalog.list_rv();
        let head = format!(
            r#"{{"kind":"{kind}","apiVersion":"{version}","metadata":{{"resourceVersion":"{rv}"{rest}}},"items":["#
        );
        let mut out = Chunks::start(stream)?;
        out.push(head.as_bytes())?;
        for index in first..end {
            let pod = self.catalog.pod(index);
            if index > first {
                out.push(b",")?;
            }
            out.push(item_start)?;
            if request.metadata_only {
                out.push(self.catalog.slice(pod.metadata..pod.metadata_end))?;
                out.push(b"}")?;
            } else {
                out.push(self.catalog.slice(pod.metadata..pod.object_end))?;
            }
        }
        out.push(b"]}\n")?;
        out.finish()
    }

    /// Answers a watch and stays with it until the client closes the connection.
    fn watch(&self, stream: &mut Connection, request: &Request) -> io::Result<()> {
        let list_rv = self.catalog.list_rv();
        let mut next = request
            .param("resourceVersion")
            .and_then(|rv| rv.parse::<u64>().ok())
            .map_or(0, |rv| rv.saturating_sub(list_rv));
        let mut obeyed = self.order().number;
        let mut out = Chunks::start(stream)?;
        if request.flag("sendInitialEvents") {
            next = 0;
            self.send_initial_events(&mut out, request.metadata_only)?;
        }
        if let Some(delay) = self.args.expire_ms
            && next == 0
            && !self.expired.swap(true, Ordering::SeqCst)
        {
            std::thread::sleep(Duration::from_millis(delay));
            out.write_framed(format!("{:x}\r\n{EXPIRED}\n\r\n", EXPIRED.len() + 1).as_bytes())?;
            return out.finish();
        }
        let delay = self
            .args
            .auto_start_ms
            .filter(|_| next == 0 && self.args.events > 0);
        let mut auto_start = delay.map(|ms| Instant::now() + Duration::from_millis(ms));
        loop {
            let mut phase = self.wait_for_order(&mut obeyed, auto_start);
            if phase.is_none() && auto_start.is_some_and(|at| at <= Instant::now()) {
                auto_start = None;
                phase = Some(Phase {
                    events: self.args.events,
                    rate: self.args.rate,
                });
            }
            if let Some(phase) = phase {
                let metadata_only = request.metadata_only;
                generator::run(
                    &mut out,
                    &self.catalog,
                    metadata_only,
                    next,
                    phase,
                    &self.stats,
                )?;
                next += phase.events;
            } else if out.is_closed() {
                return Ok(());
            }
        }
    }

    fn send_initial_events<'a>(
        &'a self,
        out: &mut Chunks<'a>,
        metadata_only: bool,
    ) -> io::Result<()> {
        if metadata_only {
            for index in 0..self.catalog.len() {
                let pod = self.catalog.pod(index);
                out.push(br#"{"type":"ADDED","object":"#)?;
                out.push(METADATA_KIND)?;
                out.push(self.catalog.slice(pod.metadata..pod.metadata_end))?;
                out.push(b"}}\n")?;
            }
        } else {
            out.write_framed(self.catalog.added_frames())?;
        }
        let (kind, rest) = if metadata_only {
            (METADATA_KIND, "")
        } else {
            (KIND, r#","spec":{"containers":null},"status":{}"#)
        };
        let line = format!(
            r#"{{"type":"BOOKMARK","object":{}"metadata":{{"resourceVersion":"{}","annotations":{{"k8s.io/initial-events-end":"true"}}}}{rest}}}}}"#,
            String::from_utf8_lossy(kind),
            self.catalog.list_rv()
        );
        out.write_framed(format!("{:x}\r\n{line}\n\r\n", line.len() + 1).as_bytes())
    }

    /// Waits a while for an order that this watch has not obeyed yet.
    fn wait_for_order(&self, obeyed: &mut u64, until: Option<Instant>) -> Option<Phase> {
        let orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        let left = until.map_or(QUIET_CHECK, |at| {
            at.saturating_duration_since(Instant::now())
        });
        let (order, _) = self
            .ordered
            .wait_timeout_while(orders, left.min(QUIET_CHECK), |order| {
                order.number == *obeyed
            })
            .unwrap_or_else(PoisonError::into_inner);
        let phase = (order.number != *obeyed).then_some(order.phase);
        *obeyed = order.number;
        phase
    }

    fn order(&self) -> Order {
        *self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn start(&self, stream: &mut Connection, request: &Request) -> io::Result<()> {
        let value = |name, default| request.param(name).map_or(Ok(default), str::parse::<u64>);
        let (Ok(events), Ok(rate)) = (
            value("events", self.args.events),
            value("rate", self.args.rate),
        ) else {
            return respond(stream, "400 Bad Request", BAD_REQUEST);
        };
        {
            let mut orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
            *orders = Order {
                number: orders.number + 1,
                phase: Phase { events, rate },
            };
        }
        self.ordered.notify_all();
        respond(stream, "200 OK", "{}\n")
    }

    fn stats_json(&self) -> String {
        let cpu = usage::cpu_us();
        format!(
            "{{\"cpu_ms\":{}.{:03},\"events\":{},\"behind_us_max\":{}}}\n",
            cpu / 1_000,
            cpu % 1_000,
            self.stats.events.load(Ordering::Relaxed),
            self.stats.behind_us_max.load(Ordering::Relaxed)
        )
    }
}

/// Returns the body of a discovery route.
fn discovery(path: &str) -> Option<&'static str> {
    Some(match path {
        "/version" => r#"{"major":"1","minor":"36","gitVersion":"v1.36.0-replay"}"#,
        "/api" => r#"{"kind":"APIVersions","versions":["v1"],"serverAddressByClientCIDRs":[]}"#,
        "/apis" => r#"{"kind":"APIGroupList","apiVersion":"v1","groups":[]}"#,
        "/api/v1" => {
            r#"{"kind":"APIResourceList","groupVersion":"v1","resources":[{"name":"pods","singularName":"pod","namespaced":true,"kind":"Pod","verbs":["get","list","watch"],"shortNames":["po"]}]}"#
        }
        "/healthz" | "/livez" | "/readyz" => "ok",
        _ => return None,
    })
}

const EXPIRED: &str = r#"{"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"too old resource version","reason":"Expired","code":410}}"#;
const NOT_FOUND: &str = r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"the replay server has no such path","reason":"NotFound","code":404}"#;
const NOT_ALLOWED: &str = r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"the replay server is read-only","reason":"MethodNotAllowed","code":405}"#;
const BAD_REQUEST: &str = r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"events and rate must be whole numbers","reason":"BadRequest","code":400}"#;
