//! The Secret with which the cluster reads the repository.

use std::collections::BTreeMap;

use flux_git::GitUrl;
use k8s_openapi::api::core::v1::Secret;

use super::access::Person;
use crate::cluster::{Cluster, Scope, Selection};
use crate::commands::create::git_credentials::Credentials;
use crate::error::Error;
use crate::output;

/// Lets the key of a cluster into a repository; how, depends on where that is.
pub(super) trait Provider {
    /// Gives the key access.
    ///
    /// # Errors
    /// If it is refused.
    async fn give_access(&self, public_key: &str) -> Result<(), Error>;
}

/// What the cluster's access consists of.
pub(super) struct Source<'a> {
    pub(super) url: &'a GitUrl,
    pub(super) namespace: &'a str,
    pub(super) name: &'a str,
    pub(super) person: &'a Person<'a>,
    /// The password or token of the person, instead of a key of the cluster's own.
    pub(super) token_auth: bool,
}

impl Source<'_> {
    /// Makes the Secret, unless it is there and still good.
    ///
    /// # Errors
    /// If a key cannot be made or gets no access, or the API server refuses.
    pub(super) async fn ensure(
        &self,
        cluster: &Cluster,
        provider: &impl Provider,
    ) -> Result<(), Error> {
        let what = format!("{}/{}", self.namespace, self.name);
        output::action(format!("determining if source secret {what:?} exists"));
        let found = self.find(cluster).await?;
        let given = self.given()?;
        if found.as_ref().is_some_and(|found| is_good(found, &given)) {
            output::success("source secret up to date");
            return Ok(());
        }
        output::action("generating source secret");
        let credentials = match given {
            Given::Nothing => {
                let keys = self.person.keys;
                let credentials = Credentials::ssh(self.url, keys, None).await?;
                self.admit(&credentials, provider).await?;
                credentials
            }
            Given::Key(_) => {
                let (keys, pass_phrase) = (self.person.keys, self.person.password);
                let credentials = Credentials::ssh(self.url, keys, pass_phrase).await?;
                if let Some(key) = &credentials.public_key {
                    output::success(format!("public key: {key}"));
                }
                credentials
            }
            Given::Login(credentials) => *credentials,
        };
        output::action(format!("applying source secret {what:?}"));
        let labels = BTreeMap::new();
        credentials
            .apply(cluster, self.namespace, self.name, &labels)
            .await?;
        output::success("reconciled source secret");
        Ok(())
    }

    async fn admit(
        &self,
        credentials: &Credentials,
        provider: &impl Provider,
    ) -> Result<(), Error> {
        let Some(key) = &credentials.public_key else {
            return Ok(());
        };
        output::success(format!("public key: {key}"));
        provider.give_access(key).await
    }

    async fn find(&self, cluster: &Cluster) -> Result<Option<Secret>, Error> {
        let fields = format!("metadata.name={}", self.name);
        let selection = Selection {
            fields: Some(&fields),
            labels: None,
        };
        let scope = Scope::Namespace(self.namespace);
        let all = cluster.list_typed::<Secret>(scope, selection).await?;
        Ok(all.into_iter().next())
    }

    /// What the flags say about the Secret.
    fn given(&self) -> Result<Given, Error> {
        if self.token_auth || !self.url.is_ssh() {
            let login = self.person.login();
            return Ok(Given::Login(Box::new(Credentials::web(&login)?)));
        }
        let Some(path) = self.person.keys.private_key_file() else {
            return Ok(Given::Nothing);
        };
        let key = std::fs::read(path).map_err(|source| Error::File {
            what: "failed to open private key file",
            path: path.display().to_string(),
            source,
        })?;
        Ok(Given::Key(key))
    }
}

/// What the Secret has to hold.
enum Given {
    /// Any key: one is made where there is none.
    Nothing,
    /// This private key.
    Key(Vec<u8>),
    /// This login.
    Login(Box<Credentials>),
}

/// Whether a Secret that exists can stay as it is.
fn is_good(secret: &Secret, given: &Given) -> bool {
    let empty = BTreeMap::new();
    let data = secret.data.as_ref().unwrap_or(&empty);
    let has = |key: &str| data.get(key).is_some_and(|value| !value.0.is_empty());
    match given {
        Given::Nothing => has("identity") && has("known_hosts"),
        Given::Key(key) => {
            data.get("identity").is_some_and(|value| value.0 == *key) && has("known_hosts")
        }
        Given::Login(credentials) => credentials
            .data()
            .iter()
            .all(|(key, value)| data.get(key).is_some_and(|found| found.0 == *value)),
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::ByteString;

    use super::*;
    use crate::cli::SecretText;
    use crate::commands::create::git_credentials::WebLogin;

    #[test]
    fn a_secret_is_kept_while_it_is_good() {
        let secret = |pairs: &[(&str, &str)]| Secret {
            data: Some(
                pairs
                    .iter()
                    .map(|(k, v)| ((*k).to_owned(), ByteString(v.as_bytes().to_vec())))
                    .collect(),
            ),
            ..Secret::default()
        };
        let ssh = secret(&[("identity", "key"), ("known_hosts", "h")]);
        assert!(is_good(&ssh, &Given::Nothing));
        assert!(is_good(&ssh, &Given::Key(b"key".to_vec())));
        assert!(!is_good(&ssh, &Given::Key(b"other".to_vec())));
        assert!(!is_good(&Secret::default(), &Given::Nothing));

        let password = SecretText::from("new");
        let login = WebLogin {
            username: Some("git"),
            password: Some(&password),
            ..WebLogin::default()
        };
        let login = || Given::Login(Box::new(Credentials::web(&login).unwrap()));
        let kept = secret(&[("username", "git"), ("password", "new")]);
        assert!(is_good(&kept, &login()));
        let old = secret(&[("username", "git"), ("password", "old")]);
        assert!(!is_good(&old, &login()), "a changed password is stored");
        assert!(!is_good(&ssh, &login()));
    }
}
