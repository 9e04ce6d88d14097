//! The user that clients of the SSH server log in as.
//!
//! People write `ssh://git@HOST/...`, but a machine has no such user and none may be made. Where
//! the kernel lets us, sshd runs in a private mount namespace whose `/etc/passwd` has one more
//! line; elsewhere URLs carry the current user's name.

use std::{
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::super::{error::Result, paths};

const SCRIPT: &str = include_str!("private-passwd.sh");

/// Who clients log in as, and what makes that user exist for sshd.
#[derive(Debug)]
pub(super) struct LoginUser {
    pub(super) name: String,
    /// Start of the command line that makes a namespace with a user `git`; empty without one.
    wrapper: Vec<OsString>,
}

impl LoginUser {
    /// Writes a passwd file into `dir` and tries whether it can be used.
    pub(super) fn prepare(dir: &Path) -> Result<Self> {
        let system = fs::read_to_string("/etc/passwd").unwrap_or_default();
        let uid = rustix::process::geteuid().as_raw();
        let gid = rustix::process::getegid().as_raw();
        let passwd = dir.join("passwd");
        // The first of its name counts.
        let line = format!("git:x:{uid}:{gid}::{}:/bin/sh\n", dir.display());
        paths::write(&passwd, &format!("{line}{system}"))?;
        let git = Self {
            name: "git".to_owned(),
            wrapper: wrapper(passwd, uid, gid),
        };
        // In there root's /run is an empty one: a folder below it would be out of sight.
        if git.works() && !(uid == 0 && dir.starts_with("/run")) {
            return Ok(git);
        }
        if uid == 0 {
            // Debian's own start script makes this folder for sshd; it holds nothing.
            paths::create_dir(Path::new("/run/sshd"))?;
        }
        Ok(Self {
            name: current_user(&system, uid),
            wrapper: Vec::new(),
        })
    }

    /// A command that runs `program` where the user exists.
    pub(super) fn command(&self, program: &Path) -> Command {
        let mut words = self
            .wrapper
            .iter()
            .map(OsString::as_os_str)
            .chain([program.as_os_str()]);
        let mut command = Command::new(words.next().unwrap_or(program.as_os_str()));
        command.args(words);
        command
    }

    fn works(&self) -> bool {
        self.command(Path::new("/bin/sh"))
            .args(["-c", "[ \"$(id -un)\" = git ]"])
            .stdin(Stdio::null())
            .output()
            .is_ok_and(|output| output.status.success())
    }
}

/// Root may make a mount namespace; everybody else needs a user namespace in which they are
/// root for the mount, and one more inside in which they are themselves again: a server that
/// takes itself for root would try to change its user.
fn wrapper(passwd: PathBuf, uid: u32, gid: u32) -> Vec<OsString> {
    let mut words: Vec<OsString> = vec!["unshare".into()];
    if uid != 0 {
        words.extend(["--user", "--map-root-user"].map(OsString::from));
    }
    words.extend(
        [
            "--mount",
            "--propagation",
            "private",
            "/bin/sh",
            "-c",
            SCRIPT,
            "sh",
        ]
        .map(OsString::from),
    );
    words.push(passwd.into());
    if uid == 0 {
        words.push("root".into());
    } else {
        words.extend(["user", "unshare", "--user"].map(OsString::from));
        words.extend([format!("--map-user={uid}"), format!("--map-group={gid}")].map(Into::into));
    }
    words
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

    #[test]
    fn only_root_goes_without_a_user_namespace() {
        let words = |uid| {
            wrapper("/p".into(), uid, uid)
                .join(" ".as_ref())
                .into_string()
                .unwrap()
        };
        assert!(!words(0).contains("--user"));
        assert!(words(0).ends_with("sh /p root"));
        assert!(words(1000).starts_with("unshare --user --map-root-user --mount"));
        assert!(words(1000).ends_with("/p user unshare --user --map-user=1000 --map-group=1000"));
    }
}
