//! What makes the streams of two clients one: same endpoint, same credential, same trust.
//!
//! Does not reveal: secrets enter a hash whose key is drawn at random for each process, and only the
//! hash is kept.

use std::{
    fmt,
    hash::{BuildHasher as _, Hash as _, Hasher, RandomState},
    sync::OnceLock,
};

use crate::{
    config::ClientConfig,
    credentials::Credentials,
    tls::{Roots, Source},
};

/// What two clients must have in common for one stream to serve both. Means nothing in another
/// process.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Identity {
    endpoint: String,
    fingerprint: [u64; 2],
}

impl Identity {
    pub(crate) fn of(config: &ClientConfig) -> Self {
        static KEYS: OnceLock<[RandomState; 2]> = OnceLock::new();
        let keys = KEYS.get_or_init(|| [RandomState::new(), RandomState::new()]);
        Self {
            endpoint: config.endpoint.to_string(),
            fingerprint: [fingerprint(config, &keys[0]), fingerprint(config, &keys[1])],
        }
    }

    /// The endpoint, for people.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}

fn fingerprint(config: &ClientConfig, key: &RandomState) -> u64 {
    let mut hasher = key.build_hasher();
    match &config.credentials {
        Credentials::None => 0_u8.hash(&mut hasher),
        Credentials::Token(token) => (1_u8, token.expose()).hash(&mut hasher),
        Credentials::TokenFile { path, fallback } => {
            let fallback = fallback.as_ref().map(|token| token.expose());
            (2_u8, path, fallback).hash(&mut hasher);
        }
        Credentials::Basic { user, password } => (3_u8, user, password.expose()).hash(&mut hasher),
        Credentials::Exec(settings) => {
            (4_u8, &settings.command).hash(&mut hasher);
            for argument in &settings.args {
                argument.expose().hash(&mut hasher);
            }
            for (name, value) in &settings.env {
                (name, value.expose()).hash(&mut hasher);
            }
        }
    }
    if let Some(impersonation) = &config.impersonation {
        impersonation.hash(&mut hasher);
    }
    config.tls.server_name.hash(&mut hasher);
    match &config.tls.roots {
        Roots::Anyone => 0_u8.hash(&mut hasher),
        Roots::Given(source) => hash_source(source, &mut hasher),
        Roots::Platform => 2_u8.hash(&mut hasher),
    }
    if let Some(own) = &config.tls.client_certificate {
        hash_source(&own.certificate, &mut hasher);
        hash_source(&own.key, &mut hasher);
    }
    hasher.finish()
}

fn hash_source(source: &Source, hasher: &mut impl Hasher) {
    match source {
        Source::File(path) => (5_u8, path).hash(hasher),
        Source::Inline(text) => (6_u8, text.expose()).hash(hasher),
    }
}
