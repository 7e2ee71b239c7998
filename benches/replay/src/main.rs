//! Serves the same pods and the same events to every informer that is measured.
//!
//! A small part of the Kubernetes API over HTTP/1.1 on loopback, plain or with TLS: lists (whole and paged),
//! watches, streaming lists, and a stream of MODIFIED events at a given rate. It is a replay and
//! not a store: every watch gets its own copy of the same history, and a list always shows the
//! pods as they were before the first event. Selectors and `timeoutSeconds` are ignored.

mod args;
mod connection;
mod generator;
mod http;
mod pods;
mod serve;
mod usage;

use std::io::Write;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;

use crate::args::Args;
use crate::connection::Identity;
use crate::pods::Catalog;
use crate::serve::Server;

fn main() {
    if let Err(message) = run() {
        eprintln!("tidings-replay: {message}");
        std::process::exit(1);
    }
}

fn run() -> Result<(), String> {
    let Some(args) = Args::parse(std::env::args().skip(1))? else {
        print!("{}", args::HELP);
        return Ok(());
    };
    usage::use_precise_timers();
    let catalog = Catalog::new(args.objects);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, args.port))
        .map_err(|error| format!("cannot listen on 127.0.0.1:{}: {error}", args.port))?;
    let address = listener
        .local_addr()
        .map_err(|error| format!("no local address: {error}"))?;
    let identity = match &args.kubeconfig_out {
        None => None,
        Some(path) => {
            let identity = Identity::new()?;
            identity
                .write_kubeconfig(path, &address.to_string())
                .map_err(|error| format!("cannot write {path}: {error}"))?;
            Some(identity)
        }
    };
    let scheme = if identity.is_some() { "https" } else { "http" };
    println!(
        "listening {scheme}://{address} objects={} item_bytes={}",
        catalog.len(),
        catalog.mean_item_bytes()
    );
    std::io::stdout()
        .flush()
        .map_err(|error| format!("cannot write to stdout: {error}"))?;
    Server::new(catalog, args, identity).run(&listener);
    Ok(())
}

/// The server is shared by the connection threads.
type SharedServer = Arc<Server>;
