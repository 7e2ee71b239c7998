//! Who owns which fields: `metadata.managedFields`, kept with every write.
//!
//! Does not decide what is written; it says what a write takes from whom.
//!
//! M1  A field that a write changed is owned by its manager, and by no one whom it contradicts.
//! M2  An object that carries no owners gets none by an update: only its creation and its first apply
//!     begin to track (as the real server does).
//! M3  A manager's time moves when it changes a field or comes to own one.
//! Source: apimachinery pkg/util/managedfields/internal, structured-merge-diff/v6 merge/update.go.

use serde_json::{Map, Value, json};

use super::{
    fields::{Comparison, FieldSet},
    shape::Shape,
    typed,
    write::Terms,
};
use crate::{
    kind::KindRow,
    refusal::{Refusal, RefusalCause},
    seed::timestamp,
};

/// One manager's entry.
#[derive(Clone)]
pub(super) struct Manager {
    name: String,
    is_apply: bool,
    api_version: String,
    subresource: String,
    time: String,
    set: FieldSet,
}

/// All managers of an object.
#[derive(Clone, Default)]
pub(super) struct Managers(Vec<Manager>);

// === impl Manager ===

impl Manager {
    fn parse(entry: &Value) -> Self {
        let text = |name: &str| entry[name].as_str().unwrap_or_default().to_owned();
        Self {
            name: text("manager"),
            is_apply: entry["operation"] == "Apply",
            api_version: text("apiVersion"),
            subresource: text("subresource"),
            time: text("time"),
            set: FieldSet {
                owned: false,
                ..FieldSet::parse(&entry["fieldsV1"])
            },
        }
    }

    fn into_value(self) -> Value {
        let mut entry = Map::new();
        let operation = if self.is_apply { "Apply" } else { "Update" };
        for (name, text) in [
            ("manager", self.name),
            ("operation", operation.to_owned()),
            ("apiVersion", self.api_version),
            ("subresource", self.subresource),
            ("time", self.time),
        ] {
            if !text.is_empty() {
                entry.insert(name.to_owned(), text.into());
            }
        }
        entry.insert("fieldsType".to_owned(), "FieldsV1".into());
        entry.insert("fieldsV1".to_owned(), self.set.into_value());
        Value::Object(entry)
    }

    /// Whether both are one manager: whoever applies may change the version it speaks.
    fn is(&self, other: &Self) -> bool {
        self.name == other.name
            && self.is_apply == other.is_apply
            && self.subresource == other.subresource
            && (self.is_apply || self.api_version == other.api_version)
    }

    /// How refusals name it.
    fn shown(&self) -> String {
        let mut text = format!("{:?}", self.name);
        if !self.subresource.is_empty() {
            text += &format!(" with subresource {:?}", self.subresource);
        }
        if !self.is_apply {
            text += &format!(" using {}", self.api_version);
        }
        text
    }
}

// === impl Managers ===

impl Managers {
    /// The managers that an object names.
    pub(super) fn of(document: &Value) -> Self {
        let entries = document["metadata"]["managedFields"].as_array();
        Self(entries.into_iter().flatten().map(Manager::parse).collect())
    }

    /// Those that a written object names, or else those that the present one does.
    fn given(old: &Value, new: &Value) -> Self {
        let entries = new["metadata"]["managedFields"].as_array();
        let is_complete = |entries: &Vec<Value>| {
            !entries.is_empty() && entries.iter().all(|entry| entry["fieldsV1"].is_object())
        };
        if entries.is_some_and(is_complete) {
            Self::of(new)
        } else {
            Self::of(old)
        }
    }

    /// Writes them into an object, sorted as the server sorts them.
    pub(super) fn write(mut self, document: &mut Value) {
        let Some(meta) = document["metadata"].as_object_mut() else {
            return;
        };
        self.0.sort_by(|one, other| {
            let key = |it: &Manager| (!it.is_apply, it.time.clone(), it.name.clone());
            key(one).cmp(&key(other))
        });
        if self.0.is_empty() {
            meta.remove("managedFields");
        } else {
            let entries = self.0.into_iter().map(Manager::into_value).collect();
            meta.insert("managedFields".to_owned(), entries);
        }
    }

    fn find(&self, manager: &Manager) -> Option<&Manager> {
        self.0.iter().find(|it| it.is(manager))
    }

    /// Puts what a manager applies in place of what it applied before (M3).
    fn set(&mut self, mut manager: Manager, change: &Comparison) {
        if let Some(before) = self.find(&manager)
            && change.is_idle()
            && before.set == manager.set
        {
            manager.time.clone_from(&before.time);
        }
        self.0.retain(|it| !it.is(&manager));
        if !manager.set.is_empty() {
            self.0.push(manager);
        }
    }

    /// Takes from all but one what a change contradicts, and forgets what is gone.
    fn take(&mut self, manager: &Manager, change: &Comparison) {
        for other in self.0.iter_mut().filter(|it| !it.is(manager)) {
            other.set.subtract(&change.added);
            other.set.subtract(&change.modified);
            other.set.subtract(&change.removed);
        }
        self.0.retain(|it| !it.set.is_empty() || it.is(manager));
    }
}

/// Who writes.
pub(super) fn manager(row: &KindRow, terms: &Terms<'_>, is_apply: bool) -> Manager {
    Manager {
        name: terms.manager.to_owned(),
        is_apply,
        api_version: row.api_version(),
        subresource: terms.subresource.to_owned(),
        time: timestamp(terms.now),
        set: FieldSet::default(),
    }
}

/// Notes in `new` what an update of `old` took (M1, M2).
pub(super) fn note_update(row: &KindRow, old: Option<&Value>, new: &mut Value, terms: &Terms<'_>) {
    let is_creation = old.is_none();
    // A list of one empty entry is how clients say that they want the owners forgotten.
    if new["metadata"]["managedFields"] == json!([{}]) {
        return Managers::default().write(new);
    }
    let empty;
    let old = if let Some(old) = old {
        old
    } else {
        empty = typed::nothing(row);
        &empty
    };
    let mut managers = if is_creation {
        Managers::default()
    } else {
        Managers::given(old, new)
    };
    if managers.0.is_empty() && !is_creation {
        return managers.write(new);
    }
    let mut change = compare(row, old, new);
    if row.status && terms.subresource.is_empty() {
        // pr-N10: nobody owns a status through another endpoint than its own.
        change.added.parts.remove("f:status");
    }
    let mut own = manager(row, terms, false);
    managers.take(&own, &change);
    let before = managers.0.iter().position(|it| it.is(&own));
    if let Some(before) = before.map(|at| managers.0.remove(at)) {
        own.set = before.set;
        // M3
        if change.is_idle() {
            own.time = before.time;
        }
    }
    own.set.subtract(&change.removed);
    own.set.absorb(change.modified);
    own.set.absorb(change.added);
    if !own.set.is_empty() {
        managers.0.push(own);
    }
    managers.write(new);
}

/// The managers of an object before an apply (M2): without any, all that is there belongs to whoever
/// was there before.
pub(super) fn before_apply(row: &KindRow, old: Option<&Value>, now: u64) -> Managers {
    let Some(old) = old else {
        return Managers::default();
    };
    let mut managers = Managers::of(old);
    if managers.0.is_empty() {
        let set = compare(row, &typed::nothing(row), old).added;
        managers.0.push(Manager {
            name: "before-first-apply".to_owned(),
            is_apply: false,
            api_version: row.api_version(),
            subresource: String::new(),
            time: timestamp(now),
            set,
        });
        managers.0.retain(|it| !it.set.is_empty());
    }
    managers
}

impl Managers {
    /// What a manager applied the last time.
    pub(super) fn last(&self, manager: &Manager) -> FieldSet {
        let found = self.find(manager);
        found.map(|it| it.set.clone()).unwrap_or_default()
    }

    /// Everything that is owned by others than this manager.
    pub(super) fn owned_by_others(&self, manager: &Manager) -> FieldSet {
        let mut all = FieldSet::default();
        for other in self.0.iter().filter(|it| !it.is(manager)) {
            all.union(&other.set);
        }
        all
    }

    /// Gives a manager what it applies, if nobody else owns what that changes, or if it insists.
    ///
    /// # Errors
    ///
    /// The 409 that names each conflict.
    pub(super) fn note_apply(
        &mut self,
        mut own: Manager,
        applied: FieldSet,
        change: &Comparison,
        force: bool,
    ) -> Result<(), Refusal> {
        if !force {
            self.check_conflicts(&own, change)?;
        }
        self.take(&own, change);
        own.set = applied;
        self.set(own, change);
        Ok(())
    }

    fn check_conflicts(&self, own: &Manager, change: &Comparison) -> Result<(), Refusal> {
        let mut touched = change.modified.clone();
        touched.union(&change.added);
        let mut conflicts: Vec<(String, Vec<String>)> = Vec::new();
        for other in self.0.iter().filter(|it| !it.is(own)) {
            let paths = other.set.intersection(&touched).paths();
            if !paths.is_empty() {
                conflicts.push((other.shown(), paths));
            }
        }
        conflicts.sort();
        let count: usize = conflicts.iter().map(|(_, paths)| paths.len()).sum();
        let message = match conflicts.as_slice() {
            [] => return Ok(()),
            [(who, paths)] if count == 1 => {
                let path = paths.join("");
                format!("Apply failed with 1 conflict: conflict with {who}: {path}")
            }
            all => {
                let mut lines = Vec::new();
                for (who, paths) in all {
                    lines.push(format!("conflicts with {who}:"));
                    lines.extend(paths.iter().map(|path| format!("- {path}")));
                }
                let lines = lines.join("\n");
                format!("Apply failed with {count} conflicts: {lines}")
            }
        };
        let mut refusal = Refusal::new(409, "Conflict", message);
        for (who, paths) in conflicts {
            let cause = |path: String| {
                RefusalCause::new(
                    "FieldManagerConflict",
                    format!("conflict with {who}"),
                    &path,
                )
            };
            refusal.causes.extend(paths.into_iter().map(cause));
        }
        Err(refusal)
    }
}

/// What a change did to fields that can be owned.
pub(super) fn compare(row: &KindRow, old: &Value, new: &Value) -> Comparison {
    let mut change = Comparison::of(Shape::of(row), Some(old), Some(new));
    for set in [&mut change.added, &mut change.modified, &mut change.removed] {
        strip(set);
    }
    change
}

/// Takes out what belongs to the server.
pub(super) fn strip(set: &mut FieldSet) {
    set.owned = false;
    if set.parts.is_empty() {
        return;
    }
    set.parts.remove("f:apiVersion");
    set.parts.remove("f:kind");
    if let Some(meta) = set.parts.get_mut("f:metadata") {
        for step in STRIPPED {
            meta.parts.remove(step);
        }
        meta.owned = false;
        if meta.is_empty() {
            set.parts.remove("f:metadata");
        }
    }
}

/// Metadata that nobody can own.
const STRIPPED: [&str; 10] = [
    "f:creationTimestamp",
    "f:deletionGracePeriodSeconds",
    "f:deletionTimestamp",
    "f:generation",
    "f:managedFields",
    "f:name",
    "f:namespace",
    "f:resourceVersion",
    "f:selfLink",
    "f:uid",
];
