//! Git's pkt-line framing: four hexadecimal digits of length, then the data.

use bytes::{Bytes, BytesMut};

/// The longest packet: 65,520 bytes including its length.
const MAX: usize = 65_520;

/// A frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Packet {
    /// `0000`: end of a section or message.
    Flush,
    /// `0001`: between parts of a version 2 message.
    Delimiter,
    /// `0002`: end of a stateless response.
    End,
    /// A line, with its newline if it has one.
    Data(Bytes),
}

impl Packet {
    /// The data as text without the newline; none for other frames.
    pub(crate) fn line(&self) -> Option<String> {
        match self {
            Self::Data(data) => {
                let text = String::from_utf8_lossy(data);
                Some(text.strip_suffix('\n').unwrap_or(&text).to_owned())
            }
            Self::Flush | Self::Delimiter | Self::End => None,
        }
    }
}

/// What comes is not pkt-line. Holds the beginning of what came instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not the Git protocol: it sends '{0}'")]
pub(crate) struct PktError(pub(crate) String);

/// Cuts a byte stream into frames.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    buffer: BytesMut,
}

impl Decoder {
    /// Adds received bytes.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Takes out the next frame; none when it is not complete yet.
    pub(crate) fn next(&mut self) -> Result<Option<Packet>, PktError> {
        let Some(head) = self.buffer.first_chunk::<4>() else {
            return Ok(None);
        };
        let length = std::str::from_utf8(head)
            .ok()
            .filter(|text| text.bytes().all(|b| b.is_ascii_hexdigit()))
            .and_then(|text| usize::from_str_radix(text, 16).ok())
            .filter(|&length| length != 3 && length <= MAX)
            .ok_or_else(|| self.garbage())?;
        let special = match length {
            0 => Some(Packet::Flush),
            1 => Some(Packet::Delimiter),
            2 => Some(Packet::End),
            _ => None,
        };
        if let Some(packet) = special {
            let _ = self.buffer.split_to(4);
            return Ok(Some(packet));
        }
        if self.buffer.len() < length {
            return Ok(None);
        }
        let frame = self.buffer.split_to(length).freeze();
        Ok(Some(Packet::Data(frame.slice(4..))))
    }

    fn garbage(&self) -> PktError {
        let start = self
            .buffer
            .get(..self.buffer.len().min(60))
            .unwrap_or_default();
        PktError(crate::said::tidy(&String::from_utf8_lossy(start)))
    }
}

/// A frame with a line of text; the newline is added.
pub(crate) fn line(text: &str) -> Vec<u8> {
    data(&format!("{text}\n"))
}

/// A frame with a text as it is.
pub(crate) fn data(text: &str) -> Vec<u8> {
    format!("{:04x}{text}", text.len() + 4).into_bytes()
}

/// `0000`.
pub(crate) const FLUSH: &[u8] = b"0000";

/// `0001`.
pub(crate) const DELIMITER: &[u8] = b"0001";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(bytes: &[u8]) -> Result<Vec<Packet>, PktError> {
        let mut decoder = Decoder::default();
        decoder.push(bytes);
        let mut packets = Vec::new();
        while let Some(packet) = decoder.next()? {
            packets.push(packet);
        }
        Ok(packets)
    }

    #[test]
    fn frames() {
        let data = |text: &'static str| Packet::Data(Bytes::from_static(text.as_bytes()));
        let cases: &[(&[u8], Vec<Packet>)] = &[
            (b"0000", vec![Packet::Flush]),
            (b"00010002", vec![Packet::Delimiter, Packet::End]),
            (b"0004", vec![data("")]),
            (b"0006a\n0000", vec![data("a\n"), Packet::Flush]),
            (b"000Ahello\n", vec![data("hello\n")]),
            (b"000", vec![]),
            (b"000ahell", vec![]),
        ];
        for (bytes, expected) in cases {
            assert_eq!(all(bytes).as_ref(), Ok(expected), "{bytes:?}");
        }
        assert_eq!(line("done"), b"0009done\n");
        assert_eq!(super::data("done"), b"0008done");
    }

    #[test]
    fn garbage() {
        for bytes in ["0003", "HTTP/1.1 200", "fff1", "<html>\n<body>", "+001"] {
            let error = all(bytes.as_bytes()).unwrap_err();
            assert!(
                error.to_string().starts_with("not the Git protocol"),
                "{error}"
            );
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_split_gives_the_same(lines in proptest::collection::vec("[a-z]{0,20}", 0..8), at in 0usize..200) {
            let mut bytes: Vec<u8> = lines.iter().flat_map(|text| line(text)).collect();
            bytes.extend_from_slice(FLUSH);
            let at = at.min(bytes.len());
            let mut decoder = Decoder::default();
            let mut got = Vec::new();
            for part in [&bytes[..at], &bytes[at..]] {
                decoder.push(part);
                while let Some(packet) = decoder.next().unwrap() {
                    got.extend(packet.line());
                }
            }
            prop_assert_eq!(got, lines);
            prop_assert!(decoder.buffer.is_empty());
        }
    }
}
