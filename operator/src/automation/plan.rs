//! What an automation is to do: which repository, which branch, as whom.

use std::sync::Arc;

use flux_api::names::reason;
use flux_api::{GitRepository, GitSpec, ImageUpdateAutomation};
use flux_git::{Author, Reference, Remote, SigningKey};
use flux_image::update::{self, Scope};
use kube::ResourceExt;
use kube_runtime::reflector::ObjectRef;

use crate::conclusion::{Retry, Verdict};
use crate::context::Context;
use crate::key::Key;
use crate::source;

/// Everything that is known before a file is read.
pub struct Plan {
    /// The GitRepository that names repository and credentials.
    pub source: Arc<GitRepository>,
    /// The repository.
    pub remote: Remote,
    /// What is checked out.
    pub base: Reference,
    /// Where commits go.
    pub branch: String,
    /// A further push.
    pub refspec: Option<String>,
    /// Author of commits.
    pub author: Author,
    /// Push options, as `git push -o` takes them.
    pub options: Vec<String>,
    /// Key that signs commits.
    pub signing: Option<SigningKey>,
    /// Where markers count.
    pub scope: Scope,
}

impl Plan {
    /// Reads the spec and what it refers to.
    ///
    /// # Errors
    /// The verdict to conclude with.
    pub async fn of(object: &ImageUpdateAutomation, context: &Context) -> Result<Self, Verdict> {
        let spec = &object.spec;
        let Some(git) = &spec.git else {
            return Err(invalid(
                "spec.git is required for a GitRepository source: set spec.git.commit.author.email and spec.git.checkout or spec.git.push",
            ));
        };
        let strategy = spec.update.as_ref().and_then(|u| u.strategy.as_ref());
        if let Some(strategy) = strategy.filter(|s| s.as_str() != "Setters") {
            return Err(Verdict::Stalled {
                reason: reason::INVALID_UPDATE_STRATEGY,
                message: format!("spec.update.strategy \"{strategy}\" is not known; use Setters"),
            });
        }
        let source = self::source(object, context)?;
        let remote = source::remote::of(&source, context).await?;
        let checkout = git.checkout.as_ref().map(|c| &c.reference);
        let reference = checkout.or(source.spec.reference.as_ref());
        let base = source::reference(reference);
        let branch = push_branch(git, &base, &source)?;
        let author = &git.commit.author;
        let name = author
            .name
            .clone()
            .filter(|n| !n.is_empty())
            .unwrap_or_else(|| author.email.clone());
        let push = git.push.as_ref();
        let options = push.map(|push| &push.options).into_iter().flatten();
        Ok(Self {
            remote,
            base,
            branch,
            refspec: push
                .and_then(|p| p.refspec.clone())
                .filter(|r| !r.is_empty()),
            author: Author {
                name,
                email: author.email.clone(),
            },
            options: options
                .map(|(key, value)| format!("{key}={value}"))
                .collect(),
            signing: signing_key(object, git, context).await?,
            scope: Scope {
                path: path_of(object),
                elsewhere: elsewhere(object, &source, context),
            },
            source,
        })
    }

    /// The branch that is checked out, if it is one.
    pub fn base_branch(&self) -> Option<&String> {
        match &self.base {
            Reference::Branch(branch) => Some(branch),
            _ => None,
        }
    }
}

fn path_of(object: &ImageUpdateAutomation) -> String {
    update::folder(object.spec.update.as_ref().and_then(|u| u.path.as_deref()))
}

/// The folders that other automations of the same repository take care of.
fn elsewhere(
    object: &ImageUpdateAutomation,
    source: &GitRepository,
    context: &Context,
) -> Vec<String> {
    let own = Key::of(object);
    let mut folders = Vec::new();
    for other in context.stores.image_update_automations.state() {
        let is_same =
            || self::source(&other, context).is_ok_and(|its| super::same_repository(&its, source));
        if Key::of(&*other) != own && is_same() {
            folders.push(path_of(&other));
        }
    }
    folders
}

fn source(
    object: &ImageUpdateAutomation,
    context: &Context,
) -> Result<Arc<GitRepository>, Verdict> {
    let reference = &object.spec.source_ref;
    let own = object.namespace().unwrap_or_default();
    let namespace = reference.namespace.clone().unwrap_or_else(|| own.clone());
    if context.args.no_cross_namespace_refs && namespace != own {
        return Err(Verdict::Stalled {
            reason: reason::ACCESS_DENIED,
            message: format!(
                "cannot access GitRepository/{namespace}/{}: cross-namespace references are disabled (--no-cross-namespace-refs)",
                reference.name
            ),
        });
    }
    let key = Key::new(namespace, &reference.name);
    let stored = ObjectRef::new(&key.name).within(&key.namespace);
    context
        .stores
        .git_repositories
        .get(&stored)
        .ok_or_else(|| Verdict::Failed {
            reason: reason::SOURCE_MANAGER_FAILED,
            message: format!(
                "GitRepository \"{key}\" does not exist; create it or correct spec.sourceRef"
            ),
            retry: Retry::Backoff,
        })
}

fn push_branch(git: &GitSpec, base: &Reference, source: &GitRepository) -> Result<String, Verdict> {
    let named = git.push.as_ref().and_then(|push| push.branch.clone());
    if let Some(branch) = named.filter(|b| !b.is_empty()) {
        return Ok(branch);
    }
    match base {
        Reference::Branch(branch) => Ok(branch.clone()),
        _ => Err(invalid(&format!(
            "there is no branch to push to: GitRepository \"{}\" or spec.git.checkout follows no branch; set spec.git.push.branch",
            source.name_any()
        ))),
    }
}

async fn signing_key(
    object: &ImageUpdateAutomation,
    git: &GitSpec,
    context: &Context,
) -> Result<Option<SigningKey>, Verdict> {
    let Some(key) = &git.commit.signing_key else {
        return Ok(None);
    };
    // Without a type it is an OpenPGP key, as in Flux.
    let read = match key.type_.as_ref().map_or("gpg", |kind| kind.as_str()) {
        "gpg" => SigningKey::from_openpgp_secret,
        "ssh" => SigningKey::from_secret,
        other => {
            return Err(invalid(&format!(
                "spec.git.commit.signingKey.type \"{other}\" is not known; use gpg or ssh"
            )));
        }
    };
    let namespace = object.namespace().unwrap_or_default();
    let name = &key.secret_ref.name;
    let failed = |message| Verdict::Failed {
        reason: reason::INVALID_SOURCE_CONFIGURATION,
        message,
        retry: Retry::Backoff,
    };
    let data = context
        .secret(&namespace, name)
        .await
        .map_err(|error| failed(error.to_string()))?;
    let key =
        read(&data).map_err(|error| failed(format!("Secret \"{namespace}/{name}\": {error}")))?;
    Ok(Some(key))
}

fn invalid(message: &str) -> Verdict {
    Verdict::Stalled {
        reason: reason::INVALID_SOURCE_CONFIGURATION,
        message: message.to_owned(),
    }
}
