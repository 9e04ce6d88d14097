//! How a registry wants to be talked to: the `WWW-Authenticate` header of its first answer.

use http_auth::{ChallengeParser, ChallengeRef};
use url::{Host, Url};

/// What a registry asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Challenge {
    /// Nothing, so far.
    None,
    /// User and password with each request.
    Basic,
    /// A token from a token service.
    Bearer(Bearer),
}

/// Where to get a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bearer {
    pub(crate) realm: Url,
    pub(crate) service: Option<String>,
    /// The right that the registry named, if it did.
    pub(crate) scope: Option<String>,
}

impl Challenge {
    /// The first challenge that we can answer. `secure` says whether the registry itself was
    /// reached over TLS: then its token service must be, too.
    ///
    /// # Errors
    /// A text when there is none that we can answer.
    pub(crate) fn select<'a>(
        headers: impl IntoIterator<Item = &'a str>,
        secure: bool,
    ) -> Result<Self, String> {
        let mut problem = None;
        for header in headers {
            // A scheme with bare data (Negotiate) ends the parser: what came before it counts.
            for challenge in ChallengeParser::new(header).map_while(Result::ok) {
                if challenge.scheme.eq_ignore_ascii_case("basic") {
                    return Ok(Self::Basic);
                }
                if challenge.scheme.eq_ignore_ascii_case("bearer") {
                    match Bearer::read(&challenge, secure) {
                        Ok(bearer) => return Ok(Self::Bearer(bearer)),
                        Err(error) => problem = Some(error),
                    }
                }
            }
        }
        Err(problem.unwrap_or_else(|| {
            "it wants a login but offers neither Basic nor Bearer authentication".to_owned()
        }))
    }

    /// The same, for any repository of the registry.
    pub(crate) fn without_scope(self) -> Self {
        match self {
            Self::Bearer(bearer) => Self::Bearer(Bearer {
                scope: None,
                ..bearer
            }),
            other => other,
        }
    }
}

impl Bearer {
    fn read(challenge: &ChallengeRef<'_>, secure: bool) -> Result<Self, String> {
        let parameter = |name: &str| {
            challenge
                .params
                .iter()
                .find(|(key, _)| key.eq_ignore_ascii_case(name))
                .map(|(_, value)| value.to_unescaped())
                .filter(|value| !value.is_empty())
        };
        let realm = parameter("realm").ok_or("its Bearer challenge has no realm")?;
        let realm = Url::parse(&realm).map_err(|_| "the realm of its challenge is not a URL")?;
        match realm.scheme() {
            "https" => {}
            "http" if !secure => {}
            _ => return Err("its token service is not reached over https".to_owned()),
        }
        // The addresses of cloud metadata services: a registry must not make us ask them.
        let link_local = match realm.host() {
            Some(Host::Ipv4(address)) => address.is_link_local(),
            Some(Host::Ipv6(address)) => {
                address.is_unicast_link_local()
                    || address.segments() == [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254]
            }
            Some(Host::Domain(_)) => false,
            None => true,
        };
        if link_local {
            return Err("its token service has a link-local address".to_owned());
        }
        Ok(Self {
            realm,
            service: parameter("service"),
            scope: parameter("scope"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selection() {
        let select = |headers: &[&str]| Challenge::select(headers.iter().copied(), true);
        assert_eq!(select(&["Basic realm=\"r\""]), Ok(Challenge::Basic));
        assert_eq!(
            select(&["Negotiate", "basic realm=x"]),
            Ok(Challenge::Basic)
        );
        let docker = "Bearer realm=\"https://auth.docker.io/token\",service=\"registry.docker.io\",\
                      scope=\"repository:a/b:pull\"";
        assert_eq!(
            select(&[docker]),
            Ok(Challenge::Bearer(Bearer {
                realm: Url::parse("https://auth.docker.io/token").unwrap(),
                service: Some("registry.docker.io".into()),
                scope: Some("repository:a/b:pull".into()),
            }))
        );
        for refused in [
            "",
            "Digest realm=\"r\"",
            "Bearer service=\"s\"",
            "Bearer realm=\"/token\"",
            "Bearer realm=\"http://auth.example/token\"",
            "Bearer realm=\"https://169.254.169.254/latest\"",
            "Bearer realm=\"https://[fd00:ec2::254]/latest\"",
            "Bearer realm=\"file:///etc/passwd\"",
        ] {
            assert!(select(&[refused]).is_err(), "{refused}");
        }
        let plain = "Bearer realm=\"http://127.0.0.1/token\"";
        assert!(Challenge::select([plain], false).is_ok());
    }
}
