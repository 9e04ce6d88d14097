//! A Git server as a code host has it: bare repositories over SSH with deploy keys, and over
//! HTTPS. OpenSSH and git do the work; this module only arranges them in the sandbox's folder.

mod http;
mod keys;
mod quote;
mod sshd;
mod user;
mod work_copy;

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

pub use http::Login;
pub use keys::Access;
pub use work_copy::WorkCopy;

use self::{http::HttpServer, keys::Keys, sshd::Sshd};
use super::{
    error::{Error, Result},
    paths,
    pki::Authority,
    process::{Process, Supervisor},
    programs::debian::{self, Package},
};

const FORCED_COMMAND: &str = include_str!("forced-command.sh");

/// Name of the key that [`GitServer::person_key`] makes.
const PERSON: &str = "person";

/// A running Git server.
#[derive(Debug)]
pub struct GitServer {
    dir: PathBuf,
    git: PathBuf,
    keygen: PathBuf,
    sshd: Sshd,
    http: HttpServer,
    keys: Mutex<Keys>,
    work_copies: AtomicU32,
}

/// A key pair of a client, in OpenSSH's format.
#[derive(Debug)]
pub struct ClientKey {
    /// File of the private key.
    pub private: PathBuf,
    /// The public key, one line.
    pub public: String,
}

impl GitServer {
    /// What must be installed: git, sshd and ssh-keygen, in this order.
    pub(super) const PACKAGES: [Package; 3] = [debian::GIT, debian::SSHD, debian::SSH_KEYGEN];

    /// Starts both servers with everything they need below `dir`.
    pub(super) async fn start(
        dir: PathBuf,
        supervisor: &Supervisor,
        authority: &Authority,
    ) -> Result<Self> {
        let [git, sshd, keygen] = debian::require(Self::PACKAGES)?;
        let repositories = dir.join("repositories");
        paths::create_dir(&repositories)?;
        let script = dir.join("forced-command");
        paths::write_script(&script, FORCED_COMMAND)?;
        sshd::make_host_keys(&dir, &keygen)?;
        let authorized_keys = dir.join("authorized_keys");
        let keys = Keys::new(authorized_keys.clone(), &script, &repositories, &git)?;
        let sshd = sshd::start(&dir, &sshd, &authorized_keys, supervisor).await?;
        let http = HttpServer::start(authority, git.clone(), repositories)?;
        let (keys, work_copies) = (Mutex::new(keys), AtomicU32::new(0));
        let server = Self {
            dir,
            git,
            keygen,
            sshd,
            http,
            keys,
            work_copies,
        };
        paths::write(&server.known_hosts_file(), &server.known_hosts()?)?;
        Ok(server)
    }

    /// Makes an empty repository `owner/name` with the default branch `main`.
    ///
    /// # Errors
    /// When it is there already.
    pub fn create_repository(&self, repository: &str) -> Result<()> {
        let path = self.repository_path(repository);
        if path.exists() {
            return Err(Error::Conflict(format!(
                "repository {repository} is there already"
            )));
        }
        paths::create_dir(&path)?;
        let git = |arguments: &[&str]| {
            work_copy::run(
                work_copy::command(&self.git)
                    .current_dir(&path)
                    .args(arguments),
            )
        };
        git(&["init", "--quiet", "--bare", "--initial-branch=main"])?;
        // What code hosts allow: partial clones and commits by id.
        git(&["config", "uploadpack.allowFilter", "true"])?;
        git(&["config", "uploadpack.allowAnySHA1InWant", "true"])?;
        Ok(())
    }

    /// The bare repository on disk.
    pub fn repository_path(&self, repository: &str) -> PathBuf {
        self.dir
            .join("repositories")
            .join(format!("{repository}.git"))
    }

    /// A fresh clone to make commits with.
    ///
    /// # Errors
    /// When there is no such repository.
    pub fn work_copy(&self, repository: &str) -> Result<WorkCopy> {
        let number = self.work_copies.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}-{number}", repository.replace('/', "-"));
        let dir = self.dir.join("work").join(name);
        WorkCopy::clone(&self.git, &self.repository_path(repository), &dir)
    }

    /// The key of the person who runs the sandbox: reads and writes all repositories. Made at the
    /// first call.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn person_key(&self) -> Result<ClientKey> {
        let private = self.dir.join("client-keys").join(PERSON);
        if private.exists() {
            let public = paths::read(&private.with_extension("pub"))?
                .trim_end()
                .to_owned();
            return Ok(ClientKey { private, public });
        }
        let key = self.client_key(PERSON)?;
        self.add_user_key(&key.public)?;
        Ok(key)
    }

    /// URL of a repository over SSH.
    pub fn ssh_url(&self, repository: &str) -> String {
        format!("{}{repository}.git", self.ssh_prefix())
    }

    /// What all URLs over SSH begin with, ending in a slash.
    pub fn ssh_prefix(&self) -> String {
        format!("ssh://{}@127.0.0.1:{}/", self.sshd.user, self.sshd.port)
    }

    /// URL of a repository over HTTPS. The certificate is of the sandbox's authority.
    pub fn https_url(&self, repository: &str) -> String {
        format!("{}{repository}.git", self.https_prefix())
    }

    /// What all URLs over HTTPS begin with, ending in a slash.
    pub fn https_prefix(&self) -> String {
        format!("https://127.0.0.1:{}/", self.http.port())
    }

    /// Asks for a login over HTTPS from now on; `None` lets everybody read and nobody write.
    pub fn require_login(&self, login: Option<Login>) {
        self.http.require_login(login);
    }

    /// Bytes of Git's protocol that went over HTTPS so far, both ways.
    pub fn transferred(&self) -> u64 {
        self.http.transferred()
    }

    /// The port of the SSH server.
    pub fn ssh_port(&self) -> u16 {
        self.sshd.port
    }

    /// The port of the HTTPS server.
    pub fn https_port(&self) -> u16 {
        self.http.port()
    }

    /// Lets [`Self::known_hosts_file`] hold the host keys under another name of the server, too.
    ///
    /// # Errors
    /// When a file cannot be read or written.
    pub(super) fn answer_to(&self, name: &str) -> Result<()> {
        let own = self.known_hosts()?;
        let keys = own.lines().filter_map(|line| line.split_once(' '));
        let named: String = keys.map(|(_, key)| format!("{name} {key}\n")).collect();
        paths::write(&self.known_hosts_file(), &format!("{own}{named}"))
    }

    /// The user that clients log in as: `git`, or the current user where that is not possible.
    pub fn user(&self) -> &str {
        &self.sshd.user
    }

    /// The SSH server's process, for tests that stop it or read its log.
    pub fn sshd(&self) -> &Process {
        &self.sshd.process
    }

    /// The host keys as `known_hosts` lines: ed25519, ecdsa, rsa.
    ///
    /// # Errors
    /// When a key file is gone.
    pub fn known_hosts(&self) -> Result<String> {
        let line = |kind: &&str| {
            let file = sshd::host_key(&self.dir, kind).with_extension("pub");
            let text = paths::read(&file)?;
            let key: Vec<&str> = text.split_whitespace().take(2).collect();
            Ok(format!(
                "[127.0.0.1]:{} {}\n",
                self.sshd.port,
                key.join(" ")
            ))
        };
        sshd::HOST_KEY_TYPES.iter().map(line).collect()
    }

    /// File with [`Self::known_hosts`], for clients of this machine.
    pub fn known_hosts_file(&self) -> PathBuf {
        self.dir.join("known_hosts")
    }

    /// Lets a key reach one repository. `public_key` is a line in OpenSSH's format.
    ///
    /// # Errors
    /// When the key belongs to a repository or person already, as on GitHub.
    pub fn add_deploy_key(&self, repository: &str, public_key: &str, access: Access) -> Result<()> {
        if !self.repository_path(repository).exists() {
            return Err(Error::Conflict(format!(
                "there is no repository {repository}"
            )));
        }
        self.keys().add(Some(repository), public_key, access)
    }

    /// Lets a person's key read and write all repositories.
    ///
    /// # Errors
    /// When the key is registered already.
    pub fn add_user_key(&self, public_key: &str) -> Result<()> {
        self.keys().add(None, public_key, Access::ReadWrite)
    }

    /// Takes a key back; one that is not registered is fine.
    ///
    /// # Errors
    /// When the text is no public key.
    pub fn remove_key(&self, public_key: &str) -> Result<()> {
        self.keys().remove(public_key)
    }

    /// Makes an ed25519 key pair without a passphrase in the sandbox's folder.
    ///
    /// # Errors
    /// When a key of that name is there already.
    pub fn client_key(&self, name: &str) -> Result<ClientKey> {
        let folder = self.dir.join("client-keys");
        paths::create_dir(&folder)?;
        let private = folder.join(name);
        if private.exists() {
            return Err(Error::Conflict(format!(
                "client key {name} is there already"
            )));
        }
        let mut command = Command::new(&self.keygen);
        command
            .args(["-q", "-t", "ed25519", "-N", "", "-C", name, "-f"])
            .arg(&private);
        work_copy::run(&mut command)?;
        let public = paths::read(&private.with_extension("pub"))?
            .trim_end()
            .to_owned();
        Ok(ClientKey { private, public })
    }

    /// Value of `GIT_SSH_COMMAND` with which the git program uses this key and nothing of the
    /// user's own SSH configuration.
    pub fn ssh_command(&self, key: &ClientKey) -> String {
        let path = |path: &Path| quote::shell(&path.display().to_string());
        format!(
            "ssh -F /dev/null -o IdentitiesOnly=yes -o BatchMode=yes -o StrictHostKeyChecking=yes \
             -o UserKnownHostsFile={} -i {}",
            path(&self.known_hosts_file()),
            path(&key.private)
        )
    }

    fn keys(&self) -> std::sync::MutexGuard<'_, Keys> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
