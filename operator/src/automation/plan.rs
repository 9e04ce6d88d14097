//! What an automation is to do: which repository, which branch, as whom.

use std::sync::Arc;

use flux_api::names::reason;
use flux_api::{
    GitRepository, GitRepositoryRef, GitSourceReference, GitSpec, ImageUpdateAutomation,
};
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
        let base = base_of(object, &source);
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
                elsewhere: elsewhere(object, &source, &base, context),
            },
            base,
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

/// What an automation checks out.
fn base_of(object: &ImageUpdateAutomation, source: &GitRepository) -> Reference {
    let git = object.spec.git.as_ref();
    let checkout = git.and_then(|git| git.checkout.as_ref());
    let checkout = checkout.map(|checkout| &checkout.reference);
    source::reference(checkout.or(source.spec.reference.as_ref()))
}

/// The folders that other automations of the same repository and branch take care of, sorted. One
/// that is suspended still does: its markers are where they belong.
fn elsewhere(
    object: &ImageUpdateAutomation,
    source: &GitRepository,
    base: &Reference,
    context: &Context,
) -> Vec<String> {
    let own = Key::of(object);
    let mut folders = Vec::new();
    for other in context.stores.image_update_automations.state() {
        let is_same = || {
            self::source(&other, context).is_ok_and(|its| {
                super::same_repository(&its, source) && base_of(&other, &its) == *base
            })
        };
        let is_going = other.metadata.deletion_timestamp.is_some();
        if Key::of(&*other) != own && !is_going && is_same() {
            folders.push(path_of(&other));
        }
    }
    folders.sort();
    folders.dedup();
    folders
}

/// What others have to know of an automation, to tell whether it takes care of a folder.
type Cover<'a> = (&'a GitSourceReference, Option<&'a GitRepositoryRef>, String);

fn cover(object: &ImageUpdateAutomation) -> Option<Cover<'_>> {
    if object.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let git = object.spec.git.as_ref();
    let checkout = git.and_then(|git| git.checkout.as_ref());
    let reference = checkout.map(|checkout| &checkout.reference);
    Some((&object.spec.source_ref, reference, path_of(object)))
}

/// Wakes the other automations of the same repository when one begins or ends to take care of a
/// folder: their markers there may be nobody's now, or no longer.
pub fn wake_neighbours(
    before: Option<&ImageUpdateAutomation>,
    after: Option<&ImageUpdateAutomation>,
    context: &Context,
) {
    if before.and_then(cover) == after.and_then(cover) {
        return;
    }
    let objects = [before, after].into_iter().flatten();
    let sources: Vec<_> = objects
        .filter_map(|object| source(object, context).ok())
        .collect();
    let own = after.or(before).map(Key::of);
    for other in context.stores.image_update_automations.state() {
        let key = Key::of(&*other);
        let is_near = || {
            let its = source(&other, context);
            its.is_ok_and(|its| sources.iter().any(|one| super::same_repository(one, &its)))
        };
        if Some(&key) != own.as_ref() && is_near() {
            context.triggers.image_update_automations.wake(&key);
        }
    }
}

/// Wakes the automations of a GitRepository; with `branches`, only those that keep a branch of their
/// own on top of what it holds.
pub fn wake_readers(key: &Key, branches: bool, context: &Context) {
    for object in context.stores.image_update_automations.state() {
        let push = object.spec.git.as_ref().and_then(|git| git.push.as_ref());
        let has_branch = push.is_some_and(|push| push.branch.is_some());
        let reference = &object.spec.source_ref;
        let namespace = reference.namespace.clone().or_else(|| object.namespace());
        let concerns = has_branch || !branches;
        if concerns && reference.name == key.name && namespace.as_deref() == Some(&key.namespace) {
            let key = Key::of(&*object);
            context.triggers.image_update_automations.wake(&key);
        }
    }
}

/// The GitRepository that an automation refers to.
///
/// # Errors
/// The verdict to conclude with.
pub(super) fn source(
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
