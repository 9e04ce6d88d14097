//! The SSH server: configuration, host keys, and the user `git`.
//!
//! People write `ssh://git@HOST/...`, but a machine has no such user and none may be made. When
//! the kernel lets us, sshd runs in a private mount namespace whose `/etc/passwd` has one more
//! line; elsewhere URLs carry the current user's name ([`Sshd::user`]).

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use super::{
    super::{
        error::{Error, Result, tail},
        paths,
        process::{Process, Stop, Supervisor},
        wait,
    },
    quote,
};

const PRIVATE_PASSWD: &str = include_str!("private-passwd.sh");

/// One host key of each type that code hosts have.
pub(super) const HOST_KEY_TYPES: [&str; 3] = ["ed25519", "ecdsa", "rsa"];

const DEADLINE: Duration = Duration::from_secs(15);

/// A running SSH server.
#[derive(Debug)]
pub(super) struct Sshd {
    pub(super) port: u16,
    /// The user that clients log in as.
    pub(super) user: String,
    pub(super) process: Arc<Process>,
}

/// Starts sshd with everything it needs in `dir`. `authorized_keys` is read at each login.
pub(super) async fn start(
    dir: &Path,
    sshd: &Path,
    authorized_keys: &Path,
    supervisor: &Supervisor,
) -> Result<Sshd> {
    let (user, wrapper) = user(dir)?;
    let config = dir.join("sshd_config");
    let penalties = knows_penalties(sshd);
    let (port, process) = wait::on_free_port(async |port| {
        paths::write(
            &config,
            &configuration(dir, authorized_keys, port, penalties),
        )?;
        let arguments = ["-D", "-e", "-f"];
        let mut command = match &wrapper {
            None => Command::new(sshd),
            Some(passwd) => {
                let mut command = Command::new("unshare");
                command.args(unshare_arguments(passwd)).arg(sshd);
                command
            }
        };
        command.args(arguments).arg(&config).current_dir(dir);
        let process = supervisor.spawn("sshd", Stop::Kill, &mut command)?;
        wait::until("sshd", DEADLINE, Some(&process), async || {
            wait::accepts(port).await
        })
        .await?;
        Ok((port, process))
    })
    .await?;
    Ok(Sshd {
        port,
        user,
        process,
    })
}

fn configuration(dir: &Path, authorized_keys: &Path, port: u16, penalties: bool) -> String {
    let host_keys: String = HOST_KEY_TYPES
        .iter()
        .map(|kind| format!("HostKey {}\n", quote::config(&host_key(dir, kind))))
        .collect();
    let penalties = if penalties {
        "PerSourcePenalties no\n"
    } else {
        ""
    };
    format!(
        "ListenAddress 127.0.0.1:{port}\n\
         {host_keys}{penalties}\
         AuthorizedKeysFile {}\n\
         AuthenticationMethods publickey\n\
         AcceptEnv GIT_PROTOCOL\n\
         PermitRootLogin forced-commands-only\n\
         MaxStartups 200\n\
         PidFile none\n\
         PrintMotd no\n\
         StrictModes no\n\
         UseDNS no\n\
         UsePAM no\n\
         LogLevel VERBOSE\n",
        quote::config(authorized_keys)
    )
}

/// Newer servers shut out an address after a few failed logins; tests fail on purpose. Older ones
/// do not know the option and would not start.
fn knows_penalties(sshd: &Path) -> bool {
    Command::new(sshd)
        .args(["-T", "-f", "/dev/null", "-o", "PerSourcePenalties=no"])
        .output()
        .is_ok_and(|output| {
            !String::from_utf8_lossy(&output.stderr).contains("Bad configuration option")
        })
}

/// File of a private host key.
pub(super) fn host_key(dir: &Path, kind: &str) -> PathBuf {
    dir.join(format!("ssh_host_{kind}_key"))
}

/// Makes the host keys, all at once: the RSA key takes as long as everything else.
pub(super) fn make_host_keys(dir: &Path, keygen: &Path) -> Result<()> {
    let spawn = |kind: &&str| {
        Command::new(keygen)
            .args(["-q", "-N", "", "-C", "sandbox", "-t", kind, "-f"])
            .arg(host_key(dir, kind))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|source| Error::Run {
                program: "ssh-keygen".to_owned(),
                source,
            })
    };
    let children: Vec<_> = HOST_KEY_TYPES.iter().map(spawn).collect::<Result<_>>()?;
    for child in children {
        let output = child.wait_with_output().map_err(|source| Error::Run {
            program: "ssh-keygen".to_owned(),
            source,
        })?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            let command = "ssh-keygen".to_owned();
            return Err(Error::Failed {
                command,
                status: output.status,
                output: tail(&said, 5),
            });
        }
    }
    Ok(())
}

/// The user that clients log in as, and the passwd file that makes it exist, if it works here.
fn user(dir: &Path) -> Result<(String, Option<PathBuf>)> {
    let system = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let uid = rustix::process::geteuid().as_raw();
    let gid = rustix::process::getegid().as_raw();
    let passwd = dir.join("passwd");
    // First of its name counts.
    let line = format!("git:x:{uid}:{gid}::{}:/bin/sh\n", dir.display());
    paths::write(&passwd, &format!("{line}{system}"))?;
    let works = Command::new("unshare")
        .args(unshare_arguments(&passwd))
        .args(["/bin/sh", "-c", "grep -q '^git:x:' /etc/passwd"])
        .stdin(Stdio::null())
        .output()
        .is_ok_and(|output| output.status.success());
    // A folder below /run would be out of sight inside.
    if works && !dir.starts_with("/run") {
        return Ok(("git".to_owned(), Some(passwd)));
    }
    if uid == 0 {
        // Debian's own start script makes this folder; it holds nothing.
        paths::create_dir(Path::new("/run/sshd"))?;
    }
    Ok((current_user(&system, uid), None))
}

fn unshare_arguments(passwd: &Path) -> Vec<std::ffi::OsString> {
    let mut arguments: Vec<std::ffi::OsString> = [
        "--mount",
        "--propagation",
        "private",
        "/bin/sh",
        "-c",
        PRIVATE_PASSWD,
        "sh",
    ]
    .map(Into::into)
    .into();
    arguments.push(passwd.into());
    arguments
}

/// Name of the user with this id.
fn current_user(passwd: &str, uid: u32) -> String {
    passwd
        .lines()
        .find_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
        })
        .or_else(|| env::var("USER").ok())
        .unwrap_or_else(|| "root".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_name_of_a_user() {
        let passwd = "root:x:0:0:root:/root:/bin/bash\nme:x:1000:1000::/home/me:/bin/sh\n";
        assert_eq!(current_user(passwd, 1000), "me");
        assert_eq!(current_user(passwd, 0), "root");
    }
}
