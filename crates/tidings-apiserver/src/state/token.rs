//! Continue tokens: where a list goes on, and at which version.
//!
//! Source: storage/continue.go @v0.36.3; rules pr-L9, pr-L10.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

/// A decoded token. A negative version goes on at the latest one (pr-L9).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Token {
    #[serde(rename = "v")]
    pub(crate) version: String,
    #[serde(default)]
    pub(crate) rv: i64,
    #[serde(default)]
    pub(crate) start: String,
}

impl Token {
    pub(crate) fn new(rv: i64, start: String) -> Self {
        let version = VERSION.to_owned();
        Self { version, rv, start }
    }

    pub(crate) fn encode(&self) -> String {
        // Strings and numbers only: writing them to memory cannot fail.
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).unwrap_or_default())
    }

    pub(crate) fn decode(text: &str) -> Result<Self, &'static str> {
        let invalid = "invalid continue token: continue key is not valid";
        let json = URL_SAFE_NO_PAD.decode(text).map_err(|_| invalid)?;
        let token: Self = serde_json::from_slice(&json).map_err(|_| invalid)?;
        if token.version != VERSION {
            return Err("invalid continue token: continue key is not valid: server does not \
                        recognize this encoded version");
        }
        if token.rv == 0 {
            return Err("invalid continue token: continue key is not valid: incorrect encoded \
                        start resourceVersion (version meta.k8s.io/v1)");
        }
        if token.start.is_empty() {
            return Err("invalid continue token: continue key is not valid: encoded start key \
                        empty (version meta.k8s.io/v1)");
        }
        // A start that names another level of the hierarchy is no start in this list.
        let mut segments = token.start.trim_start_matches('/').split('/');
        if segments.any(|segment| matches!(segment, "" | "." | "..")) {
            return Err(invalid);
        }
        Ok(token)
    }
}

const VERSION: &str = "meta.k8s.io/v1";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pr_l9_tokens_are_base64url_json_and_refused_when_they_leave_the_list() {
        let token = Token::new(42, "default/web-0\0".to_owned());
        assert_eq!(Token::decode(&token.encode()), Ok(token));
        for start in ["", "../x", "a/../b", "a//b", "."] {
            let text = Token::new(42, start.to_owned()).encode();
            assert!(Token::decode(&text).is_err(), "{start:?}");
        }
        assert!(Token::decode(&Token::new(0, "a".to_owned()).encode()).is_err());
        assert!(Token::decode("not a token").is_err());
    }
}
