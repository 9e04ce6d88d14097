//! A clone to make commits with, as a person would, straight on the server's disk.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::super::{
    error::{Error, Result},
    paths,
};

/// A clone of a repository of the sandbox's Git server.
#[derive(Debug)]
pub struct WorkCopy {
    git: PathBuf,
    dir: PathBuf,
}

impl WorkCopy {
    /// Clones the bare repository `origin` into `dir`.
    pub(super) fn clone(git: &Path, origin: &Path, dir: &Path) -> Result<Self> {
        let copy = Self {
            git: git.to_owned(),
            dir: dir.to_owned(),
        };
        paths::create_dir(dir)?;
        copy.git(&["init", "--quiet", "--initial-branch=main"])?;
        copy.git(&["remote", "add", "origin", &origin.display().to_string()])?;
        copy.git(&["config", "user.name", "Papa Francky"])?;
        copy.git(&["config", "user.email", "papafrancky@sandbox.example"])?;
        // An empty repository has nothing to pull yet.
        if !copy.git(&["ls-remote", "origin", "main"])?.is_empty() {
            copy.git(&["pull", "--quiet", "--set-upstream", "origin", "main"])?;
        }
        Ok(copy)
    }

    /// Folder of the work tree.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Writes a file, with the folders it needs.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, path: &str, content: &str) -> Result<()> {
        let path = self.dir.join(path);
        if let Some(parent) = path.parent() {
            paths::create_dir(parent)?;
        }
        paths::write(&path, content)
    }

    /// Reads a file.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read(&self, path: &str) -> Result<String> {
        paths::read(&self.dir.join(path))
    }

    /// Removes a file.
    ///
    /// # Errors
    /// When there is no such file.
    pub fn remove(&self, path: &str) -> Result<()> {
        let path = self.dir.join(path);
        fs::remove_file(&path).map_err(Error::file("remove", &path))
    }

    /// Commits everything that changed and pushes it; the id of the commit.
    ///
    /// # Errors
    /// When nothing changed, or the push is refused.
    pub fn commit_and_push(&self, message: &str) -> Result<String> {
        self.git(&["add", "--all"])?;
        self.git(&["commit", "--quiet", "--message", message])?;
        self.git(&["push", "--quiet", "origin", "HEAD"])?;
        self.head()
    }

    /// Takes over what others have pushed; the id of the newest commit.
    ///
    /// # Errors
    /// When the histories have diverged.
    pub fn pull(&self) -> Result<String> {
        self.git(&["pull", "--quiet", "--ff-only", "origin", "main"])?;
        self.head()
    }

    /// Id of the newest commit.
    ///
    /// # Errors
    /// When there is none yet.
    pub fn head(&self) -> Result<String> {
        self.git(&["rev-parse", "HEAD"])
    }

    /// Runs any git command in the work tree; what it printed, without the final line end.
    ///
    /// # Errors
    /// [`Error::Failed`] with git's own words.
    pub fn git(&self, arguments: &[&str]) -> Result<String> {
        run(command(&self.git).current_dir(&self.dir).args(arguments))
    }
}

/// `git` that knows nothing of the configuration of machine and user.
pub(super) fn command(git: &Path) -> Command {
    let mut command = Command::new(git);
    command
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null");
    // Set while git runs a hook or an alias; they would point these commands elsewhere.
    for variable in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"] {
        command.env_remove(variable);
    }
    command
}

/// Runs a git command to its end.
pub(super) fn run(command: &mut Command) -> Result<String> {
    let output = command.output().map_err(|source| Error::Run {
        program: "git".to_owned(),
        source,
    })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout)
            .trim_end()
            .to_owned());
    }
    let arguments: Vec<_> = command
        .get_args()
        .map(|word| word.to_string_lossy())
        .collect();
    Err(Error::Failed {
        command: format!("git {}", arguments.join(" ")),
        status: output.status,
        output: format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        ),
    })
}
