//! The `tidings` command: watch a resource, measure what an informer costs, run an API server or a simulation.

mod apiserver;
mod args;
mod connect;
mod diff;
mod lines;
mod measure;
mod meter;
mod names;
mod output;
mod pods;
mod sim;
mod watch;

use std::process::ExitCode;

use clap::Parser as _;

use self::args::{Command, Runtime};

fn main() -> ExitCode {
    let args = args::Args::parse();
    let is_multi = matches!(&args.command, Command::Measure(m) if m.runtime == Runtime::Multi);
    let mut builder = if is_multi {
        tokio::runtime::Builder::new_multi_thread()
    } else {
        tokio::runtime::Builder::new_current_thread()
    };
    let ended = builder
        .enable_all()
        .build()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| {
            runtime.block_on(async {
                match args.command {
                    Command::Apiserver(args) => apiserver::run(args).await,
                    Command::Measure(args) => measure::run(args).await,
                    Command::Sim(args) => sim::run(&args),
                    Command::Watch(args) => watch::run(args).await,
                }
            })
        });
    match ended {
        Ok(code) => code,
        // Whoever read our lines has had enough.
        Err(error) if output::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            output::error(&error);
            ExitCode::FAILURE
        }
    }
}
