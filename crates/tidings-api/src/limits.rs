//! Every bound of the wire in one table, each with what happens when it is met.
//!
//! | bound | default | when it is met |
//! |---|---|---|
//! | `frame_bytes_max` | 16 MiB | the frame is skimmed, its key poisoned if it was seen (pr-W5) |
//! | `object_bytes_max` | 16 MiB | the item is skimmed, its key poisoned if it was seen |
//! | `list_bytes_max` | 64 GiB | the list is given up with an error that names the bound |
//! | `list_items_max` | 50 million | as above |
//! | `depth_max` | 10 000 | the object is poisoned (the server's own limit, pr-N13) |
//! | `token_bytes_max` | 1 KiB | a longer name, namespace or uid makes the item unusable |
//! | `envelope_bytes_max` | 1 MiB | a list's or frame's own fields are given up with an error |
//! | `status_bytes_max` | 1 MiB | a longer Status is reported as such, without its text |

/// The bounds that the decoders of this crate keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "a table that users fill with struct update syntax"
)]
pub struct Limits {
    /// Most bytes of one watch frame, as it stands on the wire.
    pub frame_bytes_max: usize,
    /// Most bytes of one list item, as it stands on the wire.
    pub object_bytes_max: usize,
    /// Most bytes of one list body (one page), after decompression.
    pub list_bytes_max: u64,
    /// Most items of one list body (one page).
    pub list_items_max: u64,
    /// Deepest nesting of one object.
    pub depth_max: u32,
    /// Most bytes of a name, a namespace or a uid.
    pub token_bytes_max: usize,
    /// Most bytes of a list's or frame's own fields.
    pub envelope_bytes_max: usize,
    /// Most bytes of a Status.
    pub status_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            frame_bytes_max: 16 << 20,
            object_bytes_max: 16 << 20,
            list_bytes_max: 64 << 30,
            list_items_max: 50_000_000,
            depth_max: 10_000,
            token_bytes_max: 1 << 10,
            envelope_bytes_max: 1 << 20,
            status_bytes_max: 1 << 20,
        }
    }
}
