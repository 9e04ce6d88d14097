//! The checksum over all values of a file: a value that was taken from another file, left out or
//! added shows by it.

use ring::digest::{Context, SHA512};
use std::fmt::Write as _;

use super::SopsError;
use super::cipher::DataKey;
use super::metadata::Metadata;

/// What the checksum begins with when it is over encrypted values only.
const ONLY_ENCRYPTED: [u8; 32] = [
    0x8a, 0x3f, 0xd2, 0xad, 0x54, 0xce, 0x66, 0x52, 0x7b, 0x10, 0x34, 0xf3, 0xd1, 0x47, 0xbe, 0x0b,
    0x0b, 0x97, 0x5b, 0x3b, 0xf4, 0x4f, 0x72, 0xc6, 0xfd, 0xad, 0xec, 0x81, 0x76, 0xf2, 0x7d, 0x69,
];

/// The checksum while a file is read.
pub(super) struct Mac {
    context: Context,
    only_encrypted: bool,
}

impl Mac {
    pub(super) fn new(metadata: &Metadata) -> Self {
        let mut context = Context::new(&SHA512);
        if metadata.mac_only_encrypted {
            context.update(&ONLY_ENCRYPTED);
        }
        Self {
            context,
            only_encrypted: metadata.mac_only_encrypted,
        }
    }

    /// Adds a value, decrypted.
    pub(super) fn add(&mut self, content: &[u8], encrypted: bool) {
        if encrypted || !self.only_encrypted {
            self.context.update(content);
        }
    }

    /// Compares it with the one in the file.
    pub(super) fn verify(self, metadata: &Metadata, key: &DataKey) -> Result<(), SopsError> {
        let stored = key
            .open(&metadata.mac, &metadata.last_modified)
            .map_err(|_| SopsError::Metadata { field: "mac" })?;
        let mut found = String::new();
        for byte in self.context.finish().as_ref() {
            // Writing to a String cannot fail.
            let _ = write!(found, "{byte:02X}");
        }
        if stored.content == found.as_bytes() {
            Ok(())
        } else {
            Err(SopsError::Mac)
        }
    }
}
