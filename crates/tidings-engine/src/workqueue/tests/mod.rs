//! The workqueue: traces for its rules, a naive model for everything at once.

mod limiters;
mod model;
mod notation;
mod programs;
mod rules;
mod wheel;
