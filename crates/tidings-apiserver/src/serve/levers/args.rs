//! What is given to a lever, read against its row.
//!
//! Does not act. Whatever is wrong is told with the name of the field.

use serde_json::{Map, Value, json};

use super::{Field, Kind, LEVERS, Lever};

/// Bytes of a text.
const TEXT_BYTES_MAX: usize = 256;

/// Why a lever was not pulled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::serve) struct LeverError {
    pub(in crate::serve) code: u16,
    field: Option<String>,
    message: String,
}

/// The fields, all of which fit the row.
pub(super) struct Args<'a>(&'a Map<String, Value>);

impl LeverError {
    pub(super) fn unknown(name: &str) -> Self {
        let known: Vec<&str> = LEVERS.iter().map(|lever| lever.name).collect();
        Self {
            code: 404,
            field: None,
            message: format!("there is no lever {name:?}: there are {}", known.join(", ")),
        }
    }

    pub(super) fn full(max: usize) -> Self {
        Self {
            code: 409,
            field: None,
            message: format!("there are {max} rules: take them away with DELETE /levers"),
        }
    }

    pub(super) fn failed(why: String) -> Self {
        Self {
            code: 409,
            field: None,
            message: why,
        }
    }

    pub(super) fn field(name: &str, why: impl Into<String>) -> Self {
        Self {
            code: 400,
            field: Some(name.to_owned()),
            message: why.into(),
        }
    }

    pub(in crate::serve) fn of_code(code: u16, why: impl Into<String>) -> Self {
        Self {
            code,
            field: None,
            message: why.into(),
        }
    }

    pub(in crate::serve) fn to_json(&self) -> Value {
        match &self.field {
            Some(field) => json!({ "error": format!("{field}: {}", self.message), "field": field }),
            None => json!({ "error": self.message }),
        }
    }
}

impl<'a> Args<'a> {
    /// Checks everything that is given, and that nothing is missing.
    pub(super) fn read(lever: &Lever, given: &'a Value) -> Result<Self, LeverError> {
        let given = given
            .as_object()
            .ok_or_else(|| LeverError::of_code(400, "the body is a JSON object, or empty"))?;
        let fields = || lever.fields.iter().chain(lever.which);
        for (name, value) in given {
            let Some(field) = fields().find(|field| field.name == name) else {
                let known: Vec<&str> = fields().map(|field| field.name).collect();
                let known = if known.is_empty() {
                    "it takes nothing".to_owned()
                } else {
                    format!("it takes {}", known.join(", "))
                };
                let why = format!("the lever {:?} does not take this: {known}", lever.name);
                return Err(LeverError::field(name, why));
            };
            check(field, value)?;
        }
        let missing = fields().find(|field| field.required && !given.contains_key(field.name));
        if let Some(field) = missing {
            return Err(LeverError::field(field.name, "is required"));
        }
        Ok(Self(given))
    }

    pub(super) fn chance(&self, name: &str) -> Option<f64> {
        self.0.get(name)?.as_f64()
    }

    pub(super) fn flag(&self, name: &str) -> bool {
        self.0.get(name) == Some(&Value::Bool(true))
    }

    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.0.get(name)?.as_str().map(str::to_owned)
    }

    pub(super) fn whole(&self, name: &str) -> Option<u64> {
        self.0.get(name)?.as_u64()
    }

    /// A bounded number, where the row names its bounds.
    pub(super) fn small<T: TryFrom<u64>>(&self, name: &str, or: T) -> T {
        let given = self.whole(name).and_then(|it| T::try_from(it).ok());
        given.unwrap_or(or)
    }
}

fn check(field: &Field, value: &Value) -> Result<(), LeverError> {
    let fits = match field.kind {
        Kind::Chance => value.as_f64().is_some_and(|it| (0.0..=1.0).contains(&it)),
        Kind::Flag => value.is_boolean(),
        Kind::One(words) => value.as_str().is_some_and(|it| words.contains(&it)),
        Kind::Text => value
            .as_str()
            .is_some_and(|it| !it.is_empty() && it.len() <= TEXT_BYTES_MAX),
        Kind::Whole(min, max) => value.as_u64().is_some_and(|it| (min..=max).contains(&it)),
    };
    if fits {
        return Ok(());
    }
    let why = format!("expected {}", field.kind.words());
    Err(LeverError::field(field.name, why))
}
