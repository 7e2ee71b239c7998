//! What is done to a running server at once: cuts, compactions, rotations, going back.
//!
//! Does not keep anything wrong: what lasts is a rule or a field of [`Faults`].

use std::{io, sync::Arc};

use super::{
    ConnectionInfo, Faults, Handle, RandomError, Shared, StartError, WatchInfo, access::Token,
    open::Cut, rules::Which,
};
use crate::state::State;

impl Handle {
    /// The levers for faults.
    pub fn faults<R>(&self, change: impl FnOnce(&mut Faults) -> R) -> R {
        change(&mut self.shared.faults.lock())
    }

    /// Puts all levers back: rules and fields are gone, and who was silenced answers again.
    pub fn reset(&self) {
        self.shared.reset();
    }

    /// Ends all open watches: at a frame's end, or in the middle of the connection.
    pub fn cut_watches(&self, abruptly: bool) {
        self.cut(&Which::default(), abruptly);
    }

    /// Ends those watches, and returns how many: at a frame's end, or in the middle of the connection.
    pub fn cut(&self, which: &Which, abruptly: bool) -> usize {
        let how = if abruptly { Cut::Abruptly } else { Cut::Well };
        self.shared.open.cut(which, how)
    }

    /// Stops to answer on those connections without closing them, until [`Handle::reset`] (pr-F20).
    pub fn silence(&self, which: &Which) -> usize {
        self.shared.silence(which)
    }

    /// Gives up those connections: what is under way on them goes on, nothing new begins (pr-S9).
    pub fn go_away(&self, which: &Which) -> usize {
        self.shared.go_away(which)
    }

    /// Forgets the history: watches and continue tokens of older versions meet 410.
    pub fn compact(&self) {
        self.apply(State::compact);
    }

    /// Refuses the continue tokens given so far (pr-L10).
    pub fn expire_tokens(&self) {
        self.shared.state.lock().expire_tokens();
    }

    /// Remembers the objects and their version, to go back to; there is one such memory.
    pub fn remember(&self) {
        self.shared.remember();
    }

    /// Goes back to what was remembered, as a restored etcd does, and breaks all watches (pr-F9). False if there
    /// is nothing to go back to.
    pub fn go_back(&self) -> bool {
        self.shared.go_back()
    }

    /// Takes another authority and certificate for the connections to come. The old authority stays in the
    /// kubeconfig, or does not.
    ///
    /// # Errors
    ///
    /// Without TLS, and when the certificates or the kubeconfig cannot be made.
    pub fn rotate_authority(&self, keep_old: bool) -> Result<(), StartError> {
        self.shared.rotate_authority(keep_old)
    }

    /// Gives every user another token and ends the old ones at once; the kubeconfig follows.
    ///
    /// # Errors
    ///
    /// When there are no random bytes, or the kubeconfig cannot be written.
    pub fn rotate_tokens(&self) -> io::Result<Arc<[Token]>> {
        self.shared.rotate_tokens()
    }

    /// How many clients watch.
    #[must_use]
    pub fn watches(&self) -> usize {
        self.shared.open.watch_count()
    }

    /// The watches that are open.
    #[must_use]
    pub fn open_watches(&self) -> Vec<WatchInfo> {
        self.shared.open.watches()
    }

    /// The connections that are open.
    #[must_use]
    pub fn open_connections(&self) -> Vec<ConnectionInfo> {
        self.shared.open.connections()
    }
}

// === impl Shared ===

impl Shared {
    pub(super) fn reset(&self) {
        *self.faults.lock() = Faults::default();
        self.open
            .each(&Which::default(), |it| it.silence.set(false));
        // Whoever was stalled looks again.
        self.changed.send_modify(|writes| *writes += 1);
    }

    pub(super) fn silence(&self, which: &Which) -> usize {
        self.open.each(which, |it| it.silence.set(true))
    }

    pub(super) fn go_away(&self, which: &Which) -> usize {
        self.open.each(which, |it| it.retire.notify_one())
    }

    pub(super) fn remember(&self) {
        let checkpoint = self.state.lock().checkpoint();
        *self.checkpoint.lock() = Some(checkpoint);
    }

    pub(super) fn go_back(&self) -> bool {
        let remembered = self.checkpoint.lock();
        let Some(checkpoint) = remembered.as_ref() else {
            return false;
        };
        self.state.lock().restore(checkpoint);
        self.open.cut(&Which::default(), Cut::Abruptly);
        self.changed.send_modify(|writes| *writes += 1);
        true
    }

    #[cfg(feature = "tls")]
    pub(super) fn rotate_authority(&self, keep_old: bool) -> Result<(), StartError> {
        let (Some(authority), Some(tls)) = (&self.authority, &self.config.tls) else {
            return Err(StartError::Tls("the server speaks no TLS".to_owned()));
        };
        authority.rotate(keep_old, tls.dir.as_deref())?;
        self.write_kubeconfig().map_err(StartError::Write)
    }

    #[cfg(not(feature = "tls"))]
    #[expect(clippy::unused_self, reason = "the feature decides")]
    pub(super) fn rotate_authority(&self, _keep_old: bool) -> Result<(), StartError> {
        Err(StartError::Tls("the server speaks no TLS".to_owned()))
    }

    pub(super) fn rotate_tokens(&self) -> io::Result<Arc<[Token]>> {
        let renewed: Result<Vec<Token>, RandomError> =
            self.tokens().iter().map(Token::renewed).collect();
        let renewed: Arc<[Token]> = renewed.map_err(io::Error::other)?.into();
        *self.tokens.lock() = Arc::clone(&renewed);
        self.write_kubeconfig()?;
        Ok(renewed)
    }
}
