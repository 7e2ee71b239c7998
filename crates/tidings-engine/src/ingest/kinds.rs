//! Which kind the objects of a collection are of, decided by the majority of each list.
//!
//! Does not know the resource's kind from anywhere else: a server names it in its lists, in most
//! objects and in bookmarks, and any single one of these may be wrong.
//!
//! ```text
//!  known ""      the first object teaches: by its list's word if that came before, else by its own
//!  known "Pod"   PodList                    this list is what it should be
//!                SecretList, then items     refused; the second in a row is believed
//!                Secret among Pods          unfit alone
//!                Pods, Secrets, end         whoever has more votes, the word counting as one, is right
//! ```
//!
//! The word of a list is its head (`PodList`), of a WatchList the kind of the bookmark that ends it.
//!
//! K1  An object of another kind than the known one is never let through.
//! K2  A list that ends well has no rival with more votes than the known kind: the order of objects
//!     does not matter, not even which one came first.
//! K3  A list that is given up twice in a row for one rival is believed, so no kind is refused for
//!     ever: it may come back under its old resource with another name.
//! Cost: one comparison an object. Memory: four names.
//! Source: rule cg-R21; the majority among rivals is counted as Boyer and Moore do (1981).

/// The kind that is known, and the votes on it.
#[derive(Debug, Default)]
pub(super) struct Kinds {
    known: Option<String>,
    /// The rival for which the list before this one was given up.
    refused: Option<String>,
    votes: Votes,
}

/// What the list at hand says. Further objects of a WatchList's stream are counted too, and no
/// list ends after them.
#[derive(Debug, Default)]
struct Votes {
    /// What the body at hand says of itself.
    word: Option<String>,
    /// Whether an object of the body at hand has named its kind.
    body_has_named: bool,
    /// Objects of the known kind.
    support: u64,
    /// The other kind that most objects are of, if one has the majority among the others.
    rival: Option<String>,
    against: u64,
}

impl Kinds {
    /// A body begins; it may be a further page of the list at hand.
    pub(super) fn begin(&mut self, is_further_page: bool) {
        if is_further_page {
            self.votes.word = None;
            self.votes.body_has_named = false;
        } else {
            self.votes = Votes::default();
        }
    }

    /// The body says what it has. Before its objects that is authoritative: the error says that the
    /// list is to be given up. After objects that named their kind it is a vote (custom resources).
    pub(super) fn handle_word(&mut self, kind: &str) -> Result<(), String> {
        self.votes.word = Some(kind.to_owned());
        if self.votes.body_has_named {
            return Ok(());
        }
        match &self.known {
            None => return Ok(()),
            Some(known) if known == kind => {}
            // K3. An empty list teaches nothing: the first object will.
            Some(_) if self.refused.as_deref() == Some(kind) => self.known = None,
            Some(_) => {
                self.refused = Some(kind.to_owned());
                return Err(self.given_up(kind));
            }
        }
        self.refused = None;
        Ok(())
    }

    /// An object, with the kind that it names. Whether it is of another kind than the known one.
    pub(super) fn is_other(&mut self, kind: Option<&str>) -> bool {
        let Some(kind) = kind else {
            // An item of a list of built-in objects has no kind: the list has it.
            if self.known.is_none() {
                self.known.clone_from(&self.votes.word);
            }
            return false;
        };
        self.votes.body_has_named = true;
        let is_first = self.votes.support == 0 && self.votes.rival.is_none();
        if self.known.is_none() {
            let word = self.votes.word.clone();
            self.known = Some(word.unwrap_or_else(|| kind.to_owned()));
        } else if is_first && self.refused.as_deref() == Some(kind) {
            self.known = self.refused.take();
        }
        if self.known.as_deref() == Some(kind) {
            self.votes.support += 1;
            return false;
        }
        self.votes.count_against(kind);
        true
    }

    /// A page, or the initial events, are complete. The error says that the list is to be given up,
    /// for what was let through is not of its kind.
    pub(super) fn handle_end(&mut self) -> Result<(), String> {
        let word = self.votes.word.take();
        let word_for = |kind: &Option<String>| u64::from(word.is_some() && word == *kind);
        let support = self.votes.support + word_for(&self.known);
        let against = self.votes.against + word_for(&self.votes.rival);
        let Some(rival) = self.votes.rival.clone().filter(|_| against > support) else {
            self.refused = None;
            return Ok(());
        };
        let error = self.given_up(&rival);
        // Nothing of the known kind: another list, or another kind from now on (K3). Else the
        // known kind was learned from objects that do not belong here.
        if self.votes.support == 0 && self.refused.as_ref() != Some(&rival) {
            self.refused = Some(rival);
        } else {
            self.known = Some(rival);
            self.refused = None;
        }
        Err(error)
    }

    /// What is wrong with objects of another kind, in a sentence's part.
    pub(super) fn problem(&self, kind: &str) -> String {
        let known = shown(self.known.as_deref().unwrap_or_default());
        let kind = shown(kind);
        format!("objects of the kind {kind:?} where {known:?} was")
    }

    fn given_up(&self, kind: &str) -> String {
        format!("the list has {}", self.problem(kind))
    }
}

impl Votes {
    /// Of several rivals the one with the majority remains, without a counter for each.
    fn count_against(&mut self, kind: &str) {
        if self.rival.as_deref() == Some(kind) {
            self.against += 1;
        } else if self.against > 0 {
            self.against -= 1;
        } else {
            self.rival = Some(kind.to_owned());
            self.against = 1;
        }
    }
}

fn shown(kind: &str) -> String {
    kind.chars().filter(|c| !c.is_control()).take(64).collect()
}

#[cfg(test)]
mod tests;
