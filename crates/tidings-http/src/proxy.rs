//! Tunnels through an HTTP proxy: `CONNECT`, then the same bytes as without it.
//!
//! Does not read environment variables, and does not speak TLS with the proxy or SOCKS: those are
//! refused when the URL is read.
//!
//! I1  Plain and TLS connections are tunnelled alike: the proxy sees the server's name and no request.
//! I2  What prints a proxy prints no password.
//!
//! Source: RFC 9110 9.3.6; rules SEC-5, SEC-14, SEC-27.

use std::fmt;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use zeroize::Zeroizing;

use crate::{
    endpoint::{Endpoint, EndpointError},
    error::TransportError,
    secret::Secret,
};

/// An HTTP proxy.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    endpoint: Endpoint,
    userinfo: Option<Secret<String>>,
}

/// Why a text is no proxy URL. The text itself is not repeated: it may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProxyError {
    /// The URL does not parse. Whoever wrote it corrects it.
    #[error("the proxy url does not parse")]
    Malformed(#[from] EndpointError),
    /// The proxy is none that this client can speak with: `https` and `socks5` are not supported.
    #[error("only http:// proxies are supported")]
    Unsupported,
}

impl Proxy {
    /// Reads a proxy URL, `http://[user:password@]host[:port]`.
    ///
    /// # Errors
    ///
    /// [`ProxyError`], which never repeats the text.
    pub fn parse(url: &str) -> Result<Self, ProxyError> {
        let rest = url
            .trim()
            .strip_prefix("http://")
            .ok_or(ProxyError::Unsupported)?;
        let (userinfo, rest) = match rest.rsplit_once('@') {
            Some((userinfo, rest)) => (Some(userinfo), rest),
            None => (None, rest),
        };
        Ok(Self {
            endpoint: Endpoint::parse(&format!("http://{rest}"))?,
            userinfo: userinfo.map(|text| Secret::new(percent_decoded(text))),
        })
    }

    /// Where the proxy is.
    #[must_use]
    pub const fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Opens a tunnel to `target` (`host:port`) over a connection to the proxy.
    pub(crate) async fn tunnel<S>(&self, stream: &mut S, target: &str) -> Result<(), TransportError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut request =
            Zeroizing::new(format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n"));
        if let Some(userinfo) = &self.userinfo {
            let pair = Zeroizing::new(BASE64_STANDARD.encode(userinfo.expose()));
            request.push_str("Proxy-Authorization: Basic ");
            request.push_str(&pair);
            request.push_str("\r\n");
        }
        request.push_str("\r\n");
        let broken = |_| self.refused("the connection broke");
        stream.write_all(request.as_bytes()).await.map_err(broken)?;
        let mut head = Vec::new();
        // Byte by byte, so that not one byte of the server's is taken for the proxy's.
        while !head.ends_with(b"\r\n\r\n") {
            if head.len() >= HEAD_BYTES_MAX {
                return Err(self.refused("its answer has no end"));
            }
            head.push(stream.read_u8().await.map_err(broken)?);
        }
        match status_class(&head) {
            Some(b'2') => Ok(()),
            Some(b'4') => Err(self.refused("it answered 4xx, such as 407: credentials needed")),
            Some(b'5') => Err(self.refused("it answered 5xx, it cannot reach the server")),
            _ => Err(self.refused("it answered no http, or nothing that a tunnel can begin with")),
        }
    }

    fn refused(&self, answer: &'static str) -> TransportError {
        TransportError::Proxy {
            proxy: self.endpoint.to_string(),
            answer,
        }
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.endpoint, f)
    }
}

/// The most bytes of the proxy's answer.
const HEAD_BYTES_MAX: usize = 8 << 10;

/// The first digit of the status code.
fn status_class(head: &[u8]) -> Option<u8> {
    let rest = head.strip_prefix(b"HTTP/1.")?;
    match rest {
        [b'0' | b'1', b' ', class, ..] => Some(*class),
        _ => None,
    }
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let digits = tail.get(..2).filter(|_| *first == b'%');
        let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = tail.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
