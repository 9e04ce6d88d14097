//! Where a repository is and how it is reached.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use flux_lang::giturl::GitUrl;
use zeroize::Zeroizing;

use crate::auth::{Auth, AuthError};
use crate::mirror::MirrorName;

/// Everything needed to talk to one repository.
#[derive(Clone, Debug)]
pub struct Remote {
    /// The repository.
    pub url: GitUrl,
    /// Credentials and trust.
    pub auth: Auth,
    /// Limit for one operation as a whole (`spec.timeout`).
    pub timeout: Duration,
    /// Used instead of the proxies of the environment.
    pub proxy: Option<Proxy>,
    /// The mirror to read from, instead of the one that belongs to the URL and the credentials.
    pub mirror: Option<MirrorName>,
}

impl Remote {
    /// Silence of a server that is taken for death. Git servers that compute send a keep-alive
    /// every 5 s, so that half a minute is generous.
    const SILENCE: Duration = Duration::from_secs(30);

    /// The part of a long timeout that a server may be silent for: not all send keep-alives.
    const SILENT_PART: u32 = 2;

    /// A remote without proxy.
    pub fn new(url: GitUrl, auth: Auth, timeout: Duration) -> Self {
        Self {
            url,
            auth,
            timeout,
            proxy: None,
            mirror: None,
        }
    }

    /// Limit for becoming connected, and for each read of a listing, which takes a server no work.
    pub(crate) fn connect_timeout(&self) -> Duration {
        self.timeout.min(Self::SILENCE)
    }

    /// Limit for each read of what a server may have to compute first: a pack, or the verdict of its
    /// hooks. Who gives it more time than usual means this time.
    pub(crate) fn read_timeout(&self) -> Duration {
        self.timeout
            .min(Self::SILENCE.max(self.timeout / Self::SILENT_PART))
    }

    /// `host:port`.
    pub(crate) fn address(&self) -> String {
        format!("{}:{}", self.url.host(), self.url.port())
    }

    /// The repository as forges name it: `org/app`.
    pub(crate) fn repository(&self) -> String {
        let path = self.url.server_path();
        let path = path.trim_matches('/');
        path.strip_suffix(".git").unwrap_or(path).to_owned()
    }
}

/// How to reach a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyScheme {
    /// `CONNECT` over plain TCP.
    Http,
    /// `CONNECT` over TLS.
    Https,
    /// SOCKS version 5; the proxy resolves names.
    Socks5,
}

/// A proxy of a `proxySecretRef`.
#[derive(Clone)]
pub struct Proxy {
    pub(crate) scheme: ProxyScheme,
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) credentials: Option<(String, Zeroizing<String>)>,
    /// Whom it is trusted by, besides the system's authorities; PEM.
    pub(crate) ca: Option<Vec<u8>>,
}

impl Proxy {
    /// Reads a Secret with `address` (`http://`, `https://` or `socks5://`, where it may carry user
    /// and password), `username`, `password`, and for an https proxy of an authority of one's own
    /// `ca.crt`.
    ///
    /// # Errors
    /// When the address is missing or not such a URL, or only a password is given.
    pub fn from_secret(data: &BTreeMap<String, Vec<u8>>) -> Result<Self, AuthError> {
        let text = |key: &str| {
            data.get(key)
                .map(|bytes| String::from_utf8_lossy(bytes).trim().to_owned())
                .filter(|text| !text.is_empty())
        };
        let address = text("address").ok_or(AuthError::Proxy("it has no key 'address'"))?;
        let bad = AuthError::Proxy(
            "'address' is not of the form http://host:port, https://host:port or socks5://host:port",
        );
        let Ok(url) = url::Url::parse(&address) else {
            return Err(bad);
        };
        let (scheme, default_port) = match url.scheme() {
            "http" => (ProxyScheme::Http, 80),
            "https" => (ProxyScheme::Https, 443),
            "socks5" | "socks5h" => (ProxyScheme::Socks5, 1080),
            _ => return Err(bad),
        };
        let Some(host) = url.host_str().filter(|host| !host.is_empty()) else {
            return Err(bad);
        };
        // What the Secret has under names of its own goes before what the address carries.
        let in_address = |part: &str| {
            let part = flux_lang::giturl::decode(part);
            (!part.is_empty()).then_some(part)
        };
        let user = text("username").or_else(|| in_address(url.username()));
        let password = text("password").or_else(|| in_address(url.password()?));
        let credentials = match (user, password) {
            (Some(user), password) => Some((user, Zeroizing::new(password.unwrap_or_default()))),
            (None, Some(_)) => {
                return Err(AuthError::Proxy("'password' is set without 'username'"));
            }
            (None, None) => None,
        };
        Ok(Self {
            scheme,
            host: host.trim_matches(['[', ']']).to_owned(),
            port: url.port().unwrap_or(default_port),
            credentials,
            ca: text("ca.crt").map(String::into_bytes),
        })
    }

    /// The proxy's URL without user information.
    pub fn address(&self) -> String {
        let scheme = match self.scheme {
            ProxyScheme::Http => "http",
            ProxyScheme::Https => "https",
            // Names are resolved by the proxy, as the SOCKS client for ssh does it too.
            ProxyScheme::Socks5 => "socks5h",
        };
        if self.host.contains(':') {
            format!("{scheme}://[{}]:{}", self.host, self.port)
        } else {
            format!("{scheme}://{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({})", self.address())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::keys::{self, Algorithm};

    /// A remote with a fresh key and no known host.
    pub(crate) fn ssh_remote(url: &str) -> Remote {
        let url = GitUrl::parse(url).unwrap();
        let pair = keys::generate(Algorithm::Ed25519).unwrap();
        let data = BTreeMap::from([
            ("identity".to_owned(), pair.private_pem.as_bytes().to_vec()),
            ("known_hosts".to_owned(), Vec::new()),
        ]);
        let auth = Auth::from_secret(&url, &data).unwrap();
        Remote::new(url, auth, Duration::from_secs(5))
    }

    #[test]
    fn limits() {
        // timeout, limit for connecting, limit for a read
        for (timeout, connect, read) in [
            (1, 1, 1),
            (29, 29, 29),
            (30, 30, 30),
            (60, 30, 30),
            (90, 30, 45),
            (600, 30, 300),
        ] {
            let mut remote = ssh_remote("ssh://git@h/r");
            remote.timeout = Duration::from_secs(timeout);
            let limits = (remote.connect_timeout(), remote.read_timeout());
            let expected = (Duration::from_secs(connect), Duration::from_secs(read));
            assert_eq!(limits, expected, "{timeout}");
        }
    }

    #[test]
    fn proxies() {
        let parse = |pairs: &[(&str, &str)]| {
            let data = pairs
                .iter()
                .map(|(k, v)| ((*k).to_owned(), v.as_bytes().to_vec()))
                .collect();
            Proxy::from_secret(&data)
        };
        let proxy = parse(&[
            ("address", "http://p:3128\n"),
            ("username", "u"),
            ("password", "s3cret"),
        ]);
        let proxy = proxy.unwrap();
        assert_eq!(proxy.address(), "http://p:3128");
        assert!(!format!("{proxy:?}").contains("s3cret"));
        assert_eq!(parse(&[("address", "socks5://p")]).unwrap().port, 1080);
        for (pairs, user, password) in [
            (&[("address", "http://u:p%40ss@p:1")][..], "u", "p@ss"),
            (
                &[("address", "http://u:p@p:1"), ("username", "v")],
                "v",
                "p",
            ),
        ] {
            let (found, secret) = parse(pairs).unwrap().credentials.unwrap();
            assert_eq!((found.as_str(), secret.as_str()), (user, password));
        }
        for bad in [
            &[][..],
            &[("address", "p:3128")],
            &[("address", "ftp://p")],
            &[("address", "http://p"), ("password", "x")],
        ] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }
}
