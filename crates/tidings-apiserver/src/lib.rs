//! An embedded API server: pure versioned state and an HTTP front.
