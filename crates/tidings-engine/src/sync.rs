//! What the writer and the readers of a store share across threads: counted roots, and the cell in
//! which the present one stands.
//!
//! Has nothing of its own. `tests/schedules` mounts the rooms of this crate beside another file of
//! this name, whose cell and counts are those of a checker of schedules.
//!
//! Only roots are [`Counted`] here: the nodes below them have plain counts, since one is changed by the
//! writer alone, and only while nobody else has it.

pub(crate) use std::sync::Arc as Counted;

pub(crate) use arc_swap::ArcSwap;
