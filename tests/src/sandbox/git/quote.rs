//! Quoting of paths for the shell, for `authorized_keys` and for `sshd_config`.

use std::path::Path;

/// A word for the shell, whatever it contains.
pub(super) fn shell(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// The value of `command="..."` in `authorized_keys`: double quotes are escaped there.
pub(super) fn option(value: &str) -> String {
    format!("\"{}\"", value.replace('"', "\\\""))
}

/// A path in `sshd_config`, where `%` begins a token.
pub(super) fn config(path: &Path) -> String {
    format!("\"{}\"", path.display().to_string().replace('%', "%%"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes() {
        assert_eq!(shell("a b"), "'a b'");
        assert_eq!(shell("it's"), r"'it'\''s'");
        assert_eq!(option(r#"say "x""#), r#""say \"x\"""#);
        assert_eq!(config(Path::new("/a b/50%")), r#""/a b/50%%""#);
    }
}
