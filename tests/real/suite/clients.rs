//! Programs of client-go and kube-rs at a real server and at the embedded one: what they see has to be equal.
//!
//! A case is a function of a program in `tests/real/clients`; it prints facts, a line each, and asks for levers.
//! Each case runs at both servers at once. What it says at the real one has to be what `clients/expected` has,
//! so that both cannot fail alike; what it says at the embedded one has to be the same, but for the differences
//! that docs/src/reference/apiserver.md lists. A listed one that is none fails, too.
//!
//! `UPDATE_EXPECT=1` writes down anew what the real server says; `TIDINGS_REAL_CASE=NAME` runs one case alone.

mod known;
mod program;
mod proxy;
mod server;

use std::{collections::BTreeSet, fmt::Write as _, path::PathBuf};

use self::{
    known::Known,
    program::{Lever, Lever::*, Program, Transcript},
    server::Server,
};

/// A case, and the levers that it asks for, in order.
struct Row(&'static str, &'static [Lever]);

/// The cases of client-go: `tests/real/clients/go`.
const CLIENT_GO: &[Row] = &[
    // cg-R29, cg-R31, cg-I1, cg-I2: a streaming list is the default.
    Row("informer-streams", &[]),
    // cg-R8, cg-R16.
    Row("informer-lists", &[]),
    // pr-E3: what leaves a selection is deleted, what enters it is added.
    Row("informer-selects", &[]),
    // cg-R25, cg-I5.
    Row("informer-resyncs", &[]),
    // cg-R24: nothing is lost or told twice when a connection breaks.
    Row("informer-cut", &[Cut]),
    // cg-R20, cg-R33, pr-W11: an expired version is listed anew, and tombstones say what went meanwhile.
    Row("informer-compacted-streams", &[Down, Compact, Up]),
    Row("informer-compacted-lists", &[Down, Compact, Up]),
    Row("dynamic-informers", &[]),
    Row("definition-made-anew", &[]),
    Row("definition-in-protobuf", &[]),
    Row("custom-writes", &[]),
    // pr-N1: objects without what is not metadata.
    Row("metadata-informer", &[]),
    // pr-L9, pr-L11: pages of one state.
    Row("pages", &[]),
    // pr-L10, pr-L11: a token of a forgotten version is refused with a fresh one.
    Row("pages-expired", &[Compact, Compact]),
    // pr-L1, pr-L3, pr-L4, pr-L6.
    Row("list-versions", &[]),
    // pr-W13, pr-E1, pr-E11.
    Row("watches", &[]),
    // pr-W11.
    Row("watch-expired", &[Compact]),
    Row("retry-watcher", &[Cut, Down, Compact, Up]),
    Row("discovery", &[]),
    Row("rest-mapper", &[]),
    // pr-N1: who prefers protobuf and takes JSON is served.
    Row("protobuf", &[]),
    // pr-L20; pr-W7: 1.36 compresses no watch.
    Row("gzip", &[]),
    // pr-N9, pr-N10, pr-N12: what a write is refused for, and what it leaves.
    Row("creates", &[]),
    Row("updates", &[]),
    Row("patches", &[]),
    Row("deletes", &[]),
    Row("finalizers", &[]),
    Row("dry-runs", &[]),
    Row("statuses-and-scales", &[]),
    Row("evictions", &[]),
    Row("retry-on-conflict", &[]),
    Row("refusals", &[]),
    // pr-N9.
    Row("apply", &[]),
    Row("apply-custom", &[]),
    Row("apply-lists", &[]),
    // cg-E2, cg-E4, cg-E6, cg-E8.
    Row("leader-election", &[]),
    Row("event-recorders", &[]),
    Row("namespaces", &[]),
];

/// The cases of kube-rs: `tests/real/clients/rust`.
const KUBE_RS: &[Row] = &[
    Row("watcher-lists", &[]),
    Row("watcher-streams", &[]),
    // pr-W11: what was forgotten is refused, then listed anew; a cut alone costs nothing.
    Row("watcher-lists-through-faults", &[Cut, Down, Compact, Up]),
    Row("watcher-streams-through-faults", &[Cut, Down, Compact, Up]),
    // pr-E3.
    Row("watcher-selects", &[]),
    // pr-N1.
    Row("watcher-of-metadata", &[]),
    Row("reflector-store", &[Cut]),
    // pr-L9.
    Row("pages", &[]),
    // pr-L10.
    Row("pages-expired", &[Compact]),
    // pr-E1.
    Row("watch", &[]),
    // pr-N9, pr-N10, pr-N12.
    Row("typed-writes", &[]),
    Row("dynamic-writes", &[]),
    Row("deletions", &[]),
    // pr-N9.
    Row("applies", &[]),
    Row("json-patches", &[]),
    Row("scales-and-statuses", &[]),
    Row("leases", &[]),
    Row("kinds", &[]),
    Row("derived-definition", &[]),
    Row("conditions", &[]),
    Row("discoveries", &[]),
    Row("controller-owns", &[Cut]),
    Row("finalizer", &[]),
    Row("event-recorder", &[]),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn client_go_sees_the_same_at_both_servers() {
    compare(&Program::client_go(), CLIENT_GO).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kube_rs_sees_the_same_at_both_servers() {
    compare(&Program::kube_rs(), KUBE_RS).await;
}

/// Runs all cases of a program at both servers, and fails with all that is wrong.
async fn compare(program: &Program, rows: &[Row]) {
    let told: BTreeSet<String> = program.cases().await.into_iter().collect();
    let listed: BTreeSet<String> = rows.iter().map(|row| row.0.to_owned()).collect();
    assert_eq!(told, listed, "the table has the program's cases");
    let only = std::env::var("TIDINGS_REAL_CASE").ok();
    let (mut real, mut embedded) = (
        Server::real().await,
        Server::embedded(program.is_secure).await,
    );
    let mut wrong = String::new();
    let mut known = Known::of(program.name);
    for Row(case, levers) in rows {
        if only.as_deref().is_some_and(|only| only != *case) {
            continue;
        }
        let (there, here) = tokio::join!(
            program.run(case, &mut real),
            program.run(case, &mut embedded)
        );
        let levers: Vec<Lever> = levers.to_vec();
        for (name, transcript) in [("real", &there), ("embedded", &here)] {
            if transcript.levers != levers {
                let pulled = &transcript.levers;
                let _ = writeln!(
                    wrong,
                    "{case} at the {name} server: {pulled:?} is not {levers:?}"
                );
            }
        }
        wrong.push_str(&unexpected(program, case, &there));
        wrong.push_str(&different(case, &there, &here, &mut known));
    }
    if only.is_none() {
        wrong.push_str(&known.not_seen());
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

/// What the real server says that it was not expected to say.
fn unexpected(program: &Program, case: &str, there: &Transcript) -> String {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("clients/expected")
        .join(program.name)
        .join(format!("{case}.txt"));
    let told = there.to_string();
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, &told).unwrap();
        return String::new();
    }
    let expected = std::fs::read_to_string(&file).unwrap_or_default();
    let mut out = String::new();
    let sides = (expected.lines().collect(), told.lines().collect());
    let (before, now): (Vec<&str>, Vec<&str>) = sides;
    for line in before.iter().filter(|line| !now.contains(line)) {
        let _ = writeln!(out, "{case}: expected of the real server: {line}");
    }
    for line in now.iter().filter(|line| !before.contains(line)) {
        let _ = writeln!(out, "{case}: the real server said: {line}");
    }
    if out.is_empty() && before != now {
        let _ = writeln!(out, "{case}: the real server said it in another order");
    }
    out
}

/// Where the embedded server says something else, and nobody said that it does.
fn different(case: &str, there: &Transcript, here: &Transcript, known: &mut Known) -> String {
    let mut out = String::new();
    let labels = there.facts.iter().chain(&here.facts).map(|fact| &fact.0);
    let mut seen = BTreeSet::new();
    for label in labels.filter(|label| seen.insert((*label).clone())) {
        let (real, embedded) = (there.fact(label), here.fact(label));
        if real != embedded && !known.expects(case, label) {
            let (real, embedded) = (real.unwrap_or("nothing"), embedded.unwrap_or("nothing"));
            let _ = writeln!(
                out,
                "{case}: {label}\n    real      {real}\n    embedded  {embedded}"
            );
        }
    }
    out
}
