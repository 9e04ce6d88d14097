//! In which mirror the commit of an artifact is, written down beside the tarball: the name of a mirror
//! depends on credentials, and after a restart these may be others, or gone.

use std::io;
use std::path::Path;

use flux_git::MirrorName;

/// The file with the name. Nobody outside gets to see files that begin with a dot.
pub(super) const FILE: &str = ".mirror";

/// Writes the name into the folder of an object, unless it is there already.
pub(super) async fn note(folder: &Path, mirror: &MirrorName) -> io::Result<()> {
    if read(folder).await.as_ref() == Some(mirror) {
        return Ok(());
    }
    tokio::fs::create_dir_all(folder).await?;
    // Half a name after a crash is none.
    tokio::fs::write(folder.join(FILE), mirror.as_str()).await
}

/// The name in the folder of an object.
pub(super) async fn read(folder: &Path) -> Option<MirrorName> {
    let text = tokio::fs::read_to_string(folder.join(FILE)).await.ok()?;
    MirrorName::parse(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_last_name_is_remembered() {
        let above = tempfile::tempdir().unwrap();
        let folder = above.path().join("team/app");
        assert_eq!(read(&folder).await, None);
        for digit in ["1", "2", "2"] {
            let name = MirrorName::parse(&digit.repeat(40)).unwrap();
            note(&folder, &name).await.unwrap();
            assert_eq!(read(&folder).await, Some(name));
        }
        std::fs::write(folder.join(FILE), "../x").unwrap();
        assert_eq!(read(&folder).await, None);
    }
}
