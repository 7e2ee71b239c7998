//! Who may ask: bearer tokens and the users behind them.
//!
//! Does not authorize: whoever is known may do everything. Does not keep files; the command does.
//!
//! A1  With tokens, a request without one or with another one is refused with 401, and so is a wrong one at a
//!     path that is open to everybody.
//! A2  A token appears in no message and in no `Debug` output (SEC-27).
//!
//! Source: apiserver pkg/authentication/token/tokenfile and server/options/authentication.go @v0.36.3, and the
//! answers of a real server; rules pr-S2, SEC-27.

use std::{fmt, sync::Arc};

use http::{HeaderMap, header};

use crate::refusal::Refusal;

/// A user as requests show it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "what a token file says of a user"
)]
pub struct User {
    /// The name.
    pub name: String,
    /// The uid, which may be empty.
    pub uid: String,
    /// The groups, without those that the server adds.
    pub groups: Vec<String>,
}

impl User {
    /// The name of whoever shows nothing.
    const ANONYMOUS: &str = "system:anonymous";

    fn anonymous() -> Self {
        Self {
            name: Self::ANONYMOUS.to_owned(),
            ..Self::default()
        }
    }

    /// The groups with the one that the server adds.
    pub(super) fn all_groups(&self) -> Vec<String> {
        let added = if self.name == Self::ANONYMOUS {
            "system:unauthenticated"
        } else {
            "system:authenticated"
        };
        let mut all = self.groups.clone();
        if !all.iter().any(|group| group == added) {
            all.push(added.to_owned());
        }
        all
    }

    /// Whether it may pull levers.
    pub(super) fn is_admin(&self) -> bool {
        self.groups.iter().any(|group| group == ADMINS)
    }
}

/// The group that may do everything, here as there.
const ADMINS: &str = "system:masters";

/// A bearer token, and who bears it.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    secret: String,
    user: Arc<User>,
}

impl Token {
    /// A token of a user.
    #[must_use]
    pub fn new(secret: impl Into<String>, user: User) -> Self {
        Self {
            secret: secret.into(),
            user: Arc::new(user),
        }
    }

    /// A token of a user `admin` in the group `system:masters`.
    #[must_use]
    pub fn admin(secret: impl Into<String>) -> Self {
        let user = User {
            name: "admin".to_owned(),
            uid: "admin".to_owned(),
            groups: vec![ADMINS.to_owned()],
        };
        Self::new(secret, user)
    }

    /// A token that nobody can guess, of that user.
    ///
    /// # Errors
    ///
    /// When the system gives no random bytes.
    pub fn random_admin() -> Result<Self, RandomError> {
        Ok(Self::admin(random_secret()?))
    }

    /// The token itself.
    #[must_use]
    pub fn secret(&self) -> &str {
        &self.secret
    }

    /// Who bears it.
    #[must_use]
    pub fn user(&self) -> &User {
        &self.user
    }

    /// The same user with another token.
    pub(super) fn renewed(&self) -> Result<Self, RandomError> {
        Ok(Self {
            secret: random_secret()?,
            user: Arc::clone(&self.user),
        })
    }

    /// The tokens of a file as kube-apiserver reads it: `token,user,uid,"group1,group2"`, a line each.
    ///
    /// # Errors
    ///
    /// A line that has too few columns, an open quote, no token, or one that stood before; and a file without
    /// any token.
    pub fn parse_file(text: &str) -> Result<Vec<Self>, TokenFileError> {
        let mut all: Vec<Self> = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let wrong = |what| TokenFileError {
                line: index + 1,
                what,
            };
            let columns = columns(line).ok_or_else(|| wrong("a quote is not closed"))?;
            let [secret, name, uid, rest @ ..] = columns.as_slice() else {
                return Err(wrong(
                    "fewer than three columns: token, user name, user uid",
                ));
            };
            let is_plain = secret.bytes().all(|byte| byte.is_ascii_graphic());
            if secret.is_empty() || !is_plain {
                return Err(wrong("a token is visible ASCII, and not empty"));
            }
            if name.is_empty() {
                return Err(wrong("the user has no name"));
            }
            if all.iter().any(|token| token.secret == *secret) {
                return Err(wrong("the token stands in an earlier line"));
            }
            let groups = rest.first().map(String::as_str).unwrap_or_default();
            let groups = groups.split(',').map(str::trim);
            let user = User {
                name: name.clone(),
                uid: uid.clone(),
                groups: groups
                    .filter(|group| !group.is_empty())
                    .map(str::to_owned)
                    .collect(),
            };
            all.push(Self::new(secret.clone(), user));
        }
        if all.is_empty() {
            return Err(TokenFileError {
                line: 0,
                what: "there is no token in it",
            });
        }
        Ok(all)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let user = &self.user;
        out.debug_struct("Token").field("user", user).finish()
    }
}

/// What is wrong with a token file; its tokens are not shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenFileError {
    /// The line, from 1 on, or 0 for the whole file.
    line: usize,
    what: &'static str,
}

impl fmt::Display for TokenFileError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 0 {
            return out.write_str(self.what);
        }
        write!(out, "line {}: {}", self.line, self.what)
    }
}

impl std::error::Error for TokenFileError {}

/// The system has no random bytes to give. Nobody's fault; trying again may help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RandomError(getrandom::Error);

impl fmt::Display for RandomError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "no random bytes: {}", self.0)
    }
}

impl std::error::Error for RandomError {}

/// The columns of a line of CSV, in which quotes keep commas together; none if a quote stays open.
fn columns(line: &str) -> Option<Vec<String>> {
    let mut all = vec![String::new()];
    let mut quoted = false;
    let mut letters = line.chars().peekable();
    while let Some(letter) = letters.next() {
        let column = all.last_mut()?;
        match letter {
            // A doubled quote within quotes is a quote.
            '"' if quoted && letters.peek() == Some(&'"') => {
                letters.next();
                column.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => all.push(String::new()),
            _ => column.push(letter),
        }
    }
    (!quoted).then_some(all)
}

fn random_secret() -> Result<String, RandomError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(RandomError)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Who sends a request, by its headers.
///
/// Without any tokens everybody is anonymous and welcome. With them, whoever shows nothing is welcome only at
/// what is open to everybody.
pub(super) fn authenticate(
    tokens: &[Token],
    headers: &HeaderMap,
    path: &str,
) -> Result<Arc<User>, Refusal> {
    if tokens.is_empty() {
        return Ok(Arc::new(User::anonymous()));
    }
    let unauthorized = || Refusal::of_code(401, 0);
    let Some(given) = headers.get(header::AUTHORIZATION) else {
        if is_public(path) {
            return Ok(Arc::new(User::anonymous()));
        }
        return Err(unauthorized());
    };
    let given = given.to_str().map_err(|_| unauthorized())?;
    let (scheme, secret) = given.split_once(' ').unwrap_or_default();
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(unauthorized());
    }
    let secret = secret.trim();
    // All are looked at, so that the time tells nothing.
    let mut found = None;
    for token in tokens {
        if is_same(token.secret.as_bytes(), secret.as_bytes()) {
            found = Some(&token.user);
        }
    }
    found.map(Arc::clone).ok_or_else(unauthorized)
}

fn is_same(ours: &[u8], given: &[u8]) -> bool {
    let differs = |(one, other): (&u8, &u8)| one ^ other;
    let difference = ours
        .iter()
        .zip(given)
        .map(differs)
        .fold(0, |all, one| all | one);
    ours.len() == given.len() && difference == 0
}

/// What the role `system:public-info-viewer` gives to everybody.
fn is_public(path: &str) -> bool {
    let first = path.split('/').nth(1).unwrap_or_default();
    matches!(first, "healthz" | "livez" | "readyz") || matches!(path, "/version" | "/version/")
}
