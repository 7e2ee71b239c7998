//! The embedded API server over loopback: lists, watches, writes, and what they cost on either side.
//!
//! Prints one line a figure: `cargo bench --bench apiserver_report [-- list|memory|watch|write]`. Server
//! and clients are threads of one process, so CPU can be told apart by thread: what the clients' threads
//! did not use, the server did, the kernel's work for it included. Floors in the same run: a hyper server
//! that sends one buffer, echoes a body, or sends each body to all watchers, and knows no objects.

#![expect(clippy::print_stdout, reason = "its output is its purpose")]

mod client;
mod clock;
mod floor;
mod list;
mod objects;
mod watch;
mod write;

use tidings_apiserver::serve::{self, Config};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |word: &str| arguments.iter().any(|argument| argument == word);
    let is_smoke = has("--test") || !has("--bench");
    let sections = ["list", "watch", "write"];
    let is_chosen = sections.iter().any(|section| has(section));
    for section in sections {
        if is_chosen && !has(section) {
            continue;
        }
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        let server = runtime.block_on(serve::start(Config::default()));
        let server = server.expect("loopback");
        match (section, is_smoke) {
            ("list", false) => list::report(&runtime, &server, 50_000, 3),
            ("list", true) => list::report(&runtime, &server, 1_000, 1),
            ("watch", false) => watch::report(&runtime, &server, 100, 5_000),
            ("watch", true) => watch::report(&runtime, &server, 10, 50),
            ("write", false) => write::report(&runtime, &server, 40_000, 3),
            (_, _) => write::report(&runtime, &server, 400, 1),
        }
        runtime.block_on(server.shutdown());
    }
}
