//! Sends a request value to an API server and returns a stream of chunks.
