//! A real sshd for one repository.

use std::fmt::Write as _;
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use flux_git::Remote;
use flux_git::keys::KeyPair;
use tempfile::TempDir;

use super::{Repo, run, ssh_remote};

const SSHD: &str = "/usr/sbin/sshd";

/// What a key may do.
#[derive(Clone, Copy)]
pub(crate) enum Access {
    Read,
    Write,
}

pub(crate) struct Sshd {
    dir: TempDir,
    child: Child,
    pub(crate) port: u16,
    user: String,
}

/// How the server differs from the usual one.
#[derive(Default)]
pub(crate) struct Options {
    /// Does not accept GIT_PROTOCOL, as Debian's default: version 0 only.
    pub(crate) old_protocol: bool,
    /// Host key types; all three if empty.
    pub(crate) host_keys: Vec<&'static str>,
    /// More lines of sshd_config, made from the server's directory.
    pub(crate) config: Option<fn(&Path) -> String>,
}

impl Sshd {
    /// Starts a server for a repository and keys. None, with a word on standard error, where
    /// there is no sshd.
    pub(crate) fn start(repo: &Repo, keys: &[(&KeyPair, Access)]) -> Option<Self> {
        Self::start_with(repo, keys, &Options::default())
    }

    pub(crate) fn start_with(
        repo: &Repo,
        keys: &[(&KeyPair, Access)],
        options: &Options,
    ) -> Option<Self> {
        if !Path::new(SSHD).exists() {
            eprintln!("skipped: {SSHD} is missing, install openssh-server");
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let user = run("id", &["-un"], dir.path());
        if user == "root" {
            // sshd drops privileges into it.
            fs::create_dir_all("/run/sshd").unwrap();
        }
        let mut config = String::new();
        let all = ["ed25519", "ecdsa", "rsa"];
        let types = if options.host_keys.is_empty() {
            &all[..]
        } else {
            &options.host_keys
        };
        for kind in types {
            let key = path(&format!("host_{kind}"));
            let file = key.to_str().unwrap();
            run(
                "ssh-keygen",
                &["-q", "-t", kind, "-N", "", "-C", "", "-f", file],
                dir.path(),
            );
            writeln!(config, "HostKey {file}").unwrap();
        }
        let wrapper = wrapper(dir.path(), &repo.bare());
        let lines: String = keys
            .iter()
            .map(|(key, access)| {
                let access = match access {
                    Access::Read => "ro",
                    Access::Write => "rw",
                };
                format!(
                    "restrict,command=\"{} {access}\" {}\n",
                    wrapper.display(),
                    key.public_openssh
                )
            })
            .collect();
        fs::write(path("authorized_keys"), lines).unwrap();
        if let Some(more) = options.config {
            config.push_str(&more(dir.path()));
        }
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        write!(
            config,
            "Port {port}\nListenAddress 127.0.0.1\nPidFile none\nUsePAM no\nStrictModes no\n\
             PasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin yes\n\
             AuthorizedKeysFile {}\n",
            path("authorized_keys").display()
        )
        .unwrap();
        if !options.old_protocol {
            config.push_str("AcceptEnv GIT_PROTOCOL\n");
        }
        fs::write(path("sshd_config"), config).unwrap();
        let log = fs::File::create(path("log")).unwrap();
        let child = Command::new(SSHD)
            .args(["-D", "-e", "-f", path("sshd_config").to_str().unwrap()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let server = Self {
            dir,
            child,
            port,
            user,
        };
        server.wait();
        Some(server)
    }

    fn wait(&self) {
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(
                start.elapsed() < Duration::from_secs(10),
                "sshd: {}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// The programs that were run, in order.
    pub(crate) fn commands(&self) -> Vec<String> {
        let text = fs::read_to_string(self.dir.path().join("commands")).unwrap_or_default();
        text.lines()
            .map(|line| line.split(' ').next().unwrap_or_default().to_owned())
            .collect()
    }

    /// How often somebody logged in.
    pub(crate) fn logins(&self) -> usize {
        self.log().matches("Accepted publickey").count()
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn url(&self) -> String {
        format!("ssh://{}@127.0.0.1:{}/org/app.git", self.user, self.port)
    }

    /// The known_hosts line of one host key.
    pub(crate) fn known_host(&self, kind: &str) -> String {
        let public = fs::read_to_string(self.dir.path().join(format!("host_{kind}.pub"))).unwrap();
        format!("[127.0.0.1]:{} {public}", self.port)
    }

    /// A remote that trusts the Ed25519 host key.
    pub(crate) fn remote(&self, key: &KeyPair) -> Remote {
        ssh_remote(&self.url(), key, &self.known_host("ed25519"))
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        if std::thread::panicking() {
            eprintln!("sshd: {}", self.log());
        }
    }
}

/// A forge in a few lines: one repository, read-only keys, unknown repositories.
fn wrapper(dir: &Path, bare: &Path) -> PathBuf {
    let script = dir.join("wrapper");
    fs::write(
        &script,
        format!(
            "#!/bin/sh\n\
             echo \"$SSH_ORIGINAL_COMMAND\" >>'{commands}'\n\
             case \"$SSH_ORIGINAL_COMMAND\" in\n\
             \"git-upload-pack '/org/app.git'\") exec git-upload-pack {bare} ;;\n\
             \"git-receive-pack '/org/app.git'\")\n\
               if [ \"$1\" = rw ]; then exec git-receive-pack {bare}; fi\n\
               echo 'ERROR: The key you are authenticating with has been marked as read only.' >&2\n\
               exit 1 ;;\n\
             *) echo 'ERROR: Repository not found.' >&2; exit 1 ;;\n\
             esac\n",
            bare = bare.display(),
            commands = dir.join("commands").display()
        ),
    )
    .unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    script
}
