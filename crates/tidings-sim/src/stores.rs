//! Each publication of a store, compared with what the server had at exactly that version.
//!
//! Does not look at handlers: `checks` does. A store that is known to lack something is compared as
//! soon as it may be whole again.
//!
//! Rules: INV-S1, INV-S2, INV-S4, INV-S8, INV-S10, cg-R21, pr D5.

use std::collections::BTreeMap;

use tidings_engine::indexer::Snapshot;

use crate::{
    checks::Broken,
    handlers::Payload,
    model::{Cursor, Held, Selected},
    world::World,
};

impl World {
    pub(crate) fn check_store(&mut self, index: usize) -> Result<(), Broken> {
        let informer = &mut self.informers[index];
        let snapshot = informer.pipeline.indexer().snapshot();
        if snapshot.generation() == informer.generation {
            return Ok(());
        }
        informer.generation = snapshot.generation();
        let Some(rv) = snapshot.resource_version() else {
            return Ok(());
        };
        let Ok(rv) = rv.to_string().parse::<u64>() else {
            return Err(("INV-S2", format!("the published version is {rv}")));
        };
        self.tally.publications += 1;
        let epoch = snapshot.epoch();
        if let Some((before, was)) = informer.published
            && before == epoch
            && rv < was
        {
            return Err(("INV-S2", format!("published {rv} after {was}")));
        }
        if epoch > self.restores {
            let restores = self.restores;
            let what = format!("the engine counts {epoch} epochs after {restores} restores");
            return Err(("INV-S4", what));
        }
        // pr D5: whoever noticed another history compares contents.
        let has_noticed = (informer.published).is_some_and(|(before, _)| before != epoch);
        informer.is_deceived &= !has_noticed;
        informer.published = Some((epoch, rv));
        check_index(&snapshot)?;
        if !informer.asking.is_mistaught {
            check_kinds(&snapshot)?;
        }
        let stored = stored(&snapshot);
        if self.trace.is_on() {
            let objects = stored.len();
            let now = self.now;
            let line = format_args!("i{index} = {objects} objects rv={rv} epoch={epoch}");
            self.trace.line(now, line);
        }
        self.compare(index, &stored, rv, has_noticed)
    }

    /// INV-S1. A store that is known to lack something is compared as soon as it may be whole again.
    fn compare(
        &mut self,
        index: usize,
        stored: &Selected,
        rv: u64,
        has_noticed: bool,
    ) -> Result<(), Broken> {
        let informer = &mut self.informers[index];
        let own = informer.base_epoch;
        let listed = informer.list_epoch.filter(|_| informer.is_list_clean);
        let last = informer.cursor.take();
        if let Some(epoch) = own.filter(|_| !informer.is_doubtful) {
            let expected = self.cluster.model.at(last, epoch, rv, &informer.knobs);
            let is_same = |it: &Cursor| informer.is_equal(stored, &it.selected);
            if let Some(expected) = expected.filter(is_same) {
                informer.cursor = Some(expected);
                return Ok(());
            }
        }
        if let Some(epoch) = listed {
            // Another history that passed for the same one: what it has at a version that is known
            // may differ, and nobody can tell (DESIGN 4.5).
            let is_other = own.is_some_and(|own| own != epoch);
            informer.is_deceived |= is_other && !has_noticed;
            let expected = self.cluster.model.at(None, epoch, rv, &informer.knobs);
            let is_same = |it: &Cursor| informer.is_equal(stored, &it.selected);
            if let Some(expected) = expected.filter(is_same) {
                informer.base_epoch = Some(epoch);
                informer.list_epoch = None;
                informer.is_doubtful = false;
                informer.cursor = Some(expected);
                return Ok(());
            }
        }
        if informer.is_doubtful {
            return self.check_phantoms(stored);
        }
        let epoch = own.or(listed).unwrap_or(0);
        let expected = self.cluster.model.at(None, epoch, rv, &informer.knobs);
        let expected = expected.map(|it: Cursor| it.selected).unwrap_or_default();
        let what = format!(
            "at {rv} of epoch {epoch}: {}",
            difference(stored, &expected)
        );
        Err(("INV-S1", what))
    }

    fn check_phantoms(&self, stored: &Selected) -> Result<(), Broken> {
        for (key, Held { uid, rv, .. }) in stored {
            // One without a version was stored without one.
            if *rv > 0 && !self.cluster.model.ever(uid, *rv) {
                return Err(("INV-S8", format!("{key}@{rv}/{uid} never was")));
            }
        }
        Ok(())
    }
}

/// Keys with uid and version, as readers see them.
pub(crate) fn stored(snapshot: &Snapshot<Payload>) -> Selected {
    let one = |entry: &tidings_engine::entry::Entry<Payload>| {
        let object = &entry.object;
        let version = object.resource_version_text().parse().unwrap_or(0);
        let document = entry.effective().filter(|_| !entry.is_poisoned());
        let held = Held {
            uid: object.uid().into(),
            rv: version,
            mark: document.map(|document| document.mark()),
        };
        (object.key().into(), held)
    };
    snapshot.iter().map(one).collect()
}

/// cg-R21: nothing of another kind is stored.
fn check_kinds(snapshot: &Snapshot<Payload>) -> Result<(), Broken> {
    let documents = snapshot
        .iter()
        .filter_map(|entry| Some((entry, entry.effective()?)));
    let mut wrong = documents.filter(|(_, document)| document.is_of_no_kind());
    wrong.next().map_or(Ok(()), |(entry, _)| {
        let what = format!("{} is of another kind", entry.object.key());
        Err(("cg-R21", what))
    })
}

/// INV-S10.
fn check_index(snapshot: &Snapshot<Payload>) -> Result<(), Broken> {
    let mut expected: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for entry in snapshot.iter() {
        if let Some(document) = entry.effective() {
            let keys = expected.entry(document.app()).or_default();
            keys.push(entry.object.key());
        }
    }
    let unknown = |_| ("INV-S10", "the index is gone".to_owned());
    let values = snapshot.index_values("app").map_err(unknown)?;
    if values.len() != expected.len() {
        let what = format!("{} values, the store has {}", values.len(), expected.len());
        return Err(("INV-S10", what));
    }
    for (value, mut keys) in expected {
        let found = snapshot.index_keys("app", value).map_err(unknown)?;
        let mut found: Vec<&str> = found.iter().map(|key| &**key).collect();
        found.sort_unstable();
        keys.sort_unstable();
        if found != keys {
            return Err(("INV-S10", format!("{value:?} has {found:?}, not {keys:?}")));
        }
    }
    Ok(())
}

/// What differs, of at most six keys.
pub(crate) fn difference(stored: &Selected, expected: &Selected) -> String {
    let mut text = String::new();
    let mut count = 0;
    for key in stored.keys().chain(expected.keys()) {
        let (is, should) = (stored.get(key), expected.get(key));
        if is == should || text.contains(&**key) {
            continue;
        }
        count += 1;
        if count > 6 {
            text.push_str("..");
            break;
        }
        let shown = |it: Option<&Held>| match it {
            None => "absent".to_owned(),
            Some(Held { uid, rv, mark }) => {
                let uid = uid.get(..4).unwrap_or(uid);
                format!("@{rv}/{uid}#{:x}", mark.unwrap_or(0))
            }
        };
        text.push_str(&format!("{key} is {} not {}; ", shown(is), shown(should)));
    }
    text
}
