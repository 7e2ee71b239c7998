//! A view over a base store that the test changes by hand.

use std::sync::Mutex;

use tidings_api::{Object, ResourceVersion};

use super::*;
use crate::{
    fanout::Event,
    indexer::{IndexerConfig, Sweep},
};

/// The base's payload says what its entry is to the view: `-` is not selected, `?` is unreadable,
/// `!` cannot be decoded, a number is the view's value.
type Base = &'static str;

fn project(entry: &Entry<Base>) -> Projected<u32> {
    match entry.effective().copied() {
        None | Some("?") => Projected::Unreadable("unreadable".to_owned()),
        Some("-") => Projected::Unselected,
        Some(text) => Projected::Selected(match text.parse() {
            Ok(value) => Value::Decoded(value),
            Err(_) => Value::Poisoned(Arc::new(Poison::new("not a number".to_owned(), None))),
        }),
    }
}

struct World {
    base: Indexer<Base>,
    view: View<Base, u32>,
    told: Arc<Mutex<Vec<String>>>,
    version: u64,
}

impl World {
    fn new() -> Self {
        let mut view = View::new(
            Indexer::new(IndexerConfig {
                seed: 3,
                ..IndexerConfig::default()
            }),
            FanoutLimits::default(),
        );
        let told = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&told);
        let handler = move |event: Event<'_, u32>| seen.lock().unwrap().push(say(&event));
        view.add_handler(Instant::ZERO, Box::new(handler), HandlerOptions::default());
        Self {
            base: Indexer::new(IndexerConfig::default()),
            view,
            told,
            version: 0,
        }
    }

    /// Stores `name=payload`, or removes `name`.
    fn put(&mut self, text: &'static str) {
        self.version += 1;
        let Some((name, payload)) = text.split_once('=') else {
            self.base.remove(&format!("default/{text}"));
            return;
        };
        let object = Object::bare("default", name, "uid", &self.version.to_string());
        let hash = self.base.hash_key(object.key_bytes());
        self.base
            .upsert(Entry::new(hash, object, Value::Decoded(payload)));
    }

    fn publish(&mut self) {
        let version = ResourceVersion::from_revision(self.version);
        self.base.publish(Some(version), 0);
        self.base.reclaim(1000);
    }

    /// One turn of the view, of `budget`.
    fn turn(&mut self, budget: usize) -> bool {
        let base = self.base.snapshot();
        let more = self.view.run(Instant::ZERO, budget, &base, &mut project);
        self.view.check_invariants();
        more
    }

    /// What is in the view, and what its handler was told meanwhile.
    fn settle(&mut self) -> (String, String) {
        while self.turn(3) {}
        let snapshot = self.view.indexer().snapshot();
        let mut lines: Vec<_> = snapshot.iter().map(line).collect();
        lines.sort_unstable();
        let mut told = std::mem::take(&mut *self.told.lock().unwrap());
        told.sort_unstable();
        (lines.join(" "), told.join(" "))
    }

    fn step(&mut self, texts: &[&'static str]) -> (String, String) {
        texts.iter().for_each(|text| self.put(text));
        self.publish();
        self.settle()
    }
}

fn line(entry: &Entry<u32>) -> String {
    let value = match &entry.value {
        Value::Decoded(value) => value.to_string(),
        Value::Poisoned(poison) => format!("{}({:?})", poison.problem, poison.last_good),
    };
    format!("{}={value}", entry.object.name())
}

fn say(event: &Event<'_, u32>) -> String {
    match event {
        Event::Added { new, .. } => format!("+{}", line(new)),
        Event::Updated { old, new } => format!("{}>{}", line(old), line(new)),
        Event::Deleted { last, .. } => format!("-{}", line(last)),
        Event::Poisoned { entry } => format!("!{}", line(entry)),
    }
}

fn pair(shown: &str, told: &str) -> (String, String) {
    (shown.to_owned(), told.to_owned())
}

#[test]
fn entries_come_change_and_go_with_the_base() {
    let mut world = World::new();
    assert_eq!(
        world.step(&["a=1", "b=-", "c=3"]),
        pair("a=1 c=3", "+a=1 +c=3")
    );
    assert!(world.view.is_synced());
    assert_eq!(world.step(&["a=2", "c"]), pair("a=2", "-c=3 a=1>a=2"));
    assert_eq!(world.step(&[]), pair("a=2", ""));
    assert_eq!(
        world.view.indexer().snapshot().resource_version(),
        world.base.snapshot().resource_version()
    );
}

#[test]
fn what_ceases_to_be_selected_is_deleted_and_may_come_back() {
    let mut world = World::new();
    world.step(&["a=1"]);
    assert_eq!(world.step(&["a=-"]), pair("", "-a=1"));
    assert_eq!(
        world.step(&["a=-"]),
        pair("", ""),
        "never told, never deleted"
    );
    assert_eq!(world.step(&["a=4"]), pair("a=4", "+a=4"));
}

#[test]
fn inv_s11_what_cannot_be_decoded_keeps_its_last_good_value() {
    let mut world = World::new();
    world.step(&["a=1"]);
    let poisoned = "a=not a number(Some(1))";
    assert_eq!(
        world.step(&["a=!"]),
        pair(poisoned, &format!("!{poisoned}"))
    );
    assert_eq!(world.view.poisoned(), 1);
    assert_eq!(world.step(&["a=2"]).0, "a=2");
}

#[test]
fn inv_s11_what_cannot_be_read_stays_in_or_out() {
    let mut world = World::new();
    world.step(&["a=1"]);
    assert_eq!(world.step(&["a=?", "b=?"]).0, "a=unreadable(Some(1))");
    assert_eq!(world.step(&["a", "b"]).0, "");
}

#[test]
fn inv_s5_a_relist_of_the_base_is_one_publication() {
    let mut world = World::new();
    world.step(&["a=1", "b=2", "c=3", "d=4", "e=5"]);
    world.base.replace_begin(false);
    world.put("f=6");
    world.base.replace_end(Sweep::All);
    world.publish();
    let before = world.view.indexer().snapshot().generation();
    while world.turn(1) {
        let snapshot = world.view.indexer().snapshot();
        let is_whole = [1, 5].contains(&snapshot.len());
        assert!(is_whole, "{} entries", snapshot.len());
    }
    assert_eq!(world.settle().0, "f=6");
    assert_eq!(world.view.indexer().snapshot().generation(), before + 1);
}

#[test]
fn an_empty_base_that_is_synced_syncs_the_view() {
    let mut world = World::new();
    assert!(!world.turn(10) && !world.view.is_synced());
    world.base.publish(None, 0);
    assert!(!world.turn(10) && !world.view.is_synced());
    world.version = 5;
    world.publish();
    world.settle();
    assert!(world.view.is_synced());
    let statuses: Vec<_> = world.view.fanout().handlers().collect();
    assert!(statuses[0].synced);
}

#[test]
fn an_index_that_comes_late_is_whole_and_never_shows_half_a_difference() {
    let mut world = World::new();
    world.step(&["a=1", "b=2"]);
    for text in ["c=1", "d=1", "e=1"] {
        world.put(text);
    }
    world.publish();
    world.turn(1);
    assert!(world.turn(1));
    let by_value: IndexFn<u32> = Box::new(|entry, emit| {
        if let Some(value) = entry.effective() {
            emit(&value.to_string());
        }
    });
    world.view.add_index("value", by_value).unwrap();
    assert_eq!(world.view.indexer().snapshot().len(), 2);
    world.settle();
    let by_index = |world: &World| {
        let keys = world.view.indexer().snapshot().index_keys("value", "1");
        keys.unwrap().len()
    };
    assert_eq!(by_index(&world), 4);
    let by_name: IndexFn<u32> = Box::new(|entry, emit| emit(entry.object.name()));
    world.view.add_index("name", by_name).unwrap();
    assert_eq!(
        world
            .view
            .indexer()
            .snapshot()
            .index_keys("name", "a")
            .unwrap()
            .len(),
        1
    );
}
