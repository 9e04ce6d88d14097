//! What a server says on standard error, in an `ERR` packet or in a body, and what it means.
//!
//! Pure text in, error out. The phrases are those of OpenSSH with git itself, GitHub, GitLab,
//! Gitea/Forgejo, Bitbucket and Azure DevOps.

use crate::error::GitError;
use crate::remote::Remote;

/// At most this much of a server's text is kept and shown.
pub(crate) const LIMIT: usize = 4096;

/// What the connection was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Read,
    Write,
}

/// Forges that say "you may read but not write".
const READ_ONLY: &[&str] = &[
    "read only",
    "read-only",
    "readonly",
    "write access",
    "denied",
    "not allowed to push",
    "not allowed to upload",
    "not have permission",
    "insufficient permission",
    "unauthorized",
    "forbidden",
];

/// Phrases for a repository that is not there.
const NOT_FOUND: &[&str] = &[
    "not found",
    "does not exist",
    "doesn't exist",
    "does not appear to be a git repository",
    "not a git repository",
    "could not be found",
    "no such",
];

/// Phrases for a repository that we may not read.
const DENIED: &[&str] = &["denied", "not have permission", "unauthorized", "forbidden"];

/// One line without control characters and decoration, at most 300 characters.
pub(crate) fn tidy(text: &str) -> String {
    let lines = text
        .lines()
        .map(|line| line.trim().trim_start_matches("remote:").trim())
        .filter(|line| line.chars().any(char::is_alphanumeric));
    let joined = lines.collect::<Vec<_>>().join("; ");
    let clean: String = joined
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(300)
        .collect();
    clean.trim().to_owned()
}

/// The same as a suffix for messages: ` (server: …)`, or nothing.
pub(crate) fn suffix(text: &str) -> String {
    match tidy(text) {
        text if text.is_empty() => String::new(),
        text => format!(" (server: {text})"),
    }
}

/// What a refusing text means. None when the text says nothing.
pub(crate) fn meaning(remote: &Remote, purpose: Purpose, text: &str) -> Option<GitError> {
    let shown = tidy(text);
    if shown.is_empty() {
        return None;
    }
    let lower = text.to_lowercase();
    let says = |phrases: &[&str]| phrases.iter().any(|phrase| lower.contains(phrase));
    let host = remote.url.authority();
    let path = remote.repository();
    let ssh = remote.auth.fingerprint();
    Some(match ssh {
        Some(fingerprint) if purpose == Purpose::Write && says(READ_ONLY) => {
            GitError::ReadOnlyKey {
                host,
                path,
                fingerprint,
                said: suffix(text),
            }
        }
        _ if says(NOT_FOUND) => not_found(remote, text),
        Some(fingerprint) if says(DENIED) => GitError::AccessDenied {
            host,
            path,
            fingerprint,
            said: suffix(text),
        },
        _ => GitError::Remote { host, said: shown },
    })
}

/// The repository is not there, or not for us.
pub(crate) fn not_found(remote: &Remote, text: &str) -> GitError {
    GitError::RepositoryNotFound {
        url: remote.url.to_string(),
        credential: remote.auth.describe(),
        said: suffix(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remote::tests::ssh_remote;

    #[test]
    fn meanings() {
        use Purpose::{Read, Write};
        let remote = ssh_remote("ssh://git@forge:2222/org/app.git");
        // purpose, text, part of the message
        let cases = [
            (
                Write,
                "ERROR: The key you are authenticating with has been marked as read only.\n",
                "\"Allow write access\"",
            ),
            (
                Write,
                "ERROR: Permission to org/app.git denied to deploy key\nfatal: Could not read from remote repository.",
                "is read-only for org/app on forge:2222",
            ),
            (
                Write,
                "remote: \nremote: ========\nremote: This deploy key does not have write access to this project.\nremote: ====\n",
                "does not have write access to this project.",
            ),
            (
                Write,
                "fatal: disk full",
                "forge:2222 refuses: fatal: disk full",
            ),
            (
                Read,
                "ERROR: Repository not found.\n",
                "repository ssh://git@forge:2222/org/app.git not found",
            ),
            (
                Read,
                "fatal: '/org/app.git' does not appear to be a git repository",
                "not found",
            ),
            (Write, "ERROR: Repository not found.\n", "not found"),
            (
                Read,
                "remote: The project you were looking for could not be found or you don't have permission to view it.",
                "not found",
            ),
            (
                Read,
                "Permission denied.",
                "access denied: forge:2222 does not let the key SHA256:",
            ),
            (Read, "\u{1b}[31mno\u{7} way", "refuses: [31mno  way"),
        ];
        for (purpose, text, part) in cases {
            let error = meaning(&remote, purpose, text).unwrap().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
        assert!(meaning(&remote, Read, " \n====\n").is_none());
    }
}
