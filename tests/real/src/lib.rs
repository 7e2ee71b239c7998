//! Nothing but a place for the suite: see `suite/`.
