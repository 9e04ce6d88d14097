//! GitHub's API: repositories, teams and deploy keys. No other module talks to it.
//!
//! Only what a bootstrap and a deploy key need, in the words of GitHub's OpenAPI description; a test
//! holds every request and answer to that.

mod error;

use std::path::PathBuf;
use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

pub(crate) use error::GithubError;

use crate::VERSION;
use crate::cli::SecretText;

/// Where GitHub itself is.
pub(crate) const GITHUB: &str = "github.com";
/// Longest time for one request.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Deploy keys per page, and pages that are read: no repository has more.
const PAGE: usize = 100;
const MAX_PAGES: usize = 20;
/// Largest answer that is read, in bytes.
const MAX_ANSWER: usize = 8 << 20;
/// Version of the API that answers are read as.
const API_VERSION: &str = "2022-11-28";

/// A connection with a token.
pub(crate) struct Github {
    client: reqwest::Client,
    /// Address of the API, without a slash at its end.
    base: String,
    /// Name of the host, for messages.
    pub(crate) host: String,
    token: SecretText,
}

/// A repository, as far as it matters here.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub(crate) struct Repository {
    /// For people.
    pub(crate) html_url: String,
    /// For Git, over https.
    pub(crate) clone_url: String,
    /// Whether only its members see it.
    pub(crate) private: bool,
}

/// A key that is let into a repository.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub(crate) struct DeployKey {
    id: u64,
    title: String,
    key: String,
    read_only: bool,
}

/// Who a token belongs to.
#[derive(Deserialize)]
struct User {
    login: String,
}

#[derive(Deserialize)]
struct Branch {
    protected: bool,
}

/// What became of a deploy key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Registered {
    /// It is new.
    Added,
    /// It took the place of another key under the same title.
    Replaced,
    /// It was there.
    Unchanged,
}

impl Github {
    /// Does not connect yet.
    ///
    /// # Errors
    /// If the CA file cannot be used.
    pub(crate) fn new(
        host: &str,
        token: SecretText,
        ca_file: Option<&PathBuf>,
    ) -> Result<Self, GithubError> {
        crate::cluster::install_tls_provider();
        let mut builder = reqwest::Client::builder()
            .user_agent(format!("kubectl-flux/{VERSION}"))
            .timeout(TIMEOUT)
            // A token is for one host; GitHub redirects only renamed repositories.
            .redirect(reqwest::redirect::Policy::none());
        if let Some(path) = ca_file {
            let bad = |reason: String| GithubError::Ca {
                path: path.display().to_string(),
                reason,
            };
            let pem = std::fs::read(path).map_err(|error| bad(error.to_string()))?;
            let certificates = reqwest::Certificate::from_pem_bundle(&pem)
                .map_err(|_| bad("it is no PEM".to_owned()))?;
            builder = builder.tls_certs_merge(certificates);
        }
        let client = builder
            .build()
            .map_err(|error| GithubError::transport(host, &error))?;
        Ok(Self {
            client,
            base: match host {
                GITHUB => "https://api.github.com".to_owned(),
                // GitHub Enterprise Server.
                host => format!("https://{host}/api/v3"),
            },
            host: host.to_owned(),
            token,
        })
    }

    /// Name of the token's owner.
    ///
    /// # Errors
    /// If the token is not accepted, or is known to lack what a bootstrap needs.
    pub(crate) async fn login(&self) -> Result<String, GithubError> {
        let answer = self.send(Method::GET, "/user", None).await?;
        // Classic tokens tell what they may do; fine-grained ones do not.
        if let Some(scopes) = answer.scopes.as_deref().filter(|text| !text.is_empty()) {
            let has = |scope: &str| scopes.split(',').any(|found| found.trim() == scope);
            if !has("repo") && !has("public_repo") {
                return Err(GithubError::Scopes {
                    host: self.host.clone(),
                    scopes: scopes.to_owned(),
                });
            }
        }
        self.read::<User>(&answer).map(|user| user.login)
    }

    /// A repository, or `None` if there is none that the token can see.
    ///
    /// # Errors
    /// [`GithubError`].
    pub(crate) async fn repository(
        &self,
        owner: &str,
        name: &str,
    ) -> Result<Option<Repository>, GithubError> {
        self.find(&format!("/repos/{owner}/{name}")).await
    }

    /// Makes a repository, empty, of the token's owner or of an organisation.
    ///
    /// # Errors
    /// [`GithubError`].
    pub(crate) async fn create_repository(
        &self,
        organization: Option<&str>,
        name: &str,
        is_private: bool,
    ) -> Result<Repository, GithubError> {
        let path = match organization {
            Some(organization) => format!("/orgs/{organization}/repos"),
            None => "/user/repos".to_owned(),
        };
        let body = json!({"name": name, "private": is_private});
        let answer = self.send(Method::POST, &path, Some(body)).await?;
        self.read(&answer)
    }

    /// Changes who sees a repository.
    ///
    /// # Errors
    /// [`GithubError`].
    pub(crate) async fn set_private(
        &self,
        owner: &str,
        name: &str,
        is_private: bool,
    ) -> Result<(), GithubError> {
        let body = json!({"private": is_private});
        let path = format!("/repos/{owner}/{name}");
        self.send(Method::PATCH, &path, Some(body)).await.map(drop)
    }

    /// Gives a team of the organisation a permission in a repository.
    ///
    /// # Errors
    /// [`GithubError`].
    pub(crate) async fn grant(
        &self,
        owner: &str,
        name: &str,
        team: &str,
        permission: &str,
    ) -> Result<(), GithubError> {
        let path = format!("/orgs/{owner}/teams/{team}/repos/{owner}/{name}");
        let body = json!({"permission": permission});
        self.send(Method::PUT, &path, Some(body)).await.map(drop)
    }

    /// Whether pushes to a branch follow rules; a branch that is not there is free.
    ///
    /// # Errors
    /// [`GithubError`].
    pub(crate) async fn is_protected(
        &self,
        owner: &str,
        name: &str,
        branch: &str,
    ) -> Result<bool, GithubError> {
        let path = format!("/repos/{owner}/{name}/branches/{branch}");
        let branch: Option<Branch> = self.find(&path).await?;
        Ok(branch.is_some_and(|branch| branch.protected))
    }

    /// Makes sure that the token may deal with the keys of a repository, before anything depends on
    /// that.
    ///
    /// # Errors
    /// [`GithubError`].
    pub(crate) async fn check_keys(&self, owner: &str, name: &str) -> Result<(), GithubError> {
        self.keys(&keys_path(owner, name)).await.map(drop)
    }

    /// Lets a public key into a repository, in the place of others of the same title. Those go when
    /// the new one is in.
    ///
    /// # Errors
    /// [`GithubError`].
    pub(crate) async fn register_key(
        &self,
        owner: &str,
        name: &str,
        title: &str,
        public_key: &str,
        read_only: bool,
    ) -> Result<Registered, GithubError> {
        let path = keys_path(owner, name);
        let new = DeployKey {
            id: 0,
            title: title.to_owned(),
            key: public_key.to_owned(),
            read_only,
        };
        let plan = plan(&self.keys(&path).await?, &new);
        let delete = async |id: u64| {
            let key = format!("{path}/{id}");
            self.send(Method::DELETE, &key, None).await.map(drop)
        };
        if let Some(id) = plan.in_the_way {
            delete(id).await?;
        }
        if !plan.is_there {
            let body = json!({"title": title, "key": public_key, "read_only": read_only});
            self.send(Method::POST, &path, Some(body)).await?;
        }
        for id in &plan.outdated {
            delete(*id).await?;
        }
        Ok(match plan {
            Plan { is_there: true, .. } => Registered::Unchanged,
            Plan {
                in_the_way: None,
                ref outdated,
                ..
            } if outdated.is_empty() => Registered::Added,
            _ => Registered::Replaced,
        })
    }

    async fn keys(&self, path: &str) -> Result<Vec<DeployKey>, GithubError> {
        let mut all = Vec::new();
        for page in 1..=MAX_PAGES {
            let path = format!("{path}?per_page={PAGE}&page={page}");
            let answer = self.send(Method::GET, &path, None).await?;
            let mut keys: Vec<DeployKey> = self.read(&answer)?;
            let is_last = keys.len() < PAGE;
            all.append(&mut keys);
            if is_last {
                break;
            }
        }
        Ok(all)
    }

    async fn find<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>, GithubError> {
        match self.send(Method::GET, path, None).await {
            Ok(answer) => self.read(&answer).map(Some),
            Err(GithubError::Refused { status: 404, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<Answer, GithubError> {
        let transport = |error: reqwest::Error| GithubError::transport(&self.host, &error);
        let mut request = self
            .client
            .request(method.clone(), format!("{}{path}", self.base))
            .header("Accept", "application/vnd.github+json")
            .header("X-GitHub-Api-Version", API_VERSION)
            .bearer_auth(self.token.reveal());
        if let Some(body) = &body {
            request = request.json(body);
        }
        let mut response = request.send().await.map_err(transport)?;
        let status = response.status();
        let header = |name: &str| {
            let value = response.headers().get(name)?.to_str().ok()?;
            Some(value.to_owned())
        };
        let scopes = header("x-oauth-scopes");
        let is_limited = header("x-ratelimit-remaining").is_some_and(|left| left == "0");
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(transport)? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > MAX_ANSWER {
                return Err(GithubError::Unreadable {
                    host: self.host.clone(),
                    reason: format!("more than {} MiB", MAX_ANSWER >> 20),
                });
            }
        }
        if status.is_success() {
            return Ok(Answer { bytes, scopes });
        }
        let path = path.split('?').next().unwrap_or(path);
        let request = format!("{method} {path}");
        Err(match status {
            StatusCode::UNAUTHORIZED => GithubError::Token {
                host: self.host.clone(),
            },
            StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS if is_limited => {
                GithubError::RateLimit {
                    host: self.host.clone(),
                }
            }
            _ => GithubError::refused(&self.host, request, status.as_u16(), &bytes, scopes),
        })
    }

    fn read<T: DeserializeOwned>(&self, answer: &Answer) -> Result<T, GithubError> {
        serde_json::from_slice(&answer.bytes).map_err(|error| GithubError::Unreadable {
            host: self.host.clone(),
            reason: error.to_string(),
        })
    }
}

struct Answer {
    bytes: Vec<u8>,
    scopes: Option<String>,
}

/// What has to happen to the deploy keys of a repository for a new one.
#[derive(Debug, Default, PartialEq, Eq)]
struct Plan {
    /// The key is in with the wanted rights.
    is_there: bool,
    /// The same key with other rights: GitHub takes a key once, so this one has to go first.
    in_the_way: Option<u64>,
    /// Other keys under the title of the new one.
    outdated: Vec<u64>,
}

fn plan(found: &[DeployKey], new: &DeployKey) -> Plan {
    let mut plan = Plan::default();
    for key in found {
        if key_part(&key.key) == key_part(&new.key) {
            plan.is_there = key.read_only == new.read_only;
            plan.in_the_way = (!plan.is_there).then_some(key.id);
        } else if key.title == new.title {
            plan.outdated.push(key.id);
        }
    }
    plan
}

fn keys_path(owner: &str, name: &str) -> String {
    format!("/repos/{owner}/{name}/keys")
}

/// A public key without its comment.
fn key_part(key: &str) -> Vec<&str> {
    key.split_whitespace().take(2).collect()
}

/// Owner and name of a repository by the path of its URL.
pub(crate) fn owner_and_name(path: &str) -> Option<(&str, &str)> {
    let path = path.trim_matches('/');
    let (owner, name) = path.split_once('/')?;
    let name = name.strip_suffix(".git").unwrap_or(name);
    let is_word = |word: &str| !word.is_empty() && !word.contains('/');
    (is_word(owner) && is_word(name)).then_some((owner, name))
}

#[cfg(test)]
mod tests {
    use super::{DeployKey, Plan, key_part, owner_and_name, plan};

    fn key(id: u64, title: &str, key: &str, read_only: bool) -> DeployKey {
        DeployKey {
            id,
            title: title.to_owned(),
            key: key.to_owned(),
            read_only,
        }
    }

    #[test]
    fn an_old_key_goes_when_the_new_one_is_in() {
        let new = key(0, "flux", "ssh-ed25519 NEW", true);
        let old = key(1, "flux", "ssh-ed25519 OLD", true);
        let others = key(2, "ci", "ssh-ed25519 CI", true);
        let there = key(3, "flux", "ssh-ed25519 NEW me@here", true);
        let rights = key(4, "by hand", "ssh-ed25519 NEW", false);
        for (found, is_there, in_the_way, outdated) in [
            (vec![others.clone()], false, None, vec![]),
            (vec![old.clone(), others], false, None, vec![1]),
            (vec![there.clone()], true, None, vec![]),
            (vec![old.clone(), there], true, None, vec![1]),
            (vec![rights, old], false, Some(4), vec![1]),
        ] {
            let expected = Plan {
                is_there,
                in_the_way,
                outdated,
            };
            assert_eq!(plan(&found, &new), expected, "{found:?}");
        }
    }

    #[test]
    fn repositories_of_urls() {
        for (path, expected) in [
            ("/org/repo", Some(("org", "repo"))),
            ("org/repo.git", Some(("org", "repo"))),
            ("/repo", None),
            ("/a/b/c", None),
            ("/", None),
        ] {
            assert_eq!(owner_and_name(path), expected, "{path}");
        }
    }

    #[test]
    fn comments_of_keys_do_not_count() {
        assert_eq!(
            key_part("ssh-ed25519 AAAA me@here"),
            key_part("ssh-ed25519 AAAA")
        );
    }
}
