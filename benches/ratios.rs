//! Reads what criterion has recorded and prints a table: each bench beside its floor and its peer.
//!
//! `cargo run --release -p tidings-benches --bin ratios [FILTER]`, after `cargo bench`. A bench
//! whose last part begins with `floor-` or `peer-` is the measure of those whose id begins like its
//! own: `decode/raw/pod6.8k/floor-copy` of `decode/raw/pod6.8k`, `indexer/get/100k/floor-hashmap` of
//! `indexer/get/100k` and of `indexer/get/100k/with`.

#![expect(clippy::print_stdout, reason = "its output is its purpose")]

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

/// One record: the id, and the median and its bounds in nanoseconds.
struct Record {
    id: String,
    median: f64,
    least: f64,
    most: f64,
}

fn main() -> Result<()> {
    let filter = env::args().nth(1).unwrap_or_default();
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from);
    let mut records = Vec::new();
    gather(&target.join("criterion"), &mut records)?;
    records.retain(|record| record.id.contains(&filter));
    ensure!(
        !records.is_empty(),
        "nothing is recorded: run cargo bench first"
    );
    records.sort_by(|left, right| left.id.cmp(&right.id));
    println!("| bench | median (95 % of the median) | of its floors and peers |");
    println!("|---|---|---|");
    for record in records
        .iter()
        .filter(|record| measured(&record.id).is_none())
    {
        let of = |other: &&Record| {
            measured(&other.id).is_some_and(|prefix| is_below(&record.id, prefix))
        };
        let ratios: Vec<String> = records
            .iter()
            .filter(of)
            .map(|other| {
                let name = other.id.rsplit('/').next().unwrap_or_default();
                format!("{name} {:.2}x", record.median / other.median)
            })
            .collect();
        let spread = format!(
            "{} ({} to {})",
            time(record.median),
            time(record.least),
            time(record.most)
        );
        println!("| `{}` | {spread} | {} |", record.id, ratios.join(", "));
    }
    Ok(())
}

/// What a floor or a peer is the measure of: its id without its last part.
fn measured(id: &str) -> Option<&str> {
    let (prefix, last) = id.rsplit_once('/')?;
    (last.starts_with("floor-") || last.starts_with("peer-")).then_some(prefix)
}

fn is_below(id: &str, prefix: &str) -> bool {
    id.strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Reads the newest estimates below a folder.
fn gather(folder: &Path, records: &mut Vec<Record>) -> Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("{}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        if !path.is_dir() {
            continue;
        }
        if path.ends_with("new") {
            let json = |name: &str| -> Result<Value> {
                let text = fs::read_to_string(path.join(name))?;
                Ok(serde_json::from_str(&text)?)
            };
            let (id, estimates) = (json("benchmark.json")?, json("estimates.json")?);
            let median = &estimates["median"];
            let number = |value: &Value| value.as_f64().context("a number");
            records.push(Record {
                id: id["full_id"].as_str().context("an id")?.to_owned(),
                median: number(&median["point_estimate"])?,
                least: number(&median["confidence_interval"]["lower_bound"])?,
                most: number(&median["confidence_interval"]["upper_bound"])?,
            });
        } else {
            gather(&path, records)?;
        }
    }
    Ok(())
}

fn time(nanos: f64) -> String {
    match nanos {
        n if n < 1e3 => format!("{n:.1} ns"),
        n if n < 1e6 => format!("{:.2} us", n / 1e3),
        n if n < 1e9 => format!("{:.2} ms", n / 1e6),
        n => format!("{:.2} s", n / 1e9),
    }
}
