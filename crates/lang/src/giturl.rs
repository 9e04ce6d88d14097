//! Git remote URLs as Flux accepts them: `http`, `https` and `ssh`.
//!
//! Not for scp-style addresses (`git@host:path`), local paths or `git://`: those are refused with
//! a text that says what to write instead. Nothing here connects to anything.

use std::fmt;
use std::str::FromStr;

use zeroize::Zeroizing;

/// How a remote is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Smart HTTP without TLS.
    Http,
    /// Smart HTTP over TLS.
    Https,
    /// A git command run on an SSH server.
    Ssh,
}

impl Scheme {
    /// The scheme as it stands in a URL, without `://`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Ssh => "ssh",
        }
    }

    /// The port that is meant when the URL names none.
    pub fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
            Self::Ssh => 22,
        }
    }
}

/// Why a text is not a usable Git URL. Each message ends with what to write.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GitUrlError {
    /// Nothing was given.
    #[error("git URL is empty, write for example ssh://git@host/org/repository")]
    Empty,
    /// The short form of scp, which is not a URL.
    #[error(
        "git URL parse failed: this is the scp form, in which the first path segment contains a colon; write {suggestion}"
    )]
    Scp {
        /// The same address as a URL.
        suggestion: String,
    },
    /// A scheme that Flux does not have.
    #[error("git URL scheme '{0}' not supported, can be: ssh, http and https")]
    Scheme(String),
    /// Anything the URL grammar refuses.
    #[error(
        "git URL parse failed: {0}; write ssh://git@host/org/repository or https://host/org/repository"
    )]
    Syntax(String),
    /// No repository path follows the host.
    #[error("git URL has no repository path, write for example {0}/org/repository")]
    NoPath(String),
}

/// A parsed remote URL.
///
/// `Display` and `Debug` never show a password, and for http(s) not the user either, because
/// access tokens are often put there.
#[derive(Clone, PartialEq, Eq)]
pub struct GitUrl {
    scheme: Scheme,
    user: Option<Zeroizing<String>>,
    password: Option<Zeroizing<String>>,
    host: String,
    port: Option<u16>,
    path: String,
}

impl GitUrl {
    /// Parses a URL.
    ///
    /// # Errors
    /// [`GitUrlError`] for everything that is not `http`, `https` or `ssh` with a host and a path.
    pub fn parse(text: &str) -> Result<Self, GitUrlError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(GitUrlError::Empty);
        }
        if text.chars().any(|c| c.is_control() || c == ' ') {
            return Err(GitUrlError::Syntax(
                "it contains a space or a control character".to_owned(),
            ));
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(scp_suggestion(text).map_or_else(
                || GitUrlError::Syntax("it has no scheme".to_owned()),
                |suggestion| GitUrlError::Scp { suggestion },
            ));
        };
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            "ssh" => Scheme::Ssh,
            other => return Err(GitUrlError::Scheme(other.to_owned())),
        };
        // The URL standard would take the first path segment for the host.
        if rest.starts_with(['/', '\\']) {
            return Err(GitUrlError::Syntax("it has no host".to_owned()));
        }
        // The mixture of both forms, ssh://git@host:org/repo, would fail as "invalid port".
        if scheme == Scheme::Ssh
            && let Some(suggestion) = scp_suggestion(rest)
        {
            return Err(GitUrlError::Scp { suggestion });
        }
        let url = url::Url::parse(text).map_err(|e| GitUrlError::Syntax(e.to_string()))?;
        if url.query().is_some() || url.fragment().is_some() {
            return Err(GitUrlError::Syntax(
                "a query or a fragment is not part of a repository's address".to_owned(),
            ));
        }
        let host = url
            .host_str()
            .map(|h| h.trim_matches(['[', ']']).to_ascii_lowercase())
            .filter(|h| !h.is_empty())
            .ok_or_else(|| GitUrlError::Syntax("it has no host".to_owned()))?;
        let user = Some(url.username())
            .filter(|u| !u.is_empty())
            .map(|u| Zeroizing::new(decode(u)));
        let password = url.password().map(|p| Zeroizing::new(decode(p)));
        let port = url.port().filter(|p| *p != scheme.default_port());
        let parsed = Self {
            scheme,
            user,
            password,
            host,
            port,
            path: url.path().to_owned(),
        };
        if parsed.path.trim_matches('/').is_empty() {
            let base = parsed.to_string();
            return Err(GitUrlError::NoPath(base.trim_end_matches('/').to_owned()));
        }
        Ok(parsed)
    }

    /// How the remote is reached.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Whether the transport is ssh.
    pub fn is_ssh(&self) -> bool {
        self.scheme == Scheme::Ssh
    }

    /// The user in the URL, percent-decoded. May be a token for http(s): do not print it there.
    pub fn user(&self) -> Option<&str> {
        self.user.as_ref().map(|u| u.as_str())
    }

    /// The password in the URL, percent-decoded. Never print it.
    pub fn password(&self) -> Option<&str> {
        self.password.as_ref().map(|p| p.as_str())
    }

    /// The host, lower case, without the brackets of an IPv6 address.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port to connect to.
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(self.scheme.default_port())
    }

    /// The path as written in the URL (percent-encoded), with its leading slash.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The path that a git command on an SSH server gets: percent-decoded, `/~user` without its
    /// slash (as git does it).
    pub fn server_path(&self) -> String {
        let path = decode(&self.path);
        match path.strip_prefix("/~") {
            Some(rest) => format!("~{rest}"),
            None => path,
        }
    }

    /// The URL without any user information.
    pub fn without_user(&self) -> String {
        format!(
            "{}://{}{}",
            self.scheme.as_str(),
            self.authority(),
            self.path
        )
    }

    /// `host` or `host:port` as it stands in a URL.
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') {
            format!("[{}]", self.host)
        } else {
            self.host.clone()
        };
        match self.port {
            Some(port) => format!("{host}:{port}"),
            None => host,
        }
    }
}

impl FromStr for GitUrl {
    type Err = GitUrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl fmt::Display for GitUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.user() {
            Some(user) if self.is_ssh() => {
                let user = encode(user);
                write!(f, "ssh://{user}@{}{}", self.authority(), self.path)
            }
            _ => f.write_str(&self.without_user()),
        }
    }
}

impl fmt::Debug for GitUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GitUrl({self})")
    }
}

/// `user@host:path` as a URL, if the text has that form.
fn scp_suggestion(text: &str) -> Option<String> {
    let (user, rest) = match text.split_once('@') {
        Some((user, rest)) if !user.contains(['/', ':']) => (user, rest),
        Some(_) => return None,
        None => ("git", text),
    };
    let (host, path) = rest.split_once(':')?;
    if host.is_empty() || host.contains(['/', '[']) || path.is_empty() {
        return None;
    }
    // `me@example.com:password@host/path`, which must not be shown.
    if path.contains('@') {
        return None;
    }
    // `host:2222/path` is a port, not a path.
    let first = path.split('/').next().unwrap_or_default();
    if first.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some(format!(
        "ssh://{user}@{host}/{}",
        path.trim_start_matches('/')
    ))
}

/// Percent-decodes a part of a URL; what is not UTF-8 afterwards becomes the replacement character.
pub fn decode(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        let hex = (byte == b'%').then(|| tail.get(..2)).flatten();
        match hex.and_then(|h| u8::from_str_radix(std::str::from_utf8(h).ok()?, 16).ok()) {
            Some(decoded) => {
                out.push(decoded);
                rest = tail.get(2..).unwrap_or_default();
            }
            None => out.push(byte),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Percent-encodes what cannot stand for itself in the user of a URL.
fn encode(user: &str) -> String {
    let mut out = String::with_capacity(user.len());
    for byte in user.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn accepts() {
        // url, shown, user, host, port, server path
        let cases = [
            (
                "ssh://git@github.com/org/repo.git",
                "ssh://git@github.com/org/repo.git",
                Some("git"),
                "github.com",
                22,
                "/org/repo.git",
            ),
            (
                "ssh://git@Host:2222/r",
                "ssh://git@host:2222/r",
                Some("git"),
                "host",
                2222,
                "/r",
            ),
            ("ssh://host:22/r", "ssh://host/r", None, "host", 22, "/r"),
            (
                "ssh://host/~me/r%20x",
                "ssh://host/~me/r%20x",
                None,
                "host",
                22,
                "~me/r x",
            ),
            (
                "ssh://git@[::1]:2222/r",
                "ssh://git@[::1]:2222/r",
                Some("git"),
                "::1",
                2222,
                "/r",
            ),
            (
                "https://u:s3cret@h/r",
                "https://h/r",
                Some("u"),
                "h",
                443,
                "/r",
            ),
            (
                "https://ghp_token@h/r",
                "https://h/r",
                Some("ghp_token"),
                "h",
                443,
                "/r",
            ),
            (
                "HTTP://h:8080/a/b",
                "http://h:8080/a/b",
                None,
                "h",
                8080,
                "/a/b",
            ),
        ];
        for (text, shown, user, host, port, path) in cases {
            let url = GitUrl::parse(text).unwrap();
            assert_eq!(url.to_string(), shown);
            assert_eq!(url.user(), user, "{text}");
            assert_eq!((url.host(), url.port()), (host, port), "{text}");
            assert_eq!(url.server_path(), path, "{text}");
        }
        let url = GitUrl::parse("https://u:p%40ss@h/r").unwrap();
        assert_eq!(url.password(), Some("p@ss"));
        assert!(!format!("{url:?} {url}").contains("ss"));
    }

    #[test]
    fn refuses_and_says_what_to_write() {
        let cases = [
            ("", "empty"),
            (
                "git@github.com:org/repo.git",
                "ssh://git@github.com/org/repo.git",
            ),
            ("github.com:org/repo", "ssh://git@github.com/org/repo"),
            (
                "ssh://git@github.com:org/repo.git",
                "ssh://git@github.com/org/repo.git",
            ),
            (
                "git://h/r",
                "scheme 'git' not supported, can be: ssh, http and https",
            ),
            ("file:///srv/r", "scheme 'file'"),
            ("/srv/r", "no scheme"),
            ("ssh://h", "ssh://h/org/repository"),
            ("https://h/", "no repository path"),
            ("https:///r", "parse failed"),
            ("https://h/r?x=1", "query"),
            ("https://h/a b", "space"),
            ("ssh://h:99999/r", "port"),
        ];
        for (text, part) in cases {
            let error = GitUrl::parse(text)
                .map(|u| u.to_string())
                .unwrap_err()
                .to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn a_user_is_shown_as_it_is_written() {
        for (user, decoded) in [
            ("a%3Ab", "a:b"),
            ("a%2Fb", "a/b"),
            ("me%40example.com", "me@example.com"),
            ("a%0Ab", "a\nb"),
            ("a%2541", "a%41"),
            ("%C3%A9", "\u{e9}"),
            ("first.last-1_x+y", "first.last-1_x+y"),
        ] {
            let text = format!("ssh://{user}@host/r");
            let url = GitUrl::parse(&text).unwrap();
            assert_eq!((url.user(), url.password()), (Some(decoded), None));
            assert_eq!(url.to_string(), text);
        }
    }

    #[test]
    fn no_error_shows_a_password() {
        for text in [
            "ssh://me@example.com:s3cret@host/r?x",
            "ssh://me@example.com:s3cret@host",
            "ssh://me@example.com:s3/cret@host/r",
            "me@example.com:s3cret@host/r",
        ] {
            let error = GitUrl::parse(text).unwrap_err();
            let shown = format!("{error} {error:?}");
            assert!(!shown.contains("s3") && !shown.contains("cret"), "{shown}");
        }
        let url = GitUrl::parse("ssh://me@example.com:s3cret@host/r").unwrap();
        assert_eq!((url.user(), url.host()), (Some("me@example.com"), "host"));
        assert_eq!(url.password(), Some("s3cret"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn never_panics_and_shows_itself_again(text in "(ssh|https?)://[ -~]{0,40}|.{0,30}") {
            if let Ok(url) = GitUrl::parse(&text) {
                let shown = GitUrl::parse(&url.to_string());
                prop_assert_eq!(shown.map(|u| u.to_string()), Ok(url.to_string()));
            }
        }
    }
}
