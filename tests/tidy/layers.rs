//! Who may import whom: crates by ARCHITECTURE.md's table, rooms by the order in the engine's `lib.rs`.
//!
//! L1  The table is what the manifests say, no more and no less.
//! L2  A pure crate has no runtime and no HTTP in its manifest, not even for its tests.
//! L3  A room of the engine imports only rooms that stand before it.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
};

use serde_json::Value;

use crate::{report, tree};

const PURE: [&str; 3] = ["tidings-api", "tidings-engine", "tidings-scan"];
const NOT_PURE: [&str; 8] = [
    "hyper",
    "hyper-util",
    "mio",
    "parking_lot",
    "reqwest",
    "rustls",
    "socket2",
    "tokio",
];

/// Imports against the order that are accepted, each with its reason: none at present.
const ROOM_EXCEPTIONS: [(&str, &str, &str); 0] = [];

#[test]
fn crates_import_what_the_table_says() {
    let allowed = table();
    let packages = packages();
    let mut wrong: Vec<_> = allowed
        .keys()
        .filter(|row| packages.iter().all(|(name, _)| name != *row))
        .map(|row| format!("there is no crate {row}"))
        .collect();
    for (name, dependencies) in packages {
        let actual: BTreeSet<String> = dependencies
            .iter()
            .filter(|dependency| dependency.kind == "normal")
            .map(|dependency| dependency.name.clone())
            .filter(|dependency| allowed.contains_key(dependency))
            .collect();
        match allowed.get(&name) {
            None => wrong.push(format!("{name} is not in ARCHITECTURE.md's table")),
            Some(allowed) => {
                for extra in actual.difference(allowed) {
                    wrong.push(format!("{name} imports {extra}"));
                }
                for unused in allowed.difference(&actual) {
                    wrong.push(format!(
                        "{name} does not import {unused}: the table says it may"
                    ));
                }
            }
        }
    }
    report("the edges of ARCHITECTURE.md and the manifests", &wrong);
}

#[test]
fn pure_crates_have_no_runtime() {
    let mut wrong = Vec::new();
    for (name, dependencies) in packages() {
        if !PURE.contains(&name.as_str()) {
            continue;
        }
        for dependency in dependencies {
            if NOT_PURE.contains(&dependency.name.as_str()) {
                wrong.push(format!(
                    "{name} depends on {} ({})",
                    dependency.name, dependency.kind
                ));
            }
        }
    }
    report("pure crates", &wrong);
}

#[test]
fn rooms_import_earlier_rooms_only() {
    let order: Vec<String> = tree::read("crates/tidings-engine/src/lib.rs")
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'))
        .map(str::to_owned)
        .collect();
    assert!(order.len() > 4, "the rooms are not found: {order:?}");
    let position = |room: &str| order.iter().position(|other| other == room);
    let mut wrong = Vec::new();
    for file in tree::files(&["rs"]) {
        let Some(inner) = file.path.strip_prefix("crates/tidings-engine/src/") else {
            continue;
        };
        let room = inner.split(['/', '.']).next().unwrap_or_default();
        let Some(here) = position(room) else {
            continue;
        };
        for used in imported_rooms(file.code_part()) {
            let excepted = ROOM_EXCEPTIONS
                .iter()
                .any(|(from, to, _)| *from == room && *to == used);
            match position(&used) {
                Some(there) if there > here && !excepted => {
                    wrong.push(format!("{}: {room} imports {used}", file.path));
                }
                _ => {}
            }
        }
    }
    report("rooms of the engine", &wrong);
}

/// The first names of all paths that begin with `crate::`, comments left out.
fn imported_rooms(code: &str) -> BTreeSet<String> {
    let code: String = code
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .flat_map(|line| [line, "\n"])
        .collect();
    let mut rooms = BTreeSet::new();
    for (at, found) in code.match_indices("crate::") {
        let rest = &code[at + found.len()..];
        match rest.strip_prefix('{') {
            None => rooms.insert(identifier(rest)),
            Some(group) => {
                rooms.extend(group_heads(group));
                true
            }
        };
    }
    rooms
}

/// The heads of a `use` group: `{a::b, c::{d, e}}` has `a` and `c`.
fn group_heads(group: &str) -> Vec<String> {
    let mut heads = vec![identifier(group.trim_start())];
    let mut depth = 1;
    for (at, letter) in group.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 1 => heads.push(identifier(group[at + 1..].trim_start())),
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    heads.retain(|head| !head.is_empty());
    heads
}

fn identifier(text: &str) -> String {
    text.chars()
        .take_while(|letter| letter.is_alphanumeric() || *letter == '_')
        .collect()
}

/// The rows between the markers: a crate and what it may import.
fn table() -> BTreeMap<String, BTreeSet<String>> {
    let text = tree::read("ARCHITECTURE.md");
    let between = text
        .split_once("<!-- edges -->")
        .and_then(|(_, rest)| rest.split_once("<!-- /edges -->"))
        .map(|(table, _)| table.to_owned());
    let table = between.expect("the markers of the edges in ARCHITECTURE.md");
    let cells = |row: &str| -> Vec<String> {
        row.trim_matches('|')
            .split('|')
            .map(|cell| cell.trim().trim_matches('`').to_owned())
            .collect()
    };
    table
        .lines()
        .filter(|line| line.starts_with("| tidings") || line.starts_with("| `tidings"))
        .map(|line| {
            let cells = cells(line);
            let imports = cells.get(1).map_or("", String::as_str);
            let imports = imports
                .split(',')
                .map(|name| name.trim().trim_matches('`').to_owned())
                .filter(|name| !name.is_empty());
            (cells[0].clone(), imports.collect())
        })
        .collect()
}

struct Dependency {
    name: String,
    kind: String,
}

/// The packages under `crates/` and what their manifests name.
fn packages() -> Vec<(String, Vec<Dependency>)> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--no-deps", "--format-version=1", "--offline"])
        .current_dir(tree::root())
        .output()
        .expect("cargo metadata runs");
    assert!(
        output.status.success(),
        "cargo metadata: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let mut packages = Vec::new();
    for package in list(&metadata["packages"]) {
        if !text(&package["manifest_path"]).contains("/crates/") {
            continue;
        }
        let dependencies = list(&package["dependencies"]);
        let dependencies = dependencies.iter().map(|dependency| Dependency {
            name: text(&dependency["name"]),
            // Absent means normal.
            kind: match dependency["kind"].as_str() {
                None => "normal".to_owned(),
                Some(kind) => kind.to_owned(),
            },
        });
        packages.push((text(&package["name"]), dependencies.collect()));
    }
    assert!(packages.len() > 4, "the crates are not found");
    packages
}
