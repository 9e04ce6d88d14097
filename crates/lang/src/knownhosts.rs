//! OpenSSH's `known_hosts` format: which host keys are trusted for a host and port.
//!
//! Keys stay opaque (type name and blob); whoever connects compares blobs and checks certificates.
//! Understood: several names, `*` and `?`, `!` negation, `[host]:port`, hashed names,
//! `@cert-authority`, `@revoked`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;

/// A line that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "known_hosts line {line}: {problem}; a line is `host key-type base64-key`, as ssh-keyscan prints it"
)]
pub struct KnownHostsError {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub problem: String,
}

/// What a line says about its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marker {
    /// The host has this key.
    HostKey,
    /// The host's certificate is signed by this key.
    CertAuthority,
    /// This key must not be trusted, whatever other lines say.
    Revoked,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What the line says about the key.
    pub marker: Marker,
    /// For example `ssh-ed25519`.
    pub key_type: String,
    /// The key in SSH wire format.
    pub key: Vec<u8>,
    /// Counted from 1.
    pub line: usize,
    names: Names,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Names {
    Hashed { salt: Vec<u8>, hash: Vec<u8> },
    Patterns(Vec<(bool, String)>),
}

/// What the file says about a key that a server offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict<'a> {
    /// A line has exactly this key for the host.
    Trusted,
    /// A line revokes this key.
    Revoked(&'a Entry),
    /// The host is known, with these other keys.
    Mismatch(Vec<&'a Entry>),
    /// No line has a key for the host.
    Unknown,
}

/// A parsed file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownHosts {
    entries: Vec<Entry>,
}

impl KnownHosts {
    /// Parses a file.
    ///
    /// # Errors
    /// The first line that cannot be read: leaving it out silently could drop a revocation.
    pub fn parse(text: &str) -> Result<Self, KnownHostsError> {
        let mut entries = Vec::new();
        for (index, text) in text.lines().enumerate() {
            let text = text.trim();
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            let line = index + 1;
            let entry = Entry::parse(text, line).map_err(|problem| KnownHostsError {
                line,
                problem: problem.to_owned(),
            })?;
            entries.push(entry);
        }
        Ok(Self { entries })
    }

    /// Whether the file has no entry at all.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Host keys of a host, in the order of the file.
    pub fn host_keys<'a>(&'a self, host: &str, port: u16) -> impl Iterator<Item = &'a Entry> {
        self.of(Marker::HostKey, host, port)
    }

    /// Keys whose certificates are trusted for a host.
    pub fn authorities<'a>(&'a self, host: &str, port: u16) -> impl Iterator<Item = &'a Entry> {
        self.of(Marker::CertAuthority, host, port)
    }

    /// The key types that lines have for a host, each once, in the order of the file.
    pub fn key_types(&self, host: &str, port: u16) -> Vec<&str> {
        let mut types = Vec::new();
        for entry in self.host_keys(host, port) {
            if !types.contains(&entry.key_type.as_str()) {
                types.push(&entry.key_type);
            }
        }
        types
    }

    /// The line that revokes a key, if there is one. A revocation holds for every host.
    pub fn revoked(&self, key: &[u8]) -> Option<&Entry> {
        self.entries
            .iter()
            .find(|entry| entry.marker == Marker::Revoked && entry.key == key)
    }

    /// Judges a plain key (SSH wire format) that the server offers.
    pub fn check(&self, host: &str, port: u16, key: &[u8]) -> Verdict<'_> {
        if let Some(entry) = self.revoked(key) {
            return Verdict::Revoked(entry);
        }
        let known: Vec<&Entry> = self.host_keys(host, port).collect();
        if known.iter().any(|entry| entry.key == key) {
            Verdict::Trusted
        } else if known.is_empty() {
            Verdict::Unknown
        } else {
            Verdict::Mismatch(known)
        }
    }

    fn of<'a>(&'a self, marker: Marker, host: &str, port: u16) -> impl Iterator<Item = &'a Entry> {
        let name = host_name(host, port);
        self.entries
            .iter()
            .filter(move |entry| entry.marker == marker && entry.names.matches(&name))
    }
}

/// How a host is written in the file: `host`, or `[host]:port` when the port is not 22.
pub fn host_name(host: &str, port: u16) -> String {
    let host = host.to_ascii_lowercase();
    if port == 22 {
        host
    } else {
        format!("[{host}]:{port}")
    }
}

/// The command that prints a host's lines, for messages.
pub fn keyscan_command(host: &str, port: u16) -> String {
    if port == 22 {
        format!("ssh-keyscan {host}")
    } else {
        format!("ssh-keyscan -p {port} {host}")
    }
}

impl Entry {
    fn parse(text: &str, line: usize) -> Result<Self, &'static str> {
        let mut fields = text.split_ascii_whitespace().peekable();
        let marker = match fields.next_if(|field| field.starts_with('@')) {
            None => Marker::HostKey,
            Some("@cert-authority") => Marker::CertAuthority,
            Some("@revoked") => Marker::Revoked,
            Some(_) => return Err("the marker is neither @cert-authority nor @revoked"),
        };
        let names = Names::parse(fields.next().ok_or("the host is missing")?)?;
        let key_type = fields.next().ok_or("the key type is missing")?.to_owned();
        let encoded = fields.next().ok_or("the key is missing")?;
        let key = STANDARD
            .decode(encoded)
            .map_err(|_| "the key is not base64")?;
        if type_of(&key) != Some(key_type.as_bytes()) {
            return Err("the key is not of the type that the line names, or is cut short");
        }
        Ok(Self {
            marker,
            key_type,
            key,
            line,
            names,
        })
    }
}

/// The type name at the start of a key in wire format.
fn type_of(key: &[u8]) -> Option<&[u8]> {
    let (length, rest) = key.split_first_chunk::<4>()?;
    rest.get(..usize::try_from(u32::from_be_bytes(*length)).ok()?)
}

impl Names {
    fn parse(text: &str) -> Result<Self, &'static str> {
        if let Some(hashed) = text.strip_prefix('|') {
            let mut parts = hashed.split('|');
            let (Some("1"), Some(salt), Some(hash), None) =
                (parts.next(), parts.next(), parts.next(), parts.next())
            else {
                return Err("the hashed host is not of the form |1|salt|hash");
            };
            let decode = |part| {
                STANDARD
                    .decode(part)
                    .map_err(|_| "the hashed host is not base64")
            };
            return Ok(Self::Hashed {
                salt: decode(salt)?,
                hash: decode(hash)?,
            });
        }
        let patterns = text
            .split(',')
            .filter(|pattern| !pattern.is_empty())
            .map(|pattern| {
                let (negated, pattern) = match pattern.strip_prefix('!') {
                    Some(rest) => (true, rest),
                    None => (false, pattern),
                };
                (negated, normal(pattern))
            })
            .collect();
        Ok(Self::Patterns(patterns))
    }

    fn matches(&self, name: &str) -> bool {
        match self {
            Self::Hashed { salt, hash } => {
                let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, salt);
                hmac::verify(&key, name.as_bytes(), hash).is_ok()
            }
            Self::Patterns(patterns) => {
                let hit = |negated| {
                    patterns
                        .iter()
                        .any(|(n, pattern)| *n == negated && wildcard(pattern, name))
                };
                hit(false) && !hit(true)
            }
        }
    }
}

/// Lower case; `[host]:22` is the same as `host`.
fn normal(pattern: &str) -> String {
    let pattern = pattern.to_ascii_lowercase();
    match pattern
        .strip_prefix('[')
        .and_then(|p| p.strip_suffix("]:22"))
    {
        Some(host) => host.to_owned(),
        None => pattern,
    }
}

/// Matches a name against a pattern: `*` is any text, `?` one character. Also what the principals
/// of a host certificate are compared with.
pub fn wildcard(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    let (mut p, mut n) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    loop {
        match (pattern.get(p), name.get(n)) {
            (Some(b'*'), _) => {
                retry = Some((p + 1, n));
                p += 1;
                continue;
            }
            (Some(&want), Some(&have)) if want == have || want == b'?' => {
                p += 1;
                n += 1;
                continue;
            }
            (None, None) => return true,
            _ => {}
        }
        match retry {
            Some((after, from)) if from < name.len() => {
                retry = Some((after, from + 1));
                p = after;
                n = from + 1;
            }
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ED: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";
    const ED2: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIK2pr+Bfus1hvPof4Wb/plZCzSbqadHH0u+/f4ODtKnE";

    fn blob(text: &str) -> Vec<u8> {
        STANDARD.decode(text).unwrap()
    }

    fn hashed(name: &str) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, b"salt-of-20-bytes....");
        let hash = hmac::sign(&key, name.as_bytes());
        format!(
            "|1|{}|{}",
            STANDARD.encode(b"salt-of-20-bytes...."),
            STANDARD.encode(hash)
        )
    }

    #[test]
    fn names() {
        let hashed22 = hashed("github.com");
        let hashed2222 = hashed("[github.com]:2222");
        // names, host, port, matches
        let cases: &[(&str, &str, u16, bool)] = &[
            ("github.com", "github.com", 22, true),
            ("github.com", "GitHub.com", 22, true),
            ("GitHub.com", "github.com", 22, true),
            ("github.com", "github.com", 2222, false),
            ("[github.com]:2222", "github.com", 2222, true),
            ("[github.com]:22", "github.com", 22, true),
            ("a,github.com,b", "github.com", 22, true),
            ("*.example.com", "git.example.com", 22, true),
            ("*.example.com", "example.com", 22, false),
            (
                "*.example.com,!bad.example.com",
                "bad.example.com",
                22,
                false,
            ),
            ("!bad.example.com", "good.example.com", 22, false),
            ("[*.example.com]:2222", "git.example.com", 2222, true),
            ("git?", "git1", 22, true),
            ("git?", "git", 22, false),
            ("127.0.0.1", "127.0.0.1", 22, true),
            ("[::1]:2222", "::1", 2222, true),
            (&hashed22, "github.com", 22, true),
            (&hashed22, "github.com", 2222, false),
            (&hashed22, "gitlab.com", 22, false),
            (&hashed2222, "github.com", 2222, true),
        ];
        for &(names, host, port, expected) in cases {
            let file = KnownHosts::parse(&format!("{names} ssh-ed25519 {ED} me@here\n")).unwrap();
            assert_eq!(
                file.host_keys(host, port).count() == 1,
                expected,
                "{names} {host}:{port}"
            );
        }
    }

    #[test]
    fn verdicts() {
        let text = format!(
            "# comment\n\nhost ssh-ed25519 {ED}\n@cert-authority *.corp ssh-ed25519 {ED2}\n@revoked * ssh-ed25519 {ED2}\nhost ssh-ed25519 {ED2}\n"
        );
        let file = KnownHosts::parse(&text).unwrap();
        assert_eq!(file.check("host", 22, &blob(ED)), Verdict::Trusted);
        assert!(matches!(file.check("host", 22, &blob(ED2)), Verdict::Revoked(e) if e.line == 5));
        assert_eq!(file.check("other", 22, &blob(ED)), Verdict::Unknown);
        let Verdict::Mismatch(known) = file.check("host", 22, b"other") else {
            panic!()
        };
        assert_eq!(known.iter().map(|e| e.line).collect::<Vec<_>>(), [3, 6]);
        assert_eq!(file.key_types("host", 22), ["ssh-ed25519"]);
        assert_eq!(file.authorities("git.corp", 22).count(), 1);
        assert_eq!(file.check("git.corp", 22, &blob(ED)), Verdict::Unknown);
    }

    #[test]
    fn refuses() {
        let cases = [
            ("host", 1, "key type is missing"),
            ("host ssh-ed25519", 1, "key is missing"),
            ("\nhost ssh-ed25519 !!!", 2, "base64"),
            (&format!("host ssh-rsa {ED}"), 1, "not of the type"),
            (&format!("@other host ssh-ed25519 {ED}"), 1, "marker"),
            (&format!("|2|a|b ssh-ed25519 {ED}"), 1, "|1|salt|hash"),
        ];
        for (text, line, problem) in cases {
            let error = KnownHosts::parse(text).unwrap_err();
            assert_eq!(error.line, line, "{text}");
            assert!(error.to_string().contains(problem), "{error}");
        }
    }

    #[test]
    fn commands() {
        assert_eq!(keyscan_command("h", 22), "ssh-keyscan h");
        assert_eq!(keyscan_command("h", 2222), "ssh-keyscan -p 2222 h");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn never_panics(text in "[@|!*a-c1, \\n\\[\\]:=-]{0,60}", host in "[a-c.]{0,5}") {
            if let Ok(file) = KnownHosts::parse(&text) {
                file.check(&host, 22, b"x");
            }
        }
    }
}
