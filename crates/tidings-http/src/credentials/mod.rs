//! Who we are: the credential of a request, from a value, a file or a plugin.
//!
//! Does not judge answers: after a 401 the caller says which [`CredentialVersion`] was refused, and
//! the next request loads the credential anew, once for all streams that were refused together.
//!
//! I1  A token with a line break or another control character never becomes a header (SEC-6).
//! I2  A token file is read again after [`TOKEN_FILE_INTERVAL`]; if that fails the old token stays.
//! I3  At most one load runs at a time; the others wait for its result.
//! Cost: one uncontended lock a request while the credential is fresh.
//!
//! Source: client-go transport/`token_source.go`, plugin/pkg/client/auth/exec; rules SEC-1, SEC-2,
//! SEC-6, pr-F60, pr-F62, cg 1.6.

mod error;
pub(crate) mod exec;

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, SystemTime},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::{sync::Mutex, time::Instant};
use zeroize::Zeroizing;

pub use self::{
    error::{CredentialError, ExecError},
    exec::{ExecCluster, ExecPolicy, ExecSettings, ExecVersion},
};
use crate::{
    file,
    metrics::{Metrics, add},
    secret::Secret,
    tls::ClientCertificate,
};

/// How to say who we are. A client certificate is part of the TLS settings instead.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Credentials {
    /// A user name and a password.
    Basic {
        /// The user name.
        user: String,
        /// The password.
        password: Secret<String>,
    },
    /// A plugin that prints a credential.
    Exec(Box<ExecSettings>),
    /// Nothing, or nothing but a client certificate.
    #[default]
    None,
    /// A bearer token.
    Token(Secret<String>),
    /// A bearer token in a file, which is replaced from time to time.
    TokenFile {
        /// The file.
        path: PathBuf,
        /// The token to use while the file cannot be read for the first time.
        fallback: Option<Secret<String>>,
    },
}

/// As whom to act.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[expect(
    clippy::exhaustive_structs,
    reason = "settings for users to fill with struct update syntax"
)]
pub struct Impersonation {
    /// The user's name.
    pub user: String,
    /// The user's uid.
    pub uid: Option<String>,
    /// The user's groups.
    pub groups: Vec<String>,
    /// More about the user: keys and their values.
    pub extra: Vec<(String, Vec<String>)>,
}

/// Which version of a credential a request bore: what a refusal is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CredentialVersion(u64);

/// A credential as it goes out with one request.
#[derive(Clone, Debug)]
pub(crate) struct Current {
    pub(crate) authorization: Option<HeaderValue>,
    pub(crate) certificate: Option<Arc<ClientCertificate>>,
    pub(crate) version: CredentialVersion,
}

/// Loads and keeps the credential of one client.
#[derive(Debug)]
pub(crate) struct Authenticator {
    credentials: Credentials,
    policy: ExecPolicy,
    refused: AtomicU64,
    loaded: Mutex<Option<Loaded>>,
}

#[derive(Debug)]
struct Loaded {
    current: Current,
    until: Until,
}

/// How long a loaded credential is good.
#[derive(Clone, Copy, Debug)]
enum Until {
    /// Until it is refused.
    Refused,
    /// Until this moment of the monotonic clock.
    Elapsed(Instant),
    /// Until this moment of the wall clock, by which its issuer dated it (pr-F63).
    Dated(SystemTime),
}

/// A token file is read again after this time.
pub const TOKEN_FILE_INTERVAL: Duration = Duration::from_secs(55);

/// A token file that could not be read is tried again after this time.
const TOKEN_FILE_RETRY: Duration = Duration::from_secs(5);

/// The number of refusals a version is above: versions begin at 1.
const NOTHING_REFUSED: u64 = 0;

impl Authenticator {
    /// Checks what can be checked without loading.
    pub(crate) fn new(
        credentials: Credentials,
        policy: ExecPolicy,
    ) -> Result<Self, CredentialError> {
        match &credentials {
            Credentials::Token(token)
            | Credentials::TokenFile {
                fallback: Some(token),
                ..
            } => {
                bearer(token.expose(), None)?;
            }
            Credentials::Basic { user, password } => {
                basic(user, password)?;
            }
            Credentials::Exec(settings) => policy.check(settings)?,
            Credentials::None | Credentials::TokenFile { .. } => {}
        }
        Ok(Self {
            credentials,
            policy,
            refused: AtomicU64::new(NOTHING_REFUSED),
            loaded: Mutex::new(None),
        })
    }

    /// The credential for a request that goes out now.
    pub(crate) async fn current(&self, metrics: &Metrics) -> Result<Current, CredentialError> {
        let mut slot = self.loaded.lock().await;
        let mut version = NOTHING_REFUSED + 1;
        if let Some(loaded) = slot.as_ref() {
            let refused = loaded.current.version.0 <= self.refused.load(Relaxed);
            if !refused && loaded.until.is_future() {
                return Ok(loaded.current.clone());
            }
            version = loaded.current.version.0 + 1;
        }
        // The old one stays in its place meanwhile: a load that is dropped half-way loses nothing.
        let loaded = self.load(CredentialVersion(version), slot.as_ref()).await?;
        if !matches!(self.credentials, Credentials::None) {
            add(&metrics.credential_refreshes, 1);
        }
        Ok(slot.insert(loaded).current.clone())
    }

    /// Takes note that the server refused a credential: the next request loads it anew.
    pub(crate) fn refuse(&self, version: CredentialVersion) {
        self.refused.fetch_max(version.0, Relaxed);
    }

    async fn load(
        &self,
        version: CredentialVersion,
        previous: Option<&Loaded>,
    ) -> Result<Loaded, CredentialError> {
        let done = |authorization, until| Loaded {
            current: Current {
                authorization,
                certificate: None,
                version,
            },
            until,
        };
        match &self.credentials {
            Credentials::None => Ok(done(None, Until::Refused)),
            Credentials::Token(token) => {
                Ok(done(Some(bearer(token.expose(), None)?), Until::Refused))
            }
            Credentials::Basic { user, password } => {
                Ok(done(Some(basic(user, password)?), Until::Refused))
            }
            Credentials::TokenFile { path, fallback } => {
                let (authorization, lifetime) = token_file(path, fallback.as_ref(), previous)?;
                let until = Until::Elapsed(Instant::now() + lifetime);
                Ok(done(Some(authorization), until))
            }
            Credentials::Exec(settings) => {
                self.policy.check(settings)?;
                let answer = exec::run(settings).await?;
                let token = answer.token.as_ref();
                let authorization = token
                    .map(|token| bearer(token.expose(), Some(&settings.command)))
                    .transpose()?;
                Ok(Loaded {
                    current: Current {
                        authorization,
                        certificate: answer.certificate.map(Arc::new),
                        version,
                    },
                    until: answer.expires.map_or(Until::Refused, Until::Dated),
                })
            }
        }
    }
}

impl Until {
    fn is_future(self) -> bool {
        match self {
            Self::Refused => true,
            Self::Elapsed(end) => Instant::now() < end,
            Self::Dated(end) => SystemTime::now() < end,
        }
    }
}

/// The header of a token file's token, and how long to use it.
fn token_file(
    path: &Path,
    fallback: Option<&Secret<String>>,
    previous: Option<&Loaded>,
) -> Result<(HeaderValue, Duration), CredentialError> {
    let read = || {
        let bytes = Zeroizing::new(file::read(path)?);
        let text = std::str::from_utf8(&bytes).unwrap_or("\0");
        bearer(text, Some(path.as_os_str()))
    };
    match read() {
        Ok(header) => Ok((header, TOKEN_FILE_INTERVAL)),
        Err(error) => {
            let old = previous.and_then(|loaded| loaded.current.authorization.clone());
            let header = match (old, fallback) {
                (Some(old), _) => old,
                (None, Some(token)) => bearer(token.expose(), None)?,
                (None, None) => return Err(error),
            };
            tracing::warn!(%error, path = %path.display(), "token file cannot be used, the old token stays");
            Ok((header, TOKEN_FILE_RETRY))
        }
    }
}

/// The header of a bearer token; `origin` names the file or plugin that it comes from.
fn bearer(token: &str, origin: Option<&std::ffi::OsStr>) -> Result<HeaderValue, CredentialError> {
    let token = token.trim();
    let malformed = || CredentialError::Malformed {
        origin: origin.map(|origin| origin.to_string_lossy().into_owned()),
    };
    if token.is_empty() || token.bytes().any(|byte| !(0x21..=0x7e).contains(&byte)) {
        return Err(malformed());
    }
    let text = Zeroizing::new(format!("Bearer {token}"));
    sensitive(&text).ok_or_else(malformed)
}

fn basic(user: &str, password: &Secret<String>) -> Result<HeaderValue, CredentialError> {
    let pair = Zeroizing::new(format!("{user}:{}", password.expose()));
    let control = pair.chars().any(char::is_control);
    if control || user.contains(':') {
        return Err(CredentialError::Malformed { origin: None });
    }
    let text = Zeroizing::new(format!("Basic {}", BASE64_STANDARD.encode(pair.as_bytes())));
    sensitive(&text).ok_or(CredentialError::Malformed { origin: None })
}

fn sensitive(text: &str) -> Option<HeaderValue> {
    let mut header = HeaderValue::from_str(text).ok()?;
    // The header map's own Debug hides values that are marked so.
    header.set_sensitive(true);
    Some(header)
}

impl Impersonation {
    /// The headers that ask for it.
    pub(crate) fn headers(&self) -> Result<HeaderMap, CredentialError> {
        let mut headers = HeaderMap::new();
        let mut add = |name: HeaderName, text: &str| {
            let value =
                HeaderValue::from_str(text).map_err(|_| CredentialError::Impersonation {
                    header: name.clone(),
                })?;
            headers.append(name, value);
            Ok::<(), CredentialError>(())
        };
        add(HeaderName::from_static("impersonate-user"), &self.user)?;
        if let Some(uid) = &self.uid {
            add(HeaderName::from_static("impersonate-uid"), uid)?;
        }
        for group in &self.groups {
            add(HeaderName::from_static("impersonate-group"), group)?;
        }
        for (key, values) in &self.extra {
            let name = extra_header(key)?;
            for value in values {
                add(name.clone(), value)?;
            }
        }
        Ok(headers)
    }
}

/// The header of an extra key: what no header name may hold is percent-encoded, as client-go does.
fn extra_header(key: &str) -> Result<HeaderName, CredentialError> {
    use std::fmt::Write as _;
    let mut name = "impersonate-extra-".to_owned();
    for byte in key.bytes() {
        let plain = byte.is_ascii_alphanumeric() || b"!#$&'*+-.^_`|~".contains(&byte);
        if plain {
            name.push(char::from(byte.to_ascii_lowercase()));
        } else {
            let _ = write!(name, "%{byte:02x}");
        }
    }
    HeaderName::from_bytes(name.as_bytes()).map_err(|_| CredentialError::Impersonation {
        header: HeaderName::from_static("impersonate-extra"),
    })
}

#[cfg(test)]
mod tests;
