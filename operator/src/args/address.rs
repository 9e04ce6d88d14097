//! Addresses to listen at, in the forms that Flux's flags have: `HOST:PORT` and `:PORT`.

use std::fmt;
use std::io;
use std::str::FromStr;

use tokio::net::TcpListener;

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Name or address of an interface; empty for all of them.
    host: String,
    port: u16,
}

impl Address {
    /// Listens there; on all interfaces by IPv6, which brings IPv4 with it, and by IPv4 alone where a
    /// machine has no IPv6.
    ///
    /// # Errors
    /// When the name cannot be resolved, or the port is in use.
    pub async fn listen(&self) -> io::Result<TcpListener> {
        if !self.host.is_empty() {
            return TcpListener::bind((self.host.as_str(), self.port)).await;
        }
        match TcpListener::bind(("::", self.port)).await {
            Err(error) if error.kind() != io::ErrorKind::AddrInUse => {
                TcpListener::bind(("0.0.0.0", self.port)).await
            }
            listener => listener,
        }
    }

    /// Whether it stands for all interfaces.
    pub fn is_everywhere(&self) -> bool {
        matches!(self.host.as_str(), "" | "::" | "0.0.0.0")
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = "write HOST:PORT, or :PORT for all interfaces";
        let (host, port) = text
            .rsplit_once(':')
            .ok_or_else(|| format!("'{text}' has no port; {form}"))?;
        let port = port
            .parse()
            .map_err(|_| format!("'{port}' is no port; {form}"))?;
        let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
        if bare.is_none() && host.contains(':') {
            return Err(format!("'{text}': write [{host}]:{port}"));
        }
        let host = bare.unwrap_or(host).to_owned();
        Ok(Self { host, port })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(out, "[{}]:{}", self.host, self.port),
            false => write!(out, "{}:{}", self.host, self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_flux_are_read() {
        for (text, everywhere) in [
            (":8080", true),
            ("0.0.0.0:8080", true),
            ("[::]:8080", true),
            ("127.0.0.1:0", false),
            ("localhost:9440", false),
            ("[::1]:80", false),
        ] {
            let address: Address = text.parse().unwrap();
            assert_eq!(address.to_string(), text);
            assert_eq!(address.is_everywhere(), everywhere, "{text}");
        }
        for (text, word) in [
            ("8080", "no port"),
            ("a:b", "'b' is no port"),
            ("::1:80", "write [::1]:80"),
            (":70000", "no port"),
        ] {
            let error = text.parse::<Address>().unwrap_err();
            assert!(error.contains(word), "{error}");
        }
    }

    #[tokio::test]
    async fn all_interfaces_are_those_of_both_families() {
        let address: Address = ":0".parse().unwrap();
        let port = address.listen().await.unwrap().local_addr().unwrap().port();
        let listener = Address {
            host: String::new(),
            port,
        };
        let listener = listener.listen().await.unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(
            tokio::net::TcpStream::connect(("127.0.0.1", port))
                .await
                .is_ok()
        );
    }
}
