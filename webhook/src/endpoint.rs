//! How the API server reaches this program.

use http::Uri;
use serde_json::{Value, json};

/// An address for the API server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// A Service in the cluster.
    Service {
        /// Name of the Service
        name: String,
        /// Its namespace
        namespace: String,
        /// Its port
        port: u16,
    },
    /// A process outside.
    Url {
        /// `https://host:port`, without a slash at the end
        base: String,
        /// Its host: a name or an IP address without brackets
        host: String,
    },
}

/// An address that no API server would call.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("--url {url:?} is not of the form https://HOST:PORT: {reason}")]
pub struct EndpointError {
    url: String,
    reason: &'static str,
}

impl Endpoint {
    /// A Service.
    #[must_use]
    pub fn service(name: &str, namespace: &str, port: u16) -> Self {
        Self::Service {
            name: name.to_owned(),
            namespace: namespace.to_owned(),
            port,
        }
    }

    /// An address outside a cluster.
    ///
    /// # Errors
    /// [`EndpointError`] for anything but `https://HOST[:PORT]`.
    pub fn url(url: &str) -> Result<Self, EndpointError> {
        let error = |reason| EndpointError {
            url: url.to_owned(),
            reason,
        };
        let uri: Uri = url.parse().map_err(|_| error("it is not a URL"))?;
        if uri.scheme_str() != Some("https") {
            return Err(error("the API server calls webhooks over https only"));
        }
        let authority = uri.authority().ok_or_else(|| error("it has no host"))?;
        if authority.as_str().contains('@') {
            return Err(error("the API server allows no user in it"));
        }
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(error("paths are added by this program"));
        }
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        Ok(Self::Url {
            base: format!("https://{authority}"),
            host,
        })
    }

    /// The names that the certificate has to carry. The API server verifies `NAME.NAMESPACE.svc`
    /// of a Service; the others are for people who look with curl.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        match self {
            Self::Service {
                name, namespace, ..
            } => vec![
                format!("{name}.{namespace}.svc"),
                format!("{name}.{namespace}.svc.cluster.local"),
                format!("{name}.{namespace}"),
                name.clone(),
            ],
            Self::Url { host, .. } => vec![host.clone()],
        }
    }

    /// `clientConfig` of a webhook, without the bundle.
    #[must_use]
    pub fn client_config(&self, path: &str) -> Value {
        match self {
            Self::Service {
                name,
                namespace,
                port,
            } => json!({
                "service": {"name": name, "namespace": namespace, "port": port, "path": path},
            }),
            Self::Url { base, .. } => json!({"url": format!("{base}{path}")}),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_checked() {
        let host = |url| match Endpoint::url(url) {
            Ok(Endpoint::Url { host, .. }) => host,
            other => format!("{other:?}"),
        };
        assert_eq!(host("https://127.0.0.1:9443"), "127.0.0.1");
        assert_eq!(host("https://[::1]:9443/"), "::1");
        assert_eq!(host("https://webhook.example.com"), "webhook.example.com");
        for url in [
            "http://a:1",
            "https://a/b",
            "a:1",
            "https://u:p@a",
            "",
            "https://a?b",
        ] {
            assert!(Endpoint::url(url).is_err(), "{url}");
        }
    }

    #[test]
    fn the_api_server_is_told_the_path() {
        let url = Endpoint::url("https://127.0.0.1:9443/").expect("valid");
        assert_eq!(
            url.client_config("/mutate"),
            json!({"url": "https://127.0.0.1:9443/mutate"})
        );
        let service = Endpoint::service("hook", "flux-system", 443).client_config("/validate");
        assert_eq!(service["service"]["path"], "/validate");
    }
}
