//! The SSH server: its configuration and its host keys. Who logs in is for [`super::user`].

use std::{
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
    user::LoginUser,
};

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
    let login = LoginUser::prepare(dir)?;
    let config = dir.join("sshd_config");
    let penalties = knows_penalties(sshd);
    let (port, process) = wait::on_free_port(async |port| {
        paths::write(
            &config,
            &configuration(dir, authorized_keys, port, penalties),
        )?;
        let mut command = login.command(sshd);
        command
            .args(["-D", "-e", "-f"])
            .arg(&config)
            .current_dir(dir);
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
        user: login.name,
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
