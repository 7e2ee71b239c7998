//! The router without connections: a request in, the whole answer out. For tests and fuzzing.
//!
//! Does not listen, and does what follows from writes only when it is told to.
//!
//! I1  A request gets exactly one answer, whatever stands in it.

use std::{net::SocketAddr, sync::Arc};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use tokio::sync::watch;

use super::{
    Config, Shared,
    open::{Admitted, Open},
    route, unix_seconds,
};
use crate::state::State;

/// A server with one client, which is always connected.
pub struct InProcess {
    admitted: Admitted,
    /// While it is there, the server runs.
    _stop: watch::Sender<bool>,
}

impl InProcess {
    /// A server without objects; its address is nobody's.
    ///
    /// # Panics
    ///
    /// When the configuration has no room for a connection.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let (stop, stopped) = watch::channel(false);
        let shared = Arc::new(Shared::new(config, nowhere, stopped));
        let admitted = Open::connection(&shared, nowhere, false);
        Self {
            admitted: admitted.expect("room for one connection"),
            _stop: stop,
        }
    }

    /// Reads or writes the state directly; watches learn of it.
    pub fn apply<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        let shared = &self.admitted.0.shared;
        let result = change(&mut shared.state.lock());
        shared.changed.send_modify(|writes| *writes += 1);
        result
    }

    /// Does what follows from the writes so far, all of it.
    pub fn collect(&self) {
        while self.apply(|state| state.collect(unix_seconds())) {}
    }

    /// Answers a request; `None` as its body if that breaks off. A watch is read to its end.
    pub async fn answer(&self, request: Request<Bytes>) -> Response<Option<Bytes>> {
        let connection = Arc::clone(&self.admitted.0);
        let Ok(response) = route::answer(connection, request.map(Full::new)).await;
        let (head, body) = response.into_parts();
        let body = body.collect().await.ok();
        Response::from_parts(head, body.map(|body| body.to_bytes()))
    }
}
