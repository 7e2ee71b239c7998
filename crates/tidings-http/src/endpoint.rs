//! Where a server is: scheme, host, port and the path in front of every request.
//!
//! Does not resolve and does not connect.
//!
//! I1  An endpoint holds no userinfo, no query and no fragment: what prints it prints no secret.
//! I2  The prefix is empty or begins with a slash, and never ends with one; it has no empty part.
//!
//! Source: rules SEC-8 (IPv6 brackets), SEC-12, SEC-27.

use std::fmt;

use http::{HeaderValue, Uri, uri::Authority};

/// The base URL of an API server.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Endpoint {
    tls: bool,
    host: String,
    port: u16,
    prefix: String,
}

/// Why a text is no server URL. The text itself is not repeated: it may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EndpointError {
    /// The text has no host or does not parse. Whoever wrote the URL corrects it.
    #[error("the server url does not parse or has no host")]
    Malformed,
    /// The URL has a query or a fragment, which no base URL has. Whoever wrote it removes them.
    #[error("the server url has a query or a fragment")]
    Query,
    /// The scheme is neither `http` nor `https`. Whoever wrote the URL corrects it.
    #[error("the server url is neither http nor https")]
    Scheme,
    /// The URL carries a user or a password. Credentials belong into the user section.
    #[error("the server url holds a user name or password; put them into the user section")]
    UserInfo,
}

impl Endpoint {
    /// Reads a server URL. A text without a scheme is taken as `https`, as kubectl does.
    ///
    /// # Errors
    ///
    /// [`EndpointError`], which never repeats the text.
    pub fn parse(url: &str) -> Result<Self, EndpointError> {
        let url = url.trim();
        let with_scheme = if url.contains("://") {
            url.to_owned()
        } else {
            format!("https://{url}")
        };
        if with_scheme.contains(['?', '#']) {
            return Err(EndpointError::Query);
        }
        let uri: Uri = with_scheme.parse().map_err(|_| EndpointError::Malformed)?;
        let tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(EndpointError::Scheme),
        };
        let authority = uri.authority().ok_or(EndpointError::Malformed)?;
        if authority.as_str().contains('@') {
            return Err(EndpointError::UserInfo);
        }
        let host = bare_host(authority).ok_or(EndpointError::Malformed)?;
        let port = match authority.port() {
            Some(port) => port.as_u16(),
            None if tls => 443,
            None => 80,
        };
        let prefix = uri.path().trim_end_matches('/').to_owned();
        // A scheme that stands twice: what follows is no path, and may hold a password.
        if prefix.contains("//") {
            return Err(EndpointError::Malformed);
        }
        Ok(Self {
            tls,
            host,
            port,
            prefix,
        })
    }

    /// An `https` endpoint from a host (an IPv6 address with or without brackets) and a port.
    #[must_use]
    pub fn https(host: &str, port: u16) -> Self {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        Self {
            tls: true,
            host: host.to_owned(),
            port,
            prefix: String::new(),
        }
    }

    /// Whether the connection is encrypted.
    #[must_use]
    pub const fn is_tls(&self) -> bool {
        self.tls
    }

    /// The host, an IPv6 address without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The path in front of every request, empty in most clusters.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// `host:port` with brackets around an IPv6 address; the port always.
    #[must_use]
    pub fn host_and_port(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// The `Host` header: the port only where it is not the scheme's own.
    pub(crate) fn host_header(&self) -> Option<HeaderValue> {
        let standard = if self.tls { 443 } else { 80 };
        let text = self.host_and_port();
        let text = if self.port == standard {
            text.trim_end_matches(&format!(":{standard}")).to_owned()
        } else {
            text
        };
        HeaderValue::from_str(&text).ok()
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.host_and_port(), self.prefix)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn bare_host(authority: &Authority) -> Option<String> {
    let host = authority.host();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    (!bare.is_empty()).then(|| bare.to_owned())
}

#[cfg(test)]
mod tests;
