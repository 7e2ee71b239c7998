//! In which order the items of two lists stand once they are merged.
//!
//! Does not merge them: it says which comes next, by their names alone.
//!
//! The applied list keeps its order; what only the live one has stays behind what it stood behind.
//! Cost: O((l + r) log (l + r)) for lists of l and r items.
//! Source: structured-merge-diff/v6 typed/merge.go, `visitListItems`.

use std::collections::{BTreeMap, BTreeSet};

/// Where an item of the merged list comes from: its places in the two lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Applied(usize),
    Both(usize, usize),
    Live(usize),
}

/// The merged order of two lists of names.
pub(super) fn merged(live: &[String], applied: &[String]) -> Vec<Source> {
    let mut places = BTreeMap::new();
    for (index, name) in live.iter().enumerate() {
        places.entry(name).or_insert(index);
    }
    let wanted: BTreeSet<&String> = applied.iter().collect();
    let mut shared = applied.iter().filter(|name| places.contains_key(name));
    let mut next = shared.next();
    let mut taken = BTreeSet::new();
    let mut order = Vec::with_capacity(live.len() + applied.len());
    let (mut left, mut right) = (0, 0);
    while left < live.len() || right < applied.len() {
        if let (Some(name), Some(other)) = (live.get(left), applied.get(right))
            && name != other
            && wanted.contains(name)
            && next.is_some_and(|next| next != name)
        {
            // Shared, but another shared one comes first.
            left += 1;
            continue;
        }
        if let Some(name) = live
            .get(left)
            .filter(|name| applied.get(right) != Some(*name))
        {
            if !wanted.contains(name) {
                order.push(Source::Live(left));
                left += 1;
                continue;
            }
            if taken.contains(name) {
                left += 1;
            }
        }
        let Some(name) = applied.get(right) else {
            continue;
        };
        if live.get(left) == Some(name) {
            left += 1;
        }
        taken.insert(name);
        order.push(match places.get(name) {
            Some(place) => Source::Both(*place, right),
            None => Source::Applied(right),
        });
        right += 1;
        if next == Some(name) {
            next = shared.next();
        }
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The merged list of two lists of letters.
    fn merge(live: &str, applied: &str) -> String {
        let names = |text: &str| text.chars().map(String::from).collect::<Vec<_>>();
        let (live, applied) = (names(live), names(applied));
        let name = |source: Source| match source {
            Source::Applied(at) => applied[at].clone(),
            Source::Live(at) => live[at].clone(),
            Source::Both(place, at) => {
                assert_eq!(live[place], applied[at]);
                applied[at].clone()
            }
        };
        merged(&live, &applied).into_iter().map(name).collect()
    }

    #[test]
    fn the_applied_order_wins_and_the_rest_stays_where_it_was() {
        for (live, applied, expected) in [
            ("", "ab", "ab"),
            ("ab", "", "ab"),
            ("a", "b", "ab"),
            ("vw", "u", "vwu"),
            ("abc", "ca", "bca"),
            ("abc", "ac", "abc"),
            ("abc", "xb", "axbc"),
            ("acd", "abd", "acbd"),
            ("ab", "ba", "ba"),
            ("abcd", "dcba", "dcba"),
        ] {
            assert_eq!(merge(live, applied), expected, "{live} {applied}");
        }
    }

    #[test]
    fn every_item_is_there_once() {
        let letters = ["", "a", "ab", "ba", "cab", "abc", "dcb", "bd", "acbd"];
        for live in letters {
            for applied in letters {
                let mut all: Vec<char> = merge(live, applied).chars().collect();
                all.sort_unstable();
                let both = live.chars().chain(applied.chars());
                let expected: Vec<char> = both.collect::<BTreeSet<_>>().into_iter().collect();
                assert_eq!(all, expected, "{live} {applied}");
            }
        }
    }
}
