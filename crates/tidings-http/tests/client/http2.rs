//! HTTP/2: shared connections, and ends that are none.
