//! Shortenings for the eye: ages, revisions.

use std::time::Duration;

/// Hex runs of at least this length are digests (SHA-1) ...
const DIGEST_MIN: usize = 40;
/// ... and of at most this length (SHA-512).
const DIGEST_MAX: usize = 128;
/// What is left of a digest.
const SHORT: usize = 8;

/// Cuts every digest in `text` to eight characters, as Flux does in its tables.
pub(crate) fn short_digests(text: &str) -> String {
    let mut short = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        // Words, as a regular expression's `\b` sees them; everything between is copied.
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let word_end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(word_end);
        let is_digest = (DIGEST_MIN..=DIGEST_MAX).contains(&word.len())
            && word
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        short.push_str(if is_digest {
            word.get(..SHORT).unwrap_or(word)
        } else {
            word
        });
        let gap_end = after.find(is_word).unwrap_or(after.len());
        let (gap, next) = after.split_at(gap_end);
        short.push_str(gap);
        rest = next;
    }
    short
}

/// An age in the form kubectl prints: two units at most, coarser the older it is.
pub(crate) fn age(duration: Duration) -> String {
    const MINUTE: u64 = 60;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;
    const YEAR: u64 = 365 * DAY;
    let seconds = duration.as_secs();
    // Steps and precision of k8s.io/apimachinery's HumanDuration.
    let (unit, name, next, next_name) = match seconds {
        _ if seconds < 2 * MINUTE => return format!("{seconds}s"),
        _ if seconds < 10 * MINUTE => (MINUTE, "m", 1, "s"),
        _ if seconds < 3 * HOUR => return format!("{}m", seconds / MINUTE),
        _ if seconds < 8 * HOUR => (HOUR, "h", MINUTE, "m"),
        _ if seconds < 2 * DAY => return format!("{}h", seconds / HOUR),
        _ if seconds < 8 * DAY => (DAY, "d", HOUR, "h"),
        _ if seconds < 2 * YEAR => return format!("{}d", seconds / DAY),
        _ if seconds < 8 * YEAR => (YEAR, "y", DAY, "d"),
        _ => return format!("{}y", seconds / YEAR),
    };
    let (whole, rest) = (seconds / unit, seconds % unit / next);
    if rest == 0 {
        format!("{whole}{name}")
    } else {
        format!("{whole}{name}{rest}{next_name}")
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{age, short_digests};

    const SHA1: &str = "16cfcc0b9066b3234dda29927ac1c19860d9663f";
    const SHA256: &str = "c2448c95e262b10f9c1137bf1472f51c04dffca76966ff15eff409d0b300c0b0";

    #[test]
    fn digests_are_cut_wherever_they_stand() {
        for (text, short) in [
            (SHA1.to_owned(), "16cfcc0b"),
            (format!("main@sha1:{SHA1}"), "main@sha1:16cfcc0b"),
            (format!("tag@sha256:{SHA256}"), "tag@sha256:c2448c95"),
            (format!("HEAD/{SHA1}"), "HEAD/16cfcc0b"),
            (
                format!("revision '{SHA1}', then {SHA256}."),
                "revision '16cfcc0b', then c2448c95.",
            ),
            (format!("\u{e9}t\u{e9} {SHA1}"), "\u{e9}t\u{e9} 16cfcc0b"),
        ] {
            assert_eq!(short_digests(&text), short);
        }
    }

    #[test]
    fn other_text_is_left_alone() {
        let too_long = "f".repeat(129);
        let upper = SHA1.to_uppercase();
        let part_of_a_word = format!("x{SHA1}");
        for text in [
            "",
            "ffffffffffffff",
            "not a digest",
            &too_long,
            &upper,
            &part_of_a_word,
        ] {
            assert_eq!(short_digests(text), text);
        }
    }

    #[test]
    fn ages_get_coarser() {
        for (seconds, text) in [
            (0, "0s"),
            (22, "22s"),
            (119, "119s"),
            (120, "2m"),
            (329, "5m29s"),
            (15 * 60, "15m"),
            (3 * 3600, "3h"),
            (3 * 3600 + 61, "3h1m"),
            (9 * 3600, "9h"),
            (47 * 3600, "47h"),
            (50 * 3600, "2d2h"),
            (9 * 86_400, "9d"),
            (3 * 365 * 86_400 + 86_400, "3y1d"),
            (9 * 365 * 86_400, "9y"),
        ] {
            assert_eq!(age(Duration::from_secs(seconds)), text);
        }
    }
}
