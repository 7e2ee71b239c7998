//! A server that closes the connection after any number of bytes: each is tried.
//!
//! What a real server said is recorded, and played to as many informers as it has bytes, each time
//! one byte further. Whatever the cut, each change comes once and in order, and nothing is shown that
//! never was.

use std::sync::{Arc, Mutex};

use tidings::{Event, Informer, Raw, ReflectorConfig, Resource, Scope};
use tidings_apiserver::serve::{self, Handle};
use tidings_http::{Client, ClientConfig};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use crate::{
    front::relay,
    runner::{DEADLINE, alone, delete, impatient, put, shown, truth},
    words,
};

/// Informers at a time.
const AT_A_TIME: usize = 32;

/// How a connection ends.
#[derive(Clone, Copy, PartialEq)]
enum End {
    Farewell,
    Reset,
}

/// What a server said, and what it knows.
struct Recorded {
    server: Handle,
    list: Vec<u8>,
    watch: Vec<u8>,
    /// What a handler has to be told: of the list, in any order, and of the watch.
    listed: Vec<String>,
    watched: Vec<String>,
}

/// Says something to a server and records what it answers, up to a word.
async fn record(server: &Handle, path: &str, until: &str, meanwhile: impl FnOnce()) -> Vec<u8> {
    let mut io = TcpStream::connect(server.address()).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nAccept: application/json\r\n\r\n");
    io.write_all(request.as_bytes()).await.unwrap();
    let mut said = Vec::new();
    let mut meanwhile = Some(meanwhile);
    loop {
        let count = io.read_buf(&mut said).await.unwrap();
        assert!(count > 0, "the server hung up");
        if let Some(meanwhile) = meanwhile.take() {
            meanwhile();
        }
        if said
            .windows(until.len())
            .any(|found| found == until.as_bytes())
        {
            return said;
        }
    }
}

async fn recorded() -> Recorded {
    let server = serve::start(serve::Config::default()).await.unwrap();
    for name in ["a", "b"] {
        put(&server, name, "1");
    }
    let path = "/api/v1/configmaps";
    let list = record(&server, path, "]}", || {}).await;
    let version = server.apply(|state| state.resource_version());
    let path = format!("{path}?watch=true&resourceVersion={version}");
    // The deletion is the last event, at this version.
    let last = format!("\"resourceVersion\":\"{}\"", version + 4);
    let watch = record(&server, &path, &last, || {
        put(&server, "c", "1");
        put(&server, "a", "2");
        put(&server, "a", "3");
        delete(&server, "b");
    });
    let watch = watch.await;
    let at = |change: &str, number| format!("{change}@{}", version + number);
    Recorded {
        list,
        watch,
        listed: vec![
            format!("added default/a@{}", version - 1),
            format!("added default/b@{version}"),
        ],
        watched: vec![
            at("added default/c", 1),
            at("updated default/a", 2),
            at("updated default/a", 3),
            at("deleted default/b", 4),
        ],
        server,
    }
}

/// Answers the requests of one informer: a part of the record first, and the truth from then on.
async fn serve_cut(
    listener: TcpListener,
    parts: Vec<(Vec<u8>, Option<End>)>,
    behind: std::net::SocketAddr,
) {
    for (bytes, end) in parts {
        let (mut io, _) = listener.accept().await.unwrap();
        let _ = words::read_head(&mut io).await;
        let _ = io.write_all(&bytes).await;
        match end {
            None => drop(tokio::spawn(
                async move { while io.read_u8().await.is_ok() {} },
            )),
            Some(End::Farewell) => drop(io),
            Some(End::Reset) => io.set_zero_linger().unwrap(),
        }
    }
    loop {
        let (io, _) = listener.accept().await.unwrap();
        tokio::spawn(relay(behind, io, b""));
    }
}

/// One informer that meets these parts: it gets level, and is told what happened.
async fn follow(recorded: &Recorded, parts: Vec<(Vec<u8>, Option<End>)>, what: String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let serving = tokio::spawn(serve_cut(listener, parts, recorded.server.address()));
    let told = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&told);
    let client = Client::new(ClientConfig::from_server(&url).unwrap()).unwrap();
    let scope = Scope::all(Resource::parse("v1/configmaps").unwrap());
    let informer = Informer::builder(client, scope)
        .reflector(ReflectorConfig {
            // A stream that had worked is opened again soon.
            short_stream: std::time::Duration::ZERO,
            ..impatient()
        })
        .handler(move |event: Event<'_, Raw>| {
            let change = match event {
                Event::Added { .. } => "added",
                Event::Updated { .. } => "updated",
                Event::Deleted { .. } => "deleted",
                Event::Poisoned { .. } => "poisoned",
            };
            let line = format!("{change} {:?}", event.entry().object);
            log.lock().unwrap().push(line);
        })
        .build()
        .unwrap();
    let handle = informer.handle();
    let running = tokio::spawn(informer.run());
    let expected = truth(&recorded.server);
    let mut progress = handle.watch_progress();
    let reached = progress.wait_for(|_| shown(&handle) == expected);
    let reached = tokio::time::timeout(DEADLINE, reached).await.is_ok();
    let summary = handle.state().summary();
    assert!(reached, "{what}: {:?}: {summary}", shown(&handle));
    let stats = handle.state().stats;
    handle.stop();
    running.await.expect("no panic");
    serving.abort();
    let mut told = told.lock().unwrap().clone();
    if stats.lists == 1 || what.starts_with("watch") {
        let listed = recorded.listed.len();
        assert!(told.len() >= listed, "{what}: {told:?}");
        told[..listed].sort();
        let all = [recorded.listed.as_slice(), &recorded.watched].concat();
        assert_eq!(told, all, "{what}");
        assert_eq!(stats.lists, 1, "{what}: a cut is no reason to list");
    } else {
        // A list that was cut has shown nothing: what there is now was all there ever was.
        told.sort();
        let all: Vec<_> = expected
            .iter()
            .map(|object| format!("added {object}"))
            .collect();
        assert_eq!(told, all, "{what}");
    }
}

/// Plays the record to as many informers as there are places for a cut.
async fn cut_everywhere(
    of: impl Fn(&Recorded, usize) -> Vec<(Vec<u8>, Option<End>)>,
    what: &'static str,
    count: fn(&Recorded) -> usize,
) {
    let recorded = Arc::new(recorded().await);
    let mut running = JoinSet::new();
    for at in 0..=count(&recorded) {
        let parts = of(&recorded, at);
        let recorded = Arc::clone(&recorded);
        running.spawn(async move { follow(&recorded, parts, format!("{what}, byte {at}")).await });
        while running.len() >= AT_A_TIME {
            running.join_next().await.unwrap().unwrap();
        }
    }
    while let Some(followed) = running.join_next().await {
        followed.unwrap();
    }
}

#[test]
fn inv_s7_pr_f23_a_watch_is_cut_at_each_byte() {
    let of = |recorded: &Recorded, at: usize| {
        let list = (recorded.list.clone(), None);
        vec![list, (recorded.watch[..at].to_vec(), Some(End::Farewell))]
    };
    alone(cut_everywhere(of, "watch", |recorded| recorded.watch.len()));
}

#[test]
fn inv_s7_pr_f28_a_watch_is_reset_at_each_byte() {
    let of = |recorded: &Recorded, at: usize| {
        let list = (recorded.list.clone(), None);
        vec![list, (recorded.watch[..at].to_vec(), Some(End::Reset))]
    };
    alone(cut_everywhere(of, "watch", |recorded| recorded.watch.len()));
}

#[test]
fn inv_s5_pr_l21_a_list_is_cut_at_each_byte_but_its_last() {
    let of =
        |recorded: &Recorded, at: usize| vec![(recorded.list[..at].to_vec(), Some(End::Farewell))];
    alone(cut_everywhere(of, "list", |recorded| {
        recorded.list.len() - 1
    }));
}

#[test]
fn the_nth_request_fails_whatever_it_is_for() {
    for failing in 1..6 {
        for end in [End::Farewell, End::Reset] {
            let of = move |_: &Recorded, _: usize| vec![(Vec::new(), Some(end)); failing];
            alone(cut_everywhere(of, "list", |_| 0));
        }
    }
}
