//! The flags that all kinds of `bootstrap` share.

use std::collections::BTreeMap;
use std::path::PathBuf;

use flux_api::GoDuration;
use flux_git::{Author, SigningKey};

use crate::cli::{SecretText, values};
use crate::commands::create::git_credentials::KeyFlags;
use crate::commands::install::flags::Flags;
use crate::error::Error;

/// Flags of every `bootstrap`.
#[derive(Debug, clap::Args)]
pub(super) struct Shared {
    #[command(flatten)]
    pub(super) install: Flags,
    /// Branch that holds the manifests
    #[arg(long, value_name = "BRANCH", default_value = "main")]
    pub(super) branch: String,
    /// Folder of the repository that this cluster follows
    #[arg(long, value_name = "PATH", default_value = "", value_parser = path)]
    pub(super) path: String,
    /// How often the repository is looked at
    #[arg(long, value_name = "DURATION", default_value = "1m0s", value_parser = values::duration)]
    pub(super) interval: GoDuration,
    /// Fetch submodules too
    #[arg(long)]
    pub(super) recurse_submodules: bool,
    /// Let the cluster use the password or token instead of a deploy key
    #[arg(long)]
    pub(super) token_auth: bool,
    /// Name of the Secret with which the cluster reads the repository
    #[arg(long, value_name = "NAME", default_value = "flux-system")]
    pub(super) secret_name: String,
    #[command(flatten)]
    pub(super) keys: KeyFlags,
    /// Kinds of host keys to accept of the SSH server, such as ssh-ed25519; several separated by commas
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(super) ssh_hostkey_algos: Vec<String>,
    /// Accepted for scripts written for Flux; no file is checked out here
    #[arg(long, hide = true)]
    sparse_checkout: bool,
    /// Host, and port, of the SSH server, if it is not that of the URL
    #[arg(long, value_name = "HOST")]
    pub(super) ssh_hostname: Option<String>,
    /// File with the certificate authority of the server
    #[arg(long, value_name = "FILE")]
    pub(super) ca_file: Option<PathBuf>,
    /// Author of the commits
    #[arg(long, value_name = "NAME", default_value = "Flux")]
    author_name: String,
    /// Address of the author
    #[arg(long, value_name = "ADDRESS", default_value = "flux@localhost")]
    author_email: String,
    /// Text at the end of each commit message
    #[arg(long, value_name = "TEXT")]
    pub(super) commit_message_appendix: Option<String>,
    /// File with a private SSH key that signs the commits
    #[arg(long, value_name = "FILE")]
    ssh_signing_key_file: Option<PathBuf>,
    /// Pass phrase of the signing key
    #[arg(long, value_name = "TEXT")]
    ssh_signing_password: Option<SecretText>,
    /// Sign the commits with the key of --private-key-file
    #[arg(long)]
    ssh_signing_reuse_private_key: bool,
    /// File with OpenPGP private keys, one of which signs the commits
    #[arg(long, value_name = "FILE")]
    gpg_key_ring: Option<PathBuf>,
    /// Pass phrase of the OpenPGP key
    #[arg(long, value_name = "TEXT")]
    gpg_passphrase: Option<SecretText>,
    /// Which of several OpenPGP keys: its id or fingerprint
    #[arg(long, value_name = "ID")]
    gpg_key_id: Option<String>,
    /// Show what would be written to repository and cluster, and write nothing
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Write the files of the repository below a folder, without repository and cluster
    #[arg(long, value_name = "DIR", conflicts_with = "dry_run")]
    pub(super) export: Option<PathBuf>,
}

fn read(path: &std::path::Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|source| Error::File {
        what: "failed to open the signing key file",
        path: path.display().to_string(),
        source,
    })
}

fn path(text: &str) -> Result<String, std::convert::Infallible> {
    Ok(values::relative_path(text))
}

impl Shared {
    /// Who makes the commits.
    pub(super) fn author(&self) -> Author {
        Author {
            name: self.author_name.clone(),
            email: self.author_email.clone(),
        }
    }

    /// What signs the commits, if anything does.
    ///
    /// # Errors
    /// If the key cannot be read.
    pub(super) fn signing(&self) -> Result<Option<SigningKey>, Error> {
        if let Some(path) = &self.gpg_key_ring {
            if self.ssh_signing_key_file.is_some() || self.ssh_signing_reuse_private_key {
                return Err(Error::input(
                    "commits have one signature: give --gpg-key-ring or a key of SSH, not both",
                ));
            }
            let pass_phrase = self.gpg_passphrase.as_ref().map(SecretText::reveal);
            let ring = read(path)?;
            return SigningKey::from_openpgp_ring(&ring, self.gpg_key_id.as_deref(), pass_phrase)
                .map(Some)
                .map_err(|error| Error::input(format!("{}: {error}", path.display())));
        }
        let file = match &self.ssh_signing_key_file {
            None if self.ssh_signing_reuse_private_key => {
                let key = self.keys.private_key_file();
                Some(key.ok_or_else(|| {
                    Error::input("--ssh-signing-reuse-private-key needs --private-key-file")
                })?)
            }
            file => file.as_ref(),
        };
        let Some(path) = file else {
            return Ok(None);
        };
        let identity = read(path)?;
        let mut data = BTreeMap::from([("identity".to_owned(), identity)]);
        if let Some(password) = &self.ssh_signing_password {
            data.insert("password".to_owned(), password.reveal().into());
        }
        SigningKey::from_secret(&data)
            .map(Some)
            .map_err(|error| Error::input(format!("{}: {error}", path.display())))
    }
}
