//! SSH key pairs: made, read and shown as Flux does it.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use russh::keys::ssh_key::private::KeypairData;
use russh::keys::{self, EcdsaCurve, HashAlg, PrivateKey};
use zeroize::Zeroizing;

/// What kind of key to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// RSA with a modulus of so many bits.
    Rsa {
        /// 1024 or more, a multiple of 8.
        bits: usize,
    },
    /// ECDSA.
    Ecdsa {
        /// The curve.
        curve: Curve,
    },
    /// Ed25519.
    Ed25519,
}

/// NIST curves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Curve {
    /// 256 bits.
    P256,
    /// 384 bits.
    P384,
    /// 521 bits.
    P521,
}

/// Why a key cannot be made or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Too few or odd RSA bits.
    #[error("RSA keys have at least 1024 bits, in multiples of 8, not {0}")]
    Bits(usize),
    /// The key has a pass phrase that was not given.
    #[error("the private key is encrypted: add its pass phrase as 'password'")]
    Encrypted,
    /// The pass phrase is wrong.
    #[error(
        "the private key cannot be decrypted: the pass phrase in 'password' is wrong, or the encryption is not supported ({0})"
    )]
    PassPhrase(String),
    /// Not a private key.
    #[error(
        "not a private key in PEM form (PKCS#8, PKCS#1, SEC1 or OpenSSH): {0}; `ssh-keygen -t ed25519` makes one"
    )]
    Malformed(String),
    /// The library failed.
    #[error("cannot make the key: {0}")]
    Generate(String),
}

/// A key pair in the forms that a Secret holds.
#[derive(Clone)]
pub struct KeyPair {
    /// PEM, 64 columns, LF. PKCS#8 when made here, the given text when read.
    pub private_pem: Zeroizing<String>,
    /// `type base64`, without comment and newline.
    pub public_openssh: String,
    /// `SHA256:…` of the public key.
    pub fingerprint: String,
}

impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyPair({})", self.public_openssh)
    }
}

/// Makes a key pair. Takes seconds for large RSA keys: not for an async task.
///
/// # Errors
/// [`KeyError::Bits`] for RSA sizes that Flux refuses.
pub fn generate(algorithm: Algorithm) -> Result<KeyPair, KeyError> {
    let failed = |e: &dyn fmt::Display| KeyError::Generate(e.to_string());
    let mut rng = keys::key::safe_rng();
    let key = match algorithm {
        Algorithm::Rsa { bits } => {
            if bits < 1024 || bits % 8 != 0 {
                return Err(KeyError::Bits(bits));
            }
            keys::ssh_key::private::RsaKeypair::random(&mut rng, bits)
                .and_then(|pair| PrivateKey::new(KeypairData::Rsa(pair), ""))
        }
        Algorithm::Ecdsa { curve } => {
            let curve = match curve {
                Curve::P256 => EcdsaCurve::NistP256,
                Curve::P384 => EcdsaCurve::NistP384,
                Curve::P521 => EcdsaCurve::NistP521,
            };
            PrivateKey::random(&mut rng, keys::Algorithm::Ecdsa { curve })
        }
        Algorithm::Ed25519 => PrivateKey::random(&mut rng, keys::Algorithm::Ed25519),
    }
    .map_err(|e| failed(&e))?;
    let der = Zeroizing::new(pkcs8(&key).map_err(|e| failed(&e))?);
    pair(&key, pem(&der))
}

/// Reads a private key; the pair keeps the given text.
///
/// # Errors
/// [`KeyError`] says whether the text or the pass phrase is at fault.
pub fn from_pem(pem: &str, pass_phrase: Option<&str>) -> Result<KeyPair, KeyError> {
    let key = decode(pem, pass_phrase)?;
    pair(&key, Zeroizing::new(pem.to_owned()))
}

/// Reads a private key. A pass phrase for a key that needs none is ignored.
pub(crate) fn decode(pem: &str, pass_phrase: Option<&str>) -> Result<PrivateKey, KeyError> {
    // The decoder wants each line bare; Secrets are often indented or have CRLF.
    let text: Zeroizing<String> =
        Zeroizing::new(pem.lines().flat_map(|line| [line.trim(), "\n"]).collect());
    let plain = match keys::decode_secret_key(&text, None) {
        Ok(key) => return Ok(key),
        Err(error) => error,
    };
    let encrypted = matches!(plain, keys::Error::KeyIsEncrypted) || text.contains("ENCRYPTED");
    match pass_phrase {
        Some(pass_phrase) => keys::decode_secret_key(&text, Some(pass_phrase)).map_err(|e| {
            if encrypted {
                KeyError::PassPhrase(e.to_string())
            } else {
                KeyError::Malformed(plain.to_string())
            }
        }),
        None if encrypted => Err(KeyError::Encrypted),
        None => Err(KeyError::Malformed(plain.to_string())),
    }
}

fn pair(key: &PrivateKey, private_pem: Zeroizing<String>) -> Result<KeyPair, KeyError> {
    let mut public = key.public_key().clone();
    public.set_comment("");
    let public_openssh = public
        .to_openssh()
        .map_err(|e| KeyError::Generate(e.to_string()))?
        .trim_end()
        .to_owned();
    Ok(KeyPair {
        private_pem,
        public_openssh,
        fingerprint: key.fingerprint(HashAlg::Sha256).to_string(),
    })
}

fn pkcs8(key: &PrivateKey) -> Result<Vec<u8>, keys::Error> {
    // RFC 8410 version 1: the library writes version 2 with the public key attached, which
    // OpenSSL before 3.x and OpenSSH do not read.
    if let KeypairData::Ed25519(pair) = key.key_data() {
        const PREFIX: [u8; 16] = [
            0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22,
            0x04, 0x20,
        ];
        return Ok([&PREFIX[..], &pair.private.to_bytes()].concat());
    }
    keys::pkcs8::encode_pkcs8(key)
}

/// PKCS#8 PEM. The library's own writer makes 76 columns with CRLF, which OpenSSH refuses.
fn pem(der: &[u8]) -> Zeroizing<String> {
    let base64 = Zeroizing::new(STANDARD.encode(der));
    let mut pem = Zeroizing::new(String::with_capacity(base64.len() + base64.len() / 64 + 64));
    pem.push_str("-----BEGIN PRIVATE KEY-----\n");
    for (index, c) in base64.chars().enumerate() {
        if index > 0 && index % 64 == 0 {
            pem.push('\n');
        }
        pem.push(c);
    }
    pem.push_str("\n-----END PRIVATE KEY-----\n");
    pem
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pass phrase "test".
    const ENCRYPTED: &str = "-----BEGIN OPENSSH PRIVATE KEY-----
b3BlbnNzaC1rZXktdjEAAAAACmFlczI1Ni1jdHIAAAAGYmNyeXB0AAAAGAAAABD1phlku5
A2G7Q9iP+DcOc9AAAAEAAAAAEAAAAzAAAAC3NzaC1lZDI1NTE5AAAAIHeLC1lWiCYrXsf/
85O/pkbUFZ6OGIt49PX3nw8iRoXEAAAAkKRF0st5ZI7xxo9g6A4m4l6NarkQre3mycqNXQ
dP3jryYgvsCIBAA5jMWSjrmnOTXhidqcOy4xYCrAttzSnZ/cUadfBenL+DQq6neffw7j8r
0tbCxVGp6yCQlKrgSZf6c0Hy7dNEIU2bJFGxLe6/kWChcUAt/5Ll5rI7DVQPJdLgehLzvv
sJWR7W+cGvJ/vLsw==
-----END OPENSSH PRIVATE KEY-----";

    #[test]
    fn every_algorithm_reads_back() {
        let ecdsa = |curve| Algorithm::Ecdsa { curve };
        let cases = [
            (Algorithm::Ed25519, "ssh-ed25519 "),
            (ecdsa(Curve::P256), "ecdsa-sha2-nistp256 "),
            (ecdsa(Curve::P384), "ecdsa-sha2-nistp384 "),
            (ecdsa(Curve::P521), "ecdsa-sha2-nistp521 "),
            (Algorithm::Rsa { bits: 1024 }, "ssh-rsa "),
        ];
        for (algorithm, prefix) in cases {
            let pair = generate(algorithm).unwrap();
            assert!(
                pair.public_openssh.starts_with(prefix),
                "{}",
                pair.public_openssh
            );
            assert_eq!(pair.public_openssh.split(' ').count(), 2);
            assert!(pair.private_pem.lines().all(|line| line.len() <= 64));
            assert!(!pair.private_pem.contains('\r') && pair.private_pem.ends_with("-----\n"));
            let indented = pair.private_pem.replace('\n', "\r\n  ");
            assert_eq!(
                from_pem(&indented, None).unwrap().fingerprint,
                pair.fingerprint
            );
            assert!(!format!("{pair:?}").contains("PRIVATE"));
        }
        assert!(matches!(
            generate(Algorithm::Rsa { bits: 1023 }),
            Err(KeyError::Bits(1023))
        ));
    }

    #[test]
    fn pass_phrases() {
        assert!(from_pem(ENCRYPTED, Some("test")).is_ok());
        assert!(matches!(
            from_pem(ENCRYPTED, None),
            Err(KeyError::Encrypted)
        ));
        assert!(matches!(
            from_pem(ENCRYPTED, Some("x")),
            Err(KeyError::PassPhrase(_))
        ));
        let plain = generate(Algorithm::Ed25519).unwrap();
        assert!(from_pem(&plain.private_pem, Some("not needed")).is_ok());
        for bad in [
            "",
            "junk",
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----",
        ] {
            assert!(
                matches!(from_pem(bad, Some("x")), Err(KeyError::Malformed(_))),
                "{bad}"
            );
        }
    }
}
