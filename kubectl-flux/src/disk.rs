//! Files that are written: each as a whole, and none unless there is room for all. What was there
//! before stays until then.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::error::Error;

/// Writes texts to files. One that is there keeps its permissions, and stays a link if it is one;
/// `what` begins the message when it does not work.
///
/// # Errors
/// If one of them cannot be written.
pub(crate) fn write(what: &'static str, files: &[(&Path, &str)]) -> Result<(), Error> {
    let unwritable = |path: &Path, source: io::Error| Error::File {
        what,
        path: path.display().to_string(),
        source,
    };
    let mut prepared = Vec::new();
    for (path, text) in files {
        if fs::metadata(path).is_ok_and(|found| !found.is_file()) {
            // A device or a pipe, such as /dev/stdout.
            fs::write(path, text).map_err(|error| unwritable(path, error))?;
            continue;
        }
        let new = prepare(path, text).map_err(|error| unwritable(path, error))?;
        prepared.push((path, new));
    }
    for (path, (target, new)) in prepared {
        new.persist(target)
            .map_err(|error| unwritable(path, error.error))?;
    }
    Ok(())
}

/// Puts a text on the disk, beside the file that it is for.
fn prepare(path: &Path, text: &str) -> io::Result<(PathBuf, NamedTempFile)> {
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let folder = target.parent().filter(|path| *path != Path::new(""));
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut new = builder.tempfile_in(folder.unwrap_or(Path::new(".")))?;
    new.as_file_mut().write_all(text.as_bytes())?;
    if let Ok(before) = fs::metadata(&target) {
        fs::set_permissions(new.path(), before.permissions())?;
    }
    // Some file systems find out only now that they are full.
    new.as_file().sync_all()?;
    Ok((target, new))
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn files_keep_what_is_theirs() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("old"), "1").unwrap();
        fs::set_permissions(path("old"), fs::Permissions::from_mode(0o640)).unwrap();
        symlink("old", path("link")).unwrap();
        write("x", &[(&path("link"), "2"), (&path("new"), "3")]).unwrap();
        assert_eq!(fs::read_to_string(path("old")).unwrap(), "2");
        assert!(fs::symlink_metadata(path("link")).unwrap().is_symlink());
        let mode = |name: &str| fs::metadata(path(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode("old"), 0o640);
        assert_eq!(mode("new") & 0o600, 0o600);

        let error = write("x", &[(&path("old"), "4"), (&path("none/new"), "5")]).unwrap_err();
        assert!(error.to_string().starts_with("x: "), "{error}");
        assert_eq!(fs::read_to_string(path("old")).unwrap(), "2", "all or none");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
    }
}
