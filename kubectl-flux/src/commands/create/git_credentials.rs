//! What a Secret for a Git repository holds: a deploy key and the host keys, or a password or
//! token; made from flags, and written to the cluster without leaving stale keys behind.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use flux_git::hostkey::{self, HostKey};
use flux_git::keys::{self, Algorithm, Curve};
use flux_lang::giturl::GitUrl;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{ApiResource, DynamicObject};
use serde_json::{Value, json};

use crate::cli::{SecretText, values};
use crate::cluster::Cluster;
use crate::error::Error;
use crate::output;

/// How long a server may take to show its host keys.
const SCAN_TIMEOUT: Duration = Duration::from_secs(30);

/// Keys that some way to authenticate uses; an update removes those that are not set anew.
const AUTH_KEYS: [&str; 8] = [
    "identity",
    "identity.pub",
    "known_hosts",
    "username",
    "password",
    "bearerToken",
    "ca.crt",
    "caFile",
];

/// Flags about the deploy key and the keys of the server.
#[derive(Clone, Debug, clap::Args)]
pub(in crate::commands) struct KeyFlags {
    /// Kind of the new key: rsa, ecdsa or ed25519
    #[arg(long, value_name = "NAME", default_value = "ecdsa", value_parser = key_algorithm)]
    ssh_key_algorithm: String,
    /// Size of a new RSA key
    #[arg(long, value_name = "BITS", default_value = "2048", value_parser = rsa_bits)]
    ssh_rsa_bits: usize,
    /// Curve of a new ECDSA key: p256, p384 or p521
    #[arg(long, value_name = "NAME", default_value = "p384", value_parser = ecdsa_curve)]
    ssh_ecdsa_curve: String,
    /// File with a private key to use instead of a new one
    #[arg(long, value_name = "FILE")]
    private_key_file: Option<PathBuf>,
    /// File with the host keys of the server, in the format of known_hosts; the server is not asked
    /// then
    #[arg(long, value_name = "FILE")]
    known_hosts_file: Option<PathBuf>,
}

impl KeyFlags {
    /// The same flags with another private key.
    pub(in crate::commands) fn with_private_key(&self, path: PathBuf) -> Self {
        Self {
            private_key_file: Some(path),
            ..self.clone()
        }
    }

    /// The key to use instead of a new one.
    pub(in crate::commands) fn private_key_file(&self) -> Option<&PathBuf> {
        self.private_key_file.as_ref()
    }

    fn algorithm(&self) -> Algorithm {
        match self.ssh_key_algorithm.as_str() {
            "rsa" => Algorithm::Rsa {
                bits: self.ssh_rsa_bits,
            },
            "ed25519" => Algorithm::Ed25519,
            _ => Algorithm::Ecdsa {
                curve: match self.ssh_ecdsa_curve.as_str() {
                    "p256" => Curve::P256,
                    "p521" => Curve::P521,
                    _ => Curve::P384,
                },
            },
        }
    }
}

fn key_algorithm(text: &str) -> Result<String, String> {
    values::one_of(
        text,
        &["rsa", "ecdsa", "ed25519"],
        "unsupported public key algorithm",
    )
}

fn ecdsa_curve(text: &str) -> Result<String, String> {
    values::one_of(text, &["p256", "p384", "p521"], "unsupported curve")
}

fn rsa_bits(text: &str) -> Result<usize, String> {
    let bits: usize = text
        .parse()
        .map_err(|_| format!("strconv.ParseInt: parsing {text:?}: invalid syntax"))?;
    if bits < 1024 {
        Err("RSA key bit size must be at least 1024".to_owned())
    } else if !bits.is_multiple_of(8) {
        Err("RSA key bit size must be a multiples of 8".to_owned())
    } else {
        Ok(bits)
    }
}

/// Who to be over HTTP(S).
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::commands) struct WebLogin<'a> {
    pub(in crate::commands) username: Option<&'a str>,
    pub(in crate::commands) password: Option<&'a SecretText>,
    pub(in crate::commands) bearer_token: Option<&'a SecretText>,
    pub(in crate::commands) ca_file: Option<&'a PathBuf>,
}

impl WebLogin<'_> {
    /// Whether there is anything to put into a Secret.
    pub(in crate::commands) fn is_given(&self) -> bool {
        self.has_credentials() || self.ca_file.is_some()
    }

    /// Whether anything was given that proves who we are.
    pub(in crate::commands) fn has_credentials(&self) -> bool {
        self.username.is_some() || self.password.is_some() || self.bearer_token.is_some()
    }
}

/// Contents of the Secret.
#[derive(Debug, Default)]
pub(in crate::commands) struct Credentials {
    fields: BTreeMap<&'static str, SecretText>,
    /// Public half of the deploy key, as forges want it.
    pub(in crate::commands) public_key: Option<String>,
    /// What the server identified itself with.
    pub(in crate::commands) known_hosts: Option<String>,
}

impl Credentials {
    /// Credentials for SSH: a key and the host keys of the server, which is contacted.
    ///
    /// # Errors
    /// If the key file cannot be used or the server does not show its keys.
    pub(in crate::commands) async fn ssh(
        url: &GitUrl,
        flags: &KeyFlags,
        pass_phrase: Option<&SecretText>,
    ) -> Result<Self, Error> {
        let pass_phrase = pass_phrase
            .map(SecretText::reveal)
            .filter(|text| !text.is_empty());
        let pair = match &flags.private_key_file {
            Some(path) => {
                let pem = read("failed to open private key file", path)?;
                keys::from_pem(&pem, pass_phrase)
            }
            None => {
                if pass_phrase.is_some() {
                    output::warning("--password has no effect: the new key has no pass phrase");
                }
                keys::generate(flags.algorithm())
            }
        }
        .map_err(|error| Error::input(error.to_string()))?;
        let known_hosts = host_keys(url, flags).await?;
        let mut fields: BTreeMap<&'static str, SecretText> = BTreeMap::new();
        fields.insert("identity", pair.private_pem.as_str().into());
        fields.insert(
            "identity.pub",
            format!("{}\n", pair.public_openssh).as_str().into(),
        );
        fields.insert("known_hosts", known_hosts.as_str().into());
        if let (Some(_), Some(pass_phrase)) = (&flags.private_key_file, pass_phrase) {
            fields.insert("password", pass_phrase.into());
        }
        Ok(Self {
            fields,
            public_key: Some(pair.public_openssh),
            known_hosts: Some(known_hosts),
        })
    }

    /// Credentials for HTTP(S).
    ///
    /// # Errors
    /// If the CA file cannot be read.
    pub(in crate::commands) fn web(login: &WebLogin<'_>) -> Result<Self, Error> {
        let mut fields: BTreeMap<&'static str, SecretText> = BTreeMap::new();
        if let Some(username) = login.username {
            fields.insert("username", username.into());
        }
        if let Some(password) = login.password {
            fields.insert("password", password.clone());
        }
        if let Some(token) = login.bearer_token {
            fields.insert("bearerToken", token.clone());
        }
        if let Some(path) = login.ca_file {
            let text = read("unable to read TLS CA file", path)?;
            fields.insert("ca.crt", text.as_str().into());
        }
        Ok(Self {
            fields,
            public_key: None,
            known_hosts: None,
        })
    }

    /// The entries of the Secret.
    pub(in crate::commands) fn data(&self) -> BTreeMap<String, Vec<u8>> {
        self.fields
            .iter()
            .map(|(key, value)| ((*key).to_owned(), value.reveal().as_bytes().to_vec()))
            .collect()
    }

    /// Sets a key of the Secret.
    pub(super) fn set(&mut self, key: &'static str, value: SecretText) {
        self.fields.insert(key, value);
    }

    fn string_data(&self) -> Value {
        self.fields
            .iter()
            .map(|(key, value)| ((*key).to_owned(), Value::from(value.reveal())))
            .collect::<serde_json::Map<_, _>>()
            .into()
    }

    /// The Secret as a manifest. Its type is left to the API server, as Flux does.
    pub(in crate::commands) fn manifest(
        &self,
        namespace: &str,
        name: &str,
        labels: &BTreeMap<String, String>,
    ) -> Value {
        let mut metadata = json!({ "name": name, "namespace": namespace });
        if !labels.is_empty() {
            metadata["labels"] = json!(labels);
        }
        json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": metadata,
            "stringData": self.string_data(),
        })
    }

    /// Creates the Secret, or brings an existing one up to date; says which of the two it was.
    ///
    /// # Errors
    /// What the API server refuses.
    pub(in crate::commands) async fn apply(
        &self,
        cluster: &Cluster,
        namespace: &str,
        name: &str,
        labels: &BTreeMap<String, String>,
    ) -> Result<&'static str, Error> {
        let resource = ApiResource::erase::<Secret>(&());
        for _ in 0..super::apply::ATTEMPTS {
            let found = cluster.find_resource(&resource, namespace, name).await?;
            let Some(mut secret) = found else {
                let mut secret = DynamicObject::new(name, &resource)
                    .within(namespace)
                    .data(json!({ "stringData": self.string_data() }));
                secret.metadata.labels = Some(labels.clone()).filter(|labels| !labels.is_empty());
                cluster.create(&resource, namespace, &secret).await?;
                return Ok("created");
            };
            remove_stale_keys(&mut secret.data);
            secret.data["stringData"] = self.string_data();
            secret
                .metadata
                .labels
                .get_or_insert_default()
                .extend(labels.clone());
            if cluster
                .replace(&resource, namespace, name, &secret)
                .await?
                .is_some()
            {
                return Ok("updated");
            }
        }
        Err(Error::input(format!(
            "Secret {namespace}/{name} is being written to by others all the time; try again"
        )))
    }
}

/// A Secret that had a password and gets a key must not keep the password: the controllers would
/// take both for a mistake.
fn remove_stale_keys(secret: &mut Value) {
    if let Some(data) = secret.get_mut("data").and_then(Value::as_object_mut) {
        data.retain(|key, _| !AUTH_KEYS.contains(&key.as_str()));
    }
}

/// The lines of known_hosts for the server, which is contacted unless a flag names a file.
///
/// # Errors
/// If there are none.
pub(in crate::commands) async fn host_keys(
    url: &GitUrl,
    flags: &KeyFlags,
) -> Result<String, Error> {
    let keys = match &flags.known_hosts_file {
        Some(path) => known_hosts(path, url)?,
        None => scan(url).await?,
    };
    show_fingerprints(url, &keys);
    let lines = keys.iter().map(|key| format!("{}\n", key.line.trim()));
    Ok(lines.collect())
}

async fn scan(url: &GitUrl) -> Result<Vec<HostKey>, Error> {
    let scan = hostkey::scan(url.host(), url.port(), SCAN_TIMEOUT);
    scan.await.map_err(|error| {
        Error::input(format!(
            "SSH key scan for host {} failed, error: {error}",
            url.host()
        ))
    })
}

/// What a file says about the server.
fn known_hosts(path: &PathBuf, url: &GitUrl) -> Result<Vec<HostKey>, Error> {
    let shown = path.display();
    let text = read("failed to open known hosts file", path)?;
    let found = hostkey::known(&text, url.host(), url.port())
        .map_err(|error| Error::input(format!("--known-hosts-file {shown}: {error}")))?;
    if found.is_empty() {
        return Err(Error::input(format!(
            "--known-hosts-file {shown} has no key of {}; without the flag the server is asked",
            flux_lang::knownhosts::host_name(url.host(), url.port())
        )));
    }
    Ok(found)
}

/// The first use of host keys is a matter of trust: the person can compare.
fn show_fingerprints(url: &GitUrl, host_keys: &[HostKey]) {
    for key in host_keys {
        let kind = key.line.split_whitespace().nth(1).unwrap_or_default();
        output::action(format!(
            "host key of {}: {kind} {}",
            url.authority(),
            key.fingerprint
        ));
    }
}

/// Reads a file named by a flag.
///
/// # Errors
/// If it cannot be read, beginning with `what`.
pub(super) fn read(what: &'static str, path: &PathBuf) -> Result<String, Error> {
    std::fs::read_to_string(path).map_err(|source| Error::File {
        what,
        path: path.display().to_string(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_manifest_of_a_login() {
        let password = SecretText::from("pa55");
        let login = WebLogin {
            username: Some("git"),
            password: Some(&password),
            ..WebLogin::default()
        };
        assert!(login.has_credentials());
        let credentials = Credentials::web(&login).unwrap();
        assert_eq!(
            credentials.manifest("foo", "apps", &[("a".to_owned(), "b".to_owned())].into()),
            json!({
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": "apps", "namespace": "foo", "labels": {"a": "b"}},
                "stringData": {"username": "git", "password": "pa55"},
            })
        );
        assert!(
            !format!("{credentials:?}").contains("pa55"),
            "a secret is never shown"
        );
    }

    #[test]
    fn keys_of_another_way_to_authenticate_go() {
        let mut secret = json!({"data": {"username": "eA==", "password": "eA==", "other": "eA=="}});
        remove_stale_keys(&mut secret);
        assert_eq!(secret, json!({"data": {"other": "eA=="}}));
        let mut empty = json!({});
        remove_stale_keys(&mut empty);
        assert_eq!(empty, json!({}));
    }

    #[test]
    fn values_of_the_key_flags() {
        assert_eq!(rsa_bits("4096"), Ok(4096));
        assert_eq!(
            rsa_bits("512").unwrap_err(),
            "RSA key bit size must be at least 1024"
        );
        assert_eq!(
            rsa_bits("1025").unwrap_err(),
            "RSA key bit size must be a multiples of 8"
        );
        assert_eq!(
            key_algorithm("dsa").unwrap_err(),
            "unsupported public key algorithm 'dsa', must be one of: rsa, ecdsa, ed25519"
        );
        assert_eq!(
            ecdsa_curve("p42").unwrap_err(),
            "unsupported curve 'p42', must be one of: p256, p384, p521"
        );
    }
}
