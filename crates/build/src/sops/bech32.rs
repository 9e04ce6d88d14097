//! Bech32 (BIP 173), in which age writes keys.

const ALPHABET: &[u8; 32] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";
const GENERATOR: [u32; 5] = [
    0x3b6a_57b2,
    0x2650_8e6d,
    0x1ea1_19fa,
    0x3d42_33dd,
    0x2a14_62b3,
];
const CHECKSUM: usize = 6;

fn checksum(prefix: &str, values: &[u8]) -> u32 {
    let high = prefix.bytes().map(|byte| byte >> 5);
    let low = prefix.bytes().map(|byte| byte & 31);
    let all = high.chain([0]).chain(low).chain(values.iter().copied());
    all.fold(1_u32, |sum, value| {
        let top = sum >> 25;
        let next = (sum & 0x01ff_ffff) << 5 ^ u32::from(value);
        (0..)
            .zip(GENERATOR)
            .filter(|(bit, _)| top >> bit & 1 == 1)
            .fold(next, |sum, (_, term)| sum ^ term)
    })
}

/// Turns groups of `from` bits into groups of `to` bits.
fn regroup(values: &[u8], from: u32, to: u32, pad: bool) -> Option<Vec<u8>> {
    let (mut buffer, mut bits) = (0_u32, 0);
    let mut groups = Vec::new();
    for value in values {
        buffer = (buffer << from | u32::from(*value)) & 0xfff;
        bits += from;
        while bits >= to {
            bits -= to;
            groups.push(u8::try_from(buffer >> bits & ((1 << to) - 1)).ok()?);
        }
    }
    let rest = buffer & ((1 << bits) - 1);
    if pad && bits > 0 {
        groups.push(u8::try_from(rest << (to - bits)).ok()?);
    }
    (pad || (bits < from && rest == 0)).then_some(groups)
}

/// The bytes of a lower-case text with a certain prefix.
pub(super) fn decode(prefix: &str, text: &str) -> Option<Vec<u8>> {
    let data = text.strip_prefix(prefix)?.strip_prefix('1')?;
    let values: Vec<u8> = data
        .bytes()
        .map(|byte| {
            let at = ALPHABET.iter().position(|letter| *letter == byte)?;
            u8::try_from(at).ok()
        })
        .collect::<Option<_>>()?;
    if checksum(prefix, &values) != 1 {
        return None;
    }
    regroup(
        values.get(..values.len().checked_sub(CHECKSUM)?)?,
        5,
        8,
        false,
    )
}

/// The text of bytes under a prefix.
pub(super) fn encode(prefix: &str, bytes: &[u8]) -> String {
    let mut values = regroup(bytes, 8, 5, true).unwrap_or_default();
    let padded = [values.as_slice(), &[0; CHECKSUM]].concat();
    let sum = checksum(prefix, &padded) ^ 1;
    let letters = (0..CHECKSUM).rev().map(|index| sum >> (5 * index) & 31);
    values.extend(letters.filter_map(|value| u8::try_from(value).ok()));
    let letter = |value: &u8| {
        ALPHABET
            .get(usize::from(*value))
            .map(|byte| char::from(*byte))
    };
    format!(
        "{prefix}1{}",
        values.iter().filter_map(letter).collect::<String>()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_bytes() {
        let text = encode("age", &[7; 32]);
        assert_eq!(decode("age", &text), Some(vec![7; 32]));
        let known = "age1mwl864rp5rprvtu7g090hkjk3ajk25jf8twwz75ra9vmy6vcxyasqnc9nr";
        let bytes = decode("age", known).unwrap();
        assert_eq!((bytes.len(), encode("age", &bytes).as_str()), (32, known));
        for wrong in [
            "age1mwl864rp5rprvtu7g090hkjk3ajk25jf8twwz75ra9vmy6vcxyasqnc9nq",
            "age1",
            "age",
            "",
            "abc1mwl864",
            "age1é",
        ] {
            assert_eq!(decode("age", wrong), None, "{wrong}");
        }
    }
}
