//! Finds the structure of JSON text, 64 bytes at a time.
