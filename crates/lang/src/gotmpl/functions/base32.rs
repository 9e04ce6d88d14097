//! Base32 with padding (RFC 4648, section 6).

const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// Characters that a group of 0 to 5 bytes takes, without padding.
const FILLED: [usize; 6] = [0, 2, 4, 5, 7, 8];

/// Groups of five bytes as eight characters.
pub(super) fn encode(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len().div_ceil(5) * 8);
    for group in bytes.chunks(5) {
        let mut bits = 0_u64;
        for at in 0..5 {
            bits = bits << 8 | u64::from(group.get(at).copied().unwrap_or_default());
        }
        let filled = FILLED.get(group.len()).copied().unwrap_or_default();
        for at in 0..8 {
            let value = (bits >> (35 - 5 * at)) & 31;
            let letter = usize::try_from(value)
                .ok()
                .and_then(|value| ALPHABET.get(value));
            match letter {
                Some(letter) if at < filled => out.push(char::from(*letter)),
                _ => out.push('='),
            }
        }
    }
    out
}

/// The bytes; none for anything that [`encode`] does not write, apart from bits behind the last
/// byte, which count for nothing.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(8) {
        return None;
    }
    let mut out = Vec::with_capacity(text.len() / 8 * 5);
    let mut groups = text.as_bytes().chunks(8).peekable();
    while let Some(group) = groups.next() {
        let filled = group.iter().take_while(|byte| **byte != b'=').count();
        let (letters, padding) = group.split_at(filled);
        let is_last = groups.peek().is_none();
        if padding.iter().any(|byte| *byte != b'=') || filled < 8 && !is_last {
            return None;
        }
        let mut bits = 0_u64;
        for at in 0..8 {
            let value = match letters.get(at) {
                Some(letter) => ALPHABET.iter().position(|known| known == letter)?,
                None => 0,
            };
            bits = bits << 5 | u64::try_from(value).ok()?;
        }
        let count = FILLED.iter().position(|known| *known == filled)?;
        out.extend_from_slice(bits.to_be_bytes().get(3..3 + count)?);
    }
    Some(out)
}
