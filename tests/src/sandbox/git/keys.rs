//! Who may log in to the Git server: deploy keys and people's keys.

use std::path::{Path, PathBuf};

use super::{
    super::{
        error::{Error, Result},
        paths,
    },
    quote,
};

/// What a key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Clone and fetch.
    ReadOnly,
    /// Push as well.
    ReadWrite,
}

impl Access {
    /// The word that the forced command understands.
    fn word(self) -> &'static str {
        match self {
            Self::ReadOnly => "read-only",
            Self::ReadWrite => "read-write",
        }
    }
}

/// A key that was registered.
#[derive(Clone, Debug)]
struct Entry {
    /// `owner/name`, or `None` for a key that reaches all repositories.
    repository: Option<String>,
    /// Type and base64 part of the public key, without the comment.
    key: String,
    access: Access,
}

/// The registered keys and the file that sshd reads them from.
#[derive(Debug)]
pub(super) struct Keys {
    file: PathBuf,
    /// Start of every forced command: the script and the folder of the repositories.
    command: String,
    git: String,
    entries: Vec<Entry>,
}

impl Keys {
    pub(super) fn new(file: PathBuf, script: &Path, root: &Path, git: &Path) -> Result<Self> {
        let word = |path: &Path| quote::shell(&path.display().to_string());
        let command = format!("{} {}", word(script), word(root));
        let keys = Self {
            file,
            command,
            git: word(git),
            entries: Vec::new(),
        };
        keys.store()?;
        Ok(keys)
    }

    /// Registers a key. As on GitHub, a key belongs to one repository or to one person.
    pub(super) fn add(
        &mut self,
        repository: Option<&str>,
        public_key: &str,
        access: Access,
    ) -> Result<()> {
        let key = key_part(public_key)?;
        if self.entries.iter().any(|entry| entry.key == key) {
            return Err(Error::Conflict("key is already in use".to_owned()));
        }
        self.entries.push(Entry {
            repository: repository.map(str::to_owned),
            key,
            access,
        });
        self.store()
    }

    /// Takes a key back.
    pub(super) fn remove(&mut self, public_key: &str) -> Result<()> {
        let key = key_part(public_key)?;
        self.entries.retain(|entry| entry.key != key);
        self.store()
    }

    fn store(&self) -> Result<()> {
        let lines: String = self.entries.iter().map(|entry| self.line(entry)).collect();
        paths::write_secret(&self.file, &lines)
    }

    fn line(&self, entry: &Entry) -> String {
        let repository = quote::shell(entry.repository.as_deref().unwrap_or("*"));
        let command = format!(
            "{} {repository} {} {}",
            self.command,
            entry.access.word(),
            self.git
        );
        format!(
            "restrict,command={} {}\n",
            quote::option(&command),
            entry.key
        )
    }
}

/// Type and base64 part of a line in OpenSSH's format, `ssh-ed25519 AAAA... comment`.
fn key_part(public_key: &str) -> Result<String> {
    let mut words = public_key.split_whitespace();
    match (words.next(), words.next()) {
        (Some(kind), Some(data)) if data.starts_with("AAAA") => Ok(format!("{kind} {data}")),
        _ => Err(Error::Conflict(format!(
            "`{}` is not a public key in OpenSSH's format",
            public_key.trim()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_authorized_keys() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("authorized_keys");
        let path = Path::new;
        let mut keys = Keys::new(
            file.clone(),
            path("/s b/cmd"),
            path("/root"),
            path("/bin/git"),
        )
        .unwrap();
        keys.add(
            Some("me/apps"),
            "ssh-ed25519 AAAAx me@home",
            Access::ReadOnly,
        )
        .unwrap();
        keys.add(None, "ssh-rsa AAAAy", Access::ReadWrite).unwrap();
        assert!(
            keys.add(Some("me/other"), "ssh-ed25519 AAAAx", Access::ReadWrite)
                .is_err()
        );
        assert!(
            keys.add(None, "-----BEGIN PUBLIC KEY-----", Access::ReadWrite)
                .is_err()
        );
        assert_eq!(
            std::fs::read_to_string(&file).unwrap(),
            "restrict,command=\"'/s b/cmd' '/root' 'me/apps' read-only '/bin/git'\" ssh-ed25519 AAAAx\n\
             restrict,command=\"'/s b/cmd' '/root' '*' read-write '/bin/git'\" ssh-rsa AAAAy\n"
        );
        keys.remove("ssh-ed25519 AAAAx").unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap().lines().count(), 1);
    }
}
