//! What the targets share: how an item prints, and how an input is cut.

#![allow(dead_code, reason = "each target uses its part")]

use tidings_api::scan::Item;

/// Everything that an item says, in one line.
pub fn line(item: &Item<'_>) -> String {
    match item {
        Item::Usable(scanned) => format!(
            "{}/{} {} {} {:?} {:?} {} {} {}",
            scanned.namespace(),
            scanned.name(),
            scanned.uid(),
            scanned.resource_version(),
            scanned.kind(),
            scanned.api_version(),
            scanned.labels(),
            scanned.annotations(),
            scanned.json_pieces().concat(),
        ),
        Item::Unusable(unusable) => format!("{unusable:?}"),
    }
}

/// Splits the input: its first byte says how the rest is cut into chunks.
pub fn cuts(data: &[u8]) -> Option<(usize, &[u8])> {
    let (&first, rest) = data.split_first()?;
    Some((usize::from(first) + 1, rest))
}
