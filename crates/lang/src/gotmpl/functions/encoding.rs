//! Sprig's encodings and sums.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Call, Function, Result, base32, exact};

pub(super) static FUNCTIONS: [Function; 8] = [
    exact("b64enc", 1, |call| {
        Ok(STANDARD.encode(call.text(0)?).into())
    }),
    exact("b64dec", 1, |call| {
        let bytes = STANDARD
            .decode(call.text(0)?.replace(['\r', '\n'], ""))
            .map_err(|error| format!("not base64: {error}"))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned().into())
    }),
    exact("sha1sum", 1, |call| {
        sum(call, &ring::digest::SHA1_FOR_LEGACY_USE_ONLY)
    }),
    exact("sha256sum", 1, |call| sum(call, &ring::digest::SHA256)),
    exact("sha512sum", 1, |call| sum(call, &ring::digest::SHA512)),
    exact("adler32sum", 1, |call| {
        let (mut a, mut b) = (1_u32, 0_u32);
        for byte in call.text(0)?.bytes() {
            a = (a + u32::from(byte)) % 65_521;
            b = (b + a) % 65_521;
        }
        Ok(((b << 16) | a).to_string().into())
    }),
    exact("b32enc", 1, |call| {
        Ok(base32::encode(call.text(0)?.as_bytes()).into())
    }),
    exact("b32dec", 1, |call| {
        let bytes = base32::decode(&call.text(0)?.replace(['\r', '\n'], ""))
            .ok_or("not base32: letters A to Z and digits 2 to 7, with = up to a multiple of 8")?;
        Ok(String::from_utf8_lossy(&bytes).into_owned().into())
    }),
];

fn sum(call: &Call<'_>, algorithm: &'static ring::digest::Algorithm) -> Result {
    let digest = ring::digest::digest(algorithm, call.text(0)?.as_bytes());
    let mut hex = String::with_capacity(128);
    for byte in digest.as_ref() {
        write!(hex, "{byte:02x}").map_err(|error| error.to_string())?;
    }
    Ok(hex.into())
}
