//! Turns the lines that `benches/peers/run` collects into markdown tables.
//!
//! In: one JSON object a line on stdin, `{"scenario", "peer", "load", "report"}`. Out: one table a
//! scenario and kind of figure; a cell is the median, the range in brackets, and how many times
//! the figure of the first peer called `ours...` that is. A last table sums up: our figure beside
//! the best of each family of peers, a family being what stands before the first dash.

use std::io::Read;

use serde_json::Value;

/// A column: its title, the path of the figure in the report, and what to divide it by.
#[derive(Clone, Copy)]
struct Column {
    title: &'static str,
    path: &'static [&'static str],
    per: Per,
    decimals: usize,
}

/// What a figure is divided by.
#[derive(Clone, Copy)]
enum Per {
    /// A constant.
    Unit(f64),
    /// The report's number of objects, times a unit.
    Object(f64),
    /// The report's number of events, times a unit.
    Event(f64),
    /// Another figure of the report, in hundredths.
    Percent(&'static str),
}

const fn column(
    title: &'static str,
    path: &'static [&'static str],
    per: Per,
    decimals: usize,
) -> Column {
    Column {
        title,
        path,
        per,
        decimals,
    }
}

const SYNC: &[Column] = &[
    column("sync wall, ms", &["sync_wall_ms"], Per::Unit(1.0), 0),
    column("sync CPU, ms", &["sync_cpu_ms"], Per::Unit(1.0), 0),
    column("of it user", &["sync_user_ms"], Per::Unit(1.0), 0),
    column("CPU an object, us", &["sync_cpu_ms"], Per::Object(1e-3), 1),
    column("peak RSS, MB", &["peak_rss_bytes"], Per::Unit(1e6), 0),
    column(
        "peak an object, KB",
        &["peak_rss_bytes"],
        Per::Object(1e3),
        1,
    ),
];
const EVENTS: &[Column] = &[
    column("events/s", &["events_per_s"], Per::Unit(1.0), 0),
    column("CPU an event, us", &["events_cpu_ms"], Per::Event(1e-3), 1),
    column("p50, us", &["latency_us", "p50"], Per::Unit(1.0), 0),
    column("p99, us", &["latency_us", "p99"], Per::Unit(1.0), 0),
    column("p99.9, us", &["latency_us", "p999"], Per::Unit(1.0), 0),
    column("max, us", &["latency_us", "max"], Per::Unit(1.0), 0),
];
const RELIST: &[Column] = &[
    column("peak RSS, MB", &["peak_rss_bytes"], Per::Unit(1e6), 0),
    column(
        "peak after the relist, MB",
        &["events_peak_rss_bytes"],
        Per::Unit(1e6),
        0,
    ),
    column(
        "of the peak before, %",
        &["events_peak_rss_bytes"],
        Per::Percent("peak_rss_bytes"),
        0,
    ),
    column("CPU of the sync, ms", &["sync_cpu_ms"], Per::Unit(1.0), 0),
    column(
        "CPU after it, ms",
        &["after_sync_cpu_ms"],
        Per::Unit(1.0),
        0,
    ),
];
const GETS: &[Column] = &[
    column("get mean, ns", &["get_ns", "mean"], Per::Unit(1.0), 0),
    column("timed get p50, ns", &["get_ns", "p50"], Per::Unit(1.0), 0),
    column("p99, ns", &["get_ns", "p99"], Per::Unit(1.0), 0),
    column("p99.9, ns", &["get_ns", "p999"], Per::Unit(1.0), 0),
    column("max, us", &["get_ns", "max"], Per::Unit(1e3), 0),
    column(
        "mean over all keys, ns",
        &["get_ns", "all_keys", "mean"],
        Per::Unit(1.0),
        0,
    ),
    column(
        "p99.9 over all keys, ns",
        &["get_ns", "all_keys", "p999"],
        Per::Unit(1.0),
        0,
    ),
    column("writes/s", &["events_per_s"], Per::Unit(1.0), 0),
    column("clock alone, ns", &["get_ns", "timer"], Per::Unit(1.0), 0),
];

const WORKQUEUE: &[Column] = &[
    column(
        "turn, least, ns",
        &["workqueue", "turn", "least"],
        Per::Unit(1.0),
        0,
    ),
    column("median", &["workqueue", "turn", "ns"], Per::Unit(1.0), 0),
    column(
        "allocations",
        &["workqueue", "turn", "allocations"],
        Per::Unit(1.0),
        1,
    ),
    column(
        "100 000 waiting, least, ns",
        &["workqueue", "waiting", "least"],
        Per::Unit(1.0),
        0,
    ),
    column(
        "add dirty, least, ns",
        &["workqueue", "dirty", "least"],
        Per::Unit(1.0),
        0,
    ),
    column(
        "add_after, least, ns",
        &["workqueue", "add_after", "least"],
        Per::Unit(1.0),
        0,
    ),
    column(
        "4 + 4 threads, ns",
        &["workqueue", "crowd", "ns"],
        Per::Unit(1.0),
        0,
    ),
    column(
        "4 + 4 tasks, ns",
        &["workqueue", "task_crowd", "ns"],
        Per::Unit(1.0),
        0,
    ),
    column(
        "add of a million, ns",
        &["workqueue", "many_ns"],
        Per::Unit(1.0),
        0,
    ),
    column(
        "bytes beside the key",
        &["workqueue", "many_bytes"],
        Per::Unit(1.0),
        0,
    ),
];

fn main() {
    let mut text = String::new();
    if let Err(error) = std::io::stdin().read_to_string(&mut text) {
        eprintln!("table: cannot read stdin: {error}");
        std::process::exit(1);
    }
    let mut lines = Vec::new();
    for (number, line) in text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty())
    {
        match serde_json::from_str::<Value>(line) {
            Ok(value) => lines.push(value),
            Err(error) => eprintln!("table: line {} is not JSON: {error}", number + 1),
        }
    }
    for scenario in distinct(&lines, "scenario") {
        let of_scenario: Vec<&Value> = lines
            .iter()
            .filter(|line| line["scenario"] == scenario.as_str())
            .collect();
        let tables: &[(&str, &[Column])] = if scenario.starts_with("relist") {
            &[("relist", RELIST)]
        } else if scenario.starts_with("gets") {
            &[("gets", GETS)]
        } else if scenario.starts_with("workqueue") {
            &[("workqueue", WORKQUEUE)]
        } else {
            &[("sync", SYNC), ("events", EVENTS)]
        };
        for (what, columns) in tables {
            print_table(&scenario, what, columns, &of_scenario);
        }
    }
    print_summary(&lines);
}

/// What the summary shows of a scenario: its name's beginning, the column, whether more is better.
const SUMMARY: &[(&str, Column, bool)] = &[
    ("burst", SYNC[3], false),
    ("burst", SYNC[5], false),
    ("burst", EVENTS[0], true),
    ("burst", EVENTS[1], false),
    ("latency", EVENTS[2], false),
    ("latency", EVENTS[3], false),
    ("gets", GETS[0], false),
    ("gets", GETS[3], false),
    ("relist", RELIST[2], false),
    ("relist", RELIST[4], false),
    ("real", SYNC[0], false),
    ("real", SYNC[3], false),
    ("real", SYNC[5], false),
    ("workqueue", WORKQUEUE[0], false),
    ("workqueue", WORKQUEUE[6], false),
];

/// One line a figure: ours, then the best of each family and how many times ours that is.
fn print_summary(lines: &[Value]) {
    let peers = distinct(lines, "peer");
    let mut families: Vec<&str> = Vec::new();
    for peer in &peers {
        let family = peer.split('-').next().unwrap_or_default();
        if family != "ours" && !families.contains(&family) {
            families.push(family);
        }
    }
    println!("\n### Summary\n");
    let heads: String = families
        .iter()
        .map(|family| format!(" best of {family} |"))
        .collect();
    println!("| scenario | figure | first of ours |{heads}");
    println!("|---|---|---|{}", "---|".repeat(families.len()));
    for scenario in distinct(lines, "scenario") {
        let of_scenario: Vec<&Value> = lines
            .iter()
            .filter(|line| line["scenario"] == scenario.as_str())
            .collect();
        let rows = SUMMARY
            .iter()
            .filter(|(name, ..)| scenario.starts_with(name));
        for (_, column, more_is_better) in rows {
            let of = |peer: &String| median(&samples(column, &of_scenario, peer));
            let ours = peers.iter().find(|peer| peer.starts_with("ours"));
            let Some(ours) = ours.and_then(of) else {
                continue;
            };
            let best_of = |family: &&str| {
                let mut found: Vec<(f64, &str)> = peers
                    .iter()
                    .filter(|peer| peer.split('-').next() == Some(family))
                    .filter_map(|peer| Some((of(peer)?, peer.as_str())))
                    .collect();
                found.sort_by(|left, right| left.0.total_cmp(&right.0));
                let best = if *more_is_better {
                    found.last()
                } else {
                    found.first()
                };
                best.map_or_else(
                    || " - |".to_owned(),
                    |(value, peer)| {
                        let decimals = column.decimals;
                        format!(" {value:.decimals$} {:.2}x ({peer}) |", value / ours)
                    },
                )
            };
            let cells: String = families.iter().map(best_of).collect();
            let decimals = column.decimals;
            println!(
                "| {scenario} | {} | {ours:.decimals$} |{cells}",
                column.title
            );
        }
    }
}

/// Returns the values of a field in order of first appearance.
fn distinct<'a>(lines: impl IntoIterator<Item = &'a Value>, field: &str) -> Vec<String> {
    let mut values: Vec<String> = Vec::new();
    for value in lines.into_iter().filter_map(|line| line[field].as_str()) {
        if !values.iter().any(|known| known == value) {
            values.push(value.to_owned());
        }
    }
    values
}

fn print_table(scenario: &str, what: &str, columns: &[Column], lines: &[&Value]) {
    if !lines.iter().any(|line| figure(&columns[0], line).is_some()) {
        return;
    }
    let peers = distinct(lines.iter().copied(), "peer");
    let ours = peers.iter().find(|peer| peer.starts_with("ours"));
    println!("\n### {scenario}: {what}\n");
    let titles: Vec<&str> = columns.iter().map(|column| column.title).collect();
    println!("| peer | runs | {} |", titles.join(" | "));
    println!("|---|---{}|", "|---".repeat(columns.len()));
    for peer in &peers {
        let cells: Vec<String> = columns
            .iter()
            .map(|column| {
                let base = ours
                    .map(|ours| samples(column, lines, ours))
                    .unwrap_or_default();
                cell(&samples(column, lines, peer), &base, column.decimals)
            })
            .collect();
        let runs = samples(&columns[0], lines, peer).len();
        println!("| {peer} | {runs} | {} |", cells.join(" | "));
    }
}

/// Returns one peer's figures, sorted.
fn samples(column: &Column, lines: &[&Value], peer: &str) -> Vec<f64> {
    let mut samples: Vec<f64> = lines
        .iter()
        .filter(|line| line["peer"] == peer)
        .filter_map(|line| figure(column, line))
        .collect();
    samples.sort_by(f64::total_cmp);
    samples
}

fn figure(column: &Column, line: &Value) -> Option<f64> {
    let report = &line["report"];
    let raw = match column.path {
        // The whole run without the sync; it contains the end of the process.
        ["after_sync_cpu_ms"] => {
            report["total_cpu_ms"].as_f64()? - report["sync_cpu_ms"].as_f64()?
        }
        path => path
            .iter()
            .fold(report, |value, key| &value[*key])
            .as_f64()?,
    };
    let divisor = match column.per {
        Per::Unit(unit) => unit,
        Per::Object(unit) => unit * report["objects"].as_f64()?,
        Per::Event(unit) => unit * report["events"].as_f64()?,
        Per::Percent(field) => report[field].as_f64()? / 100.0,
    };
    (divisor > 0.0).then(|| raw / divisor)
}

fn cell(samples: &[f64], base: &[f64], decimals: usize) -> String {
    let Some(middle) = median(samples) else {
        return "-".to_owned();
    };
    let mut text = format!("{middle:.decimals$}");
    if let [first, .., last] = samples {
        text += &format!(" ({first:.decimals$}-{last:.decimals$})");
    }
    match median(base) {
        Some(base) if base > 0.0 => text + &format!(" {:.2}x", middle / base),
        _ => text,
    }
}

fn median(sorted: &[f64]) -> Option<f64> {
    let middle = sorted.get(sorted.len() / 2)?;
    let below = sorted.get((sorted.len() - 1) / 2)?;
    Some(f64::midpoint(*below, *middle))
}
