//! The informer against a real kube-apiserver over etcd: what the embedded server only imitates.
//!
//! `tests/real/run` builds the server and says where it is.

mod cluster;
mod cases;
