//! What threads do beside each other, and what must hold in every order of their steps.

pub mod crowds;
pub mod handlers;
pub mod publication;
pub mod queue;
pub mod subscriptions;
pub mod wakes;

mod history;
mod sleeper;
mod stage;
mod waiting;
