//! SEC-27, INV-S15: every configuration with marked secrets, every error, nothing shown.
