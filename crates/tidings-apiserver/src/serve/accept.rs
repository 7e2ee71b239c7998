//! What a client accepts, and which of it is served.
//!
//! Does not make anything: it says in what [`Form`] objects are to be shown. Ranges are tried from the best
//! quality down, in the order written; one that cannot be had is passed over, and only if none is left is the
//! request refused with 406.
//!
//! Source: endpoints/handlers/negotiation @v0.36.3; rule pr-N1.

use http::{HeaderMap, header};

use crate::{
    kind::KindRow,
    refusal::Refusal,
    state::{Form, Include, MetaVersion},
};

/// One media range.
struct Range<'a> {
    media_type: &'a str,
    /// Thousandths.
    quality: u16,
    /// `as`, `g` and `v`.
    kind: &'a str,
    group: &'a str,
    version: &'a str,
}

/// What is asked for, as far as the answer depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    List,
    Object,
    Watch,
}

/// The form of an answer.
pub(super) fn form(
    headers: &HeaderMap,
    query: &[(String, String)],
    row: &KindRow,
    subject: Subject,
) -> Result<Form, Refusal> {
    let accept = text(headers);
    let accepted = ranges(accept).into_iter().find_map(|range| {
        if range.kind.is_empty() {
            return Some((Form::Plain, ""));
        }
        let version = match (range.group, range.version) {
            ("meta.k8s.io", "v1") => MetaVersion::V1,
            ("meta.k8s.io", "v1beta1") => MetaVersion::V1Beta1,
            _ => return None,
        };
        match range.kind {
            "PartialObjectMetadata" | "PartialObjectMetadataList" => {
                Some((Form::Metadata(version), range.kind))
            }
            "Table" => Some((Form::Table(version, Include::Metadata), range.kind)),
            _ => None,
        }
    });
    let (form, kind) = accepted.ok_or_else(not_acceptable)?;
    let type_name = || {
        let package = row.group.split('.').next().unwrap_or_default();
        let package = if package.is_empty() { "core" } else { package };
        let list = if subject == Subject::List { "List" } else { "" };
        if row.is_custom() {
            format!("*unstructured.Unstructured{list}")
        } else {
            format!("*{package}.{}{list}", row.kind)
        }
    };
    match (form, kind, subject) {
        (Form::Table(version, _), _, _) => Ok(Form::Table(version, include(query)?)),
        (_, "PartialObjectMetadata", Subject::List) => {
            let why = "but the requested object is a list";
            Err(unfit(format!(
                "you requested {kind}, {why} ({})",
                type_name()
            )))
        }
        (_, "PartialObjectMetadataList", Subject::Object) => {
            let why = "but the requested object is not a list";
            Err(unfit(format!(
                "you requested {kind}, {why} ({})",
                type_name()
            )))
        }
        // The real server fails to make a list of an event, and sends the object.
        (_, "PartialObjectMetadataList", Subject::Watch) => Ok(Form::Plain),
        _ => Ok(form),
    }
}

/// The version of `APIGroupDiscoveryList` that is wanted before the legacy documents.
pub(super) fn aggregated(headers: &HeaderMap) -> Option<&'static str> {
    let found = ranges(text(headers)).into_iter().find_map(|range| {
        match (range.kind, range.group, range.version) {
            ("", _, _) => Some(None),
            ("APIGroupDiscoveryList", "apidiscovery.k8s.io", "v2") => Some(Some("v2")),
            ("APIGroupDiscoveryList", "apidiscovery.k8s.io", "v2beta1") => Some(Some("v2beta1")),
            _ => None,
        }
    });
    found.flatten()
}

/// Whether JSON will do as it is.
pub(super) fn plain(headers: &HeaderMap) -> Result<(), Refusal> {
    let mut all = ranges(text(headers)).into_iter();
    if all.any(|range| range.kind.is_empty()) {
        return Ok(());
    }
    Err(not_acceptable())
}

fn text(headers: &HeaderMap) -> &str {
    let accept = headers.get(header::ACCEPT);
    // What cannot be read says nothing, and whoever says nothing takes anything.
    let accept = accept.and_then(|it| it.to_str().ok()).unwrap_or_default();
    if accept.trim().is_empty() {
        "*/*"
    } else {
        accept
    }
}

/// The ranges that JSON falls into, the best first.
fn ranges(accept: &str) -> Vec<Range<'_>> {
    let mut all: Vec<Range<'_>> = accept
        .split(',')
        .map(Range::parse)
        .filter(|range| range.quality > 0 && range.is_json())
        .collect();
    // Stable: of equals the first one written counts.
    all.sort_by_key(|range| std::cmp::Reverse(range.quality));
    all
}

impl<'a> Range<'a> {
    fn parse(text: &'a str) -> Self {
        let mut parts = text.split(';').map(str::trim);
        let mut range = Self {
            media_type: parts.next().unwrap_or_default(),
            quality: 1000,
            kind: "",
            group: "",
            version: "",
        };
        for (name, value) in parts.filter_map(|part| part.split_once('=')) {
            match name.trim() {
                "as" => range.kind = value.trim(),
                "g" => range.group = value.trim(),
                "v" => range.version = value.trim(),
                "q" => range.quality = quality(value.trim()),
                _ => {}
            }
        }
        range
    }

    fn is_json(&self) -> bool {
        matches!(
            self.media_type,
            "" | "*/*" | "application/*" | "application/json"
        )
    }
}

/// Thousandths of `0.85`; what is no quality counts in full.
fn quality(text: &str) -> u16 {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = part.bytes().take(3).chain(std::iter::repeat(b'0')).take(3);
    let thousandths = digits.fold(0, |sum, digit| {
        sum * 10 + u16::from(digit.saturating_sub(b'0').min(9))
    });
    match whole {
        "0" => thousandths,
        _ => 1000,
    }
}

fn include(query: &[(String, String)]) -> Result<Include, Refusal> {
    let given = query.iter().find(|(name, _)| name == "includeObject");
    match given.map_or("", |(_, value)| value.as_str()) {
        "" | "Metadata" => Ok(Include::Metadata),
        "None" => Ok(Include::None),
        "Object" => Ok(Include::Object),
        other => Err(Refusal::bad_request(format!(
            "Unable to convert to Table as requested: includeObject: Invalid value: \"{other}\": must be \
             'Metadata', 'Object', 'None', or empty"
        ))),
    }
}

fn not_acceptable() -> Refusal {
    unfit("only the following media types are accepted: application/json".to_owned())
}

fn unfit(message: String) -> Refusal {
    Refusal::new(406, "NotAcceptable", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pr_n1_the_best_range_that_can_be_had_is_taken() {
        let table = "application/json;as=Table;v=v1;g=meta.k8s.io";
        let beta = "application/json; as=Table; v=v1beta1; g=meta.k8s.io";
        let rows = [
            ("", "Plain"),
            ("*/*", "Plain"),
            (
                "application/vnd.kubernetes.protobuf,application/json",
                "Plain",
            ),
            ("application/vnd.kubernetes.protobuf", "406"),
            ("text/html", "406"),
            (table, "Table(V1, Metadata)"),
            (beta, "Table(V1Beta1, Metadata)"),
            (
                &format!("{table},{beta},application/json"),
                "Table(V1, Metadata)",
            ),
            (
                "application/json;as=Table;v=v2;g=meta.k8s.io,application/json",
                "Plain",
            ),
            ("application/json;as=Table;v=v2;g=meta.k8s.io", "406"),
            ("application/json;as=Other;v=v1;g=meta.k8s.io", "406"),
            (&format!("{table};q=0.5,application/json;q=0.9"), "Plain"),
            (
                &format!("application/json;q=0.1,{table};q=0.2"),
                "Table(V1, Metadata)",
            ),
            (&format!("{table};q=0,application/json"), "Plain"),
            (
                "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io",
                "Metadata(V1)",
            ),
        ];
        let row = KindRow::custom("x.io", "v1", "things", "Thing");
        for (accept, expected) in rows {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, accept.parse().unwrap());
            let form = form(&headers, &[], &row, Subject::List);
            let shown = form.map_or_else(|it| it.code.to_string(), |form| format!("{form:?}"));
            assert_eq!(shown, expected, "{accept}");
        }
    }
}
