//! The difference of two texts, as `git diff` and `patch` know it.

use similar::TextDiff;

/// Unchanged lines around a change.
const CONTEXT: usize = 3;

/// A unified diff of a file that stays where it is.
pub(crate) fn unified(path: &str, old: &str, new: &str) -> String {
    let (from, to) = (format!("a/{path}"), format!("b/{path}"));
    TextDiff::from_lines(old, new)
        .unified_diff()
        .context_radius(CONTEXT)
        .header(&from, &to)
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::unified;

    #[test]
    fn diffs_can_be_applied() {
        assert_eq!(
            unified("x/a.yaml", "a: 1\r\nb: 2\r\n", "a: 1\r\nb: 3\r\n"),
            "--- a/x/a.yaml\n+++ b/x/a.yaml\n@@ -1,2 +1,2 @@\n a: 1\r\n-b: 2\r\n+b: 3\r\n"
        );
        assert_eq!(
            unified("a", "x", "y"),
            "--- a/a\n+++ b/a\n@@ -1 +1 @@\n-x\n\\ No newline at end of file\n+y\n\
             \\ No newline at end of file\n"
        );
    }
}
