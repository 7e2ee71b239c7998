//! The levers by name: one table that the admin endpoint obeys and the book prints.
//!
//! Does not do anything wrong itself: a row says what a lever is called, what it takes, and which rule, field or
//! action of the server it stands for.
//!
//! L1  What a row does not name is refused, by its name; nothing is done before all is read.
//! L2  There are at most `RULES_MAX` rules.

mod args;
mod table;
#[cfg(test)]
mod tests;

use serde_json::{Map, Value, json};

use self::args::Args;
pub(super) use self::args::LeverError;
use self::table::LEVERS;
use super::{
    Shared,
    rules::{Effect, Rule, Which},
};

/// One lever.
pub(super) struct Lever {
    pub(super) name: &'static str,
    /// A sentence without its end.
    pub(super) does: &'static str,
    pub(super) fields: &'static [Field],
    /// What else it takes, to say whom it means.
    pub(super) which: &'static [Field],
    pull: fn(&Shared, &Args<'_>) -> Result<Value, LeverError>,
}

/// Something that a lever takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) required: bool,
}

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// From 0 to 1.
    Chance,
    Flag,
    /// One of these words.
    One(&'static [&'static str]),
    Text,
    /// A whole number from and up to.
    Whole(u64, u64),
}

/// Most rules that are in force at a time; they are tried on every request.
const RULES_MAX: usize = 64;

/// Pulls a lever by its name.
pub(super) fn pull(shared: &Shared, name: &str, given: &Value) -> Result<Value, LeverError> {
    let lever = LEVERS.iter().find(|lever| lever.name == name);
    let lever = lever.ok_or_else(|| LeverError::unknown(name))?;
    let args = Args::read(lever, given)?;
    (lever.pull)(shared, &args)
}

/// The table as JSON.
pub(super) fn described() -> Value {
    let field = |field: &Field| json!({ "name": field.name, "holds": field.kind.words(), "required": field.required });
    let lever = |lever: &Lever| {
        let fields = lever.fields.iter().chain(lever.which);
        let fields: Vec<Value> = fields.map(field).collect();
        json!({ "name": lever.name, "does": lever.does, "fields": fields })
    };
    LEVERS.iter().map(lever).collect()
}

/// What is wrong at present, as JSON: the rules and those fields that are not at rest.
pub(super) fn present(shared: &Shared) -> Value {
    let faults = shared.faults.lock();
    let rules: Vec<Value> = faults.rules.iter().map(shown).collect();
    json!({
        "rules": rules,
        "halfOpen": faults.half_open,
        "injected": faults.inject.is_some(),
        "listVersion": faults.list_version,
        "truncateFrame": faults.truncate_frame.is_some(),
        "truncateList": faults.truncate_list,
        "remembered": shared.checkpoint.lock().is_some()
    })
}

/// A rule as the lever and the fields that make it.
fn shown(rule: &Rule) -> Value {
    let millis = |time: &std::time::Duration| json!(time.as_millis());
    let (name, fields) = match &rule.effect {
        Effect::Delay(time) => ("delay", json!({ "milliseconds": millis(time) })),
        Effect::Drip { bytes, period } => {
            let fields = json!({ "bytes": bytes, "milliseconds": millis(period) });
            ("drip", fields)
        }
        Effect::DropBookmarks => ("drop-bookmarks", json!({})),
        Effect::Duplicate => ("duplicate", json!({})),
        Effect::GoAway => ("goaway-chance", json!({})),
        Effect::Hang => ("hang", json!({})),
        Effect::Refuse(refusal) => {
            let fields =
                json!({ "code": refusal.code, "retryAfterSeconds": refusal.retry_after_seconds });
            ("refuse", fields)
        }
        Effect::Stall => ("stall", json!({})),
    };
    let mut all = Map::new();
    all.insert("lever".to_owned(), name.into());
    if let Value::Object(fields) = fields {
        all.extend(fields);
    }
    all.insert("chance".to_owned(), json!(rule.chance));
    let which = &rule.which;
    let given = [
        ("connection", json!(which.connection)),
        ("resource", json!(which.resource)),
        ("user", json!(which.user)),
        ("userAgent", json!(which.user_agent)),
        ("verb", json!(which.verb)),
        ("watch", json!(which.watch)),
    ];
    let given = given.into_iter().filter(|(_, value)| !value.is_null());
    all.extend(given.map(|(name, value)| (name.to_owned(), value)));
    all.into()
}

/// Adds a rule, as far as there is room.
fn add(shared: &Shared, rule: Rule) -> Result<Value, LeverError> {
    let mut faults = shared.faults.lock();
    if faults.rules.len() >= RULES_MAX {
        return Err(LeverError::full(RULES_MAX));
    }
    faults.rules.push(rule);
    let count = faults.rules.len();
    drop(faults);
    // Watches look at once.
    shared.changed.send_modify(|writes| *writes += 1);
    Ok(json!({ "rules": count }))
}

/// A rule for whom the arguments mean.
fn rule(shared: &Shared, args: &Args<'_>, effect: Effect) -> Result<Value, LeverError> {
    let chance = args.chance("chance").unwrap_or(1.0);
    let which = which(args);
    add(shared, Rule::new(effect).on(which).at(chance))
}

/// Whom the arguments mean.
fn which(args: &Args<'_>) -> Which {
    Which {
        connection: args.whole("connection"),
        resource: args.text("resource"),
        user: args.text("user"),
        user_agent: args.text("userAgent"),
        verb: args.text("verb"),
        watch: args.whole("watch"),
    }
}

impl Kind {
    /// What a field holds, for people.
    pub(super) fn words(self) -> String {
        match self {
            Self::Chance => "0 to 1".to_owned(),
            Self::Flag => "true or false".to_owned(),
            Self::One(words) => words.join(", "),
            Self::Text => "text".to_owned(),
            Self::Whole(min, u64::MAX) => format!("whole number from {min}"),
            Self::Whole(min, max) => format!("whole number, {min} to {max}"),
        }
    }
}

/// How many levers there are.
#[cfg(test)]
pub(super) const fn count() -> usize {
    LEVERS.len()
}
