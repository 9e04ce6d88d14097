//! `create image update`.

use kube::api::DynamicObject;
use serde_json::{Value, json};

use super::draft::{Draft, Fields};
use super::{Shared, apply};
use crate::context::Context;
use crate::error::Error;
use crate::kind::Kind;

/// Flags of `create image update`.
#[derive(Debug, Default, clap::Args)]
pub(super) struct Args {
    /// Name of the ImageUpdateAutomation
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// GitRepository with the access to the repository
    #[arg(long, value_name = "NAME")]
    git_repo_ref: Option<String>,
    /// Namespace of the GitRepository, if it is another one
    #[arg(long, value_name = "NAME")]
    git_repo_namespace: Option<String>,
    /// Folder with the manifests to update
    #[arg(long, value_name = "PATH")]
    git_repo_path: Option<String>,
    /// Branch to check out
    #[arg(long, value_name = "BRANCH")]
    checkout_branch: Option<String>,
    /// Branch to push to, if it is another one
    #[arg(long, value_name = "BRANCH")]
    push_branch: Option<String>,
    /// Template of the commit message
    #[arg(long, value_name = "TEMPLATE")]
    commit_template: Option<String>,
    /// Name of the commits' author
    #[arg(long, value_name = "NAME")]
    author_name: Option<String>,
    /// E-mail address of the commits' author
    #[arg(long, value_name = "ADDRESS")]
    author_email: Option<String>,
    /// Secret with the key that signs the commits
    #[arg(long, value_name = "NAME")]
    signing_key_secret: Option<String>,
    /// Kind of the signing key: gpg or ssh
    #[arg(long, value_name = "TYPE")]
    signing_key_type: Option<String>,
}

/// Fields of the spec that these flags decide about.
const DECIDED: &[&str] = &[
    "git.checkout.ref",
    "git.commit.author",
    "git.commit.messageTemplate",
    "git.commit.signingKey",
    "git.push.branch",
    "interval",
    "sourceRef",
    "update",
];

/// Runs the command.
pub(super) fn run(args: &Args, shared: &Shared, context: &Context) -> Result<(), Error> {
    let mut draft = Draft::new(Kind::ImageUpdateAutomation, &args.names, shared, context)?;
    draft.spec = spec(args, &shared.interval())?;
    draft.decided = DECIDED;
    apply::finish(&draft, shared, context, report)
}

fn report(_: &DynamicObject) -> Vec<Result<String, String>> {
    vec![Ok(
        "ImageUpdateAutomation reconciliation completed".to_owned()
    )]
}

fn spec(args: &Args, interval: &str) -> Result<Value, Error> {
    let repository = required(
        &args.git_repo_ref,
        "a reference to a GitRepository is required (--git-repo-ref)",
    )?;
    let branch = required(
        &args.checkout_branch,
        "the Git repository branch is required (--checkout-branch)",
    )?;
    let name = required(
        &args.author_name,
        "the author name is required (--author-name)",
    )?;
    let email = required(
        &args.author_email,
        "the author email is required (--author-email)",
    )?;

    let mut source = Fields::default();
    source
        .set("kind", Kind::GitRepository.name())
        .set("name", repository)
        .text("namespace", args.git_repo_namespace.as_deref());

    let mut commit = Fields::default();
    commit
        .set("author", json!({ "name": name, "email": email }))
        .text("messageTemplate", args.commit_template.as_deref())
        .set_some("signingKey", signing_key(args)?);

    let mut git = Fields::default();
    git.set("checkout", json!({ "ref": { "branch": branch } }))
        .set("commit", commit.into_value());
    if let Some(branch) = given(&args.push_branch) {
        git.set("push", json!({ "branch": branch }));
    }

    let mut spec = Fields::default();
    spec.set("git", git.into_value())
        .set("interval", interval)
        .set("sourceRef", source.into_value());
    if let Some(path) = given(&args.git_repo_path) {
        spec.set("update", json!({ "path": path, "strategy": "Setters" }));
    }
    Ok(spec.into_value())
}

fn given(flag: &Option<String>) -> Option<&str> {
    flag.as_deref().filter(|text| !text.is_empty())
}

fn required<'a>(flag: &'a Option<String>, otherwise: &str) -> Result<&'a str, Error> {
    given(flag).ok_or_else(|| Error::input(otherwise))
}

fn signing_key(args: &Args) -> Result<Option<Value>, Error> {
    let type_ = given(&args.signing_key_type);
    let Some(secret) = given(&args.signing_key_secret) else {
        return match type_ {
            Some(_) => Err(Error::input(
                "--signing-key-type requires --signing-key-secret",
            )),
            None => Ok(None),
        };
    };
    if type_.is_some_and(|type_| !["gpg", "ssh"].contains(&type_)) {
        return Err(Error::input("--signing-key-type must be one of: gpg, ssh"));
    }
    let mut key = Fields::default();
    key.reference("secretRef", Some(secret)).text("type", type_);
    Ok(Some(key.into_value()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    fn args() -> Args {
        Args {
            git_repo_ref: some("apps"),
            checkout_branch: some("main"),
            author_name: some("Flux"),
            author_email: some("flux@example.com"),
            ..Args::default()
        }
    }

    #[test]
    fn everything_that_can_be_typed() {
        let args = Args {
            git_repo_namespace: some("flux-system"),
            git_repo_path: some("./foo"),
            push_branch: some("updates"),
            commit_template: some("{{ . }}"),
            signing_key_secret: some("key"),
            signing_key_type: some("ssh"),
            ..args()
        };
        assert_eq!(
            spec(&args, "1m0s").unwrap(),
            json!({
                "git": {
                    "checkout": {"ref": {"branch": "main"}},
                    "commit": {
                        "author": {"name": "Flux", "email": "flux@example.com"},
                        "messageTemplate": "{{ . }}",
                        "signingKey": {"secretRef": {"name": "key"}, "type": "ssh"},
                    },
                    "push": {"branch": "updates"},
                },
                "interval": "1m0s",
                "sourceRef": {
                    "kind": "GitRepository", "name": "apps", "namespace": "flux-system",
                },
                "update": {"path": "./foo", "strategy": "Setters"},
            })
        );
    }

    #[test]
    fn what_is_missing_is_asked_for_in_order() {
        let cases = [
            (
                Args::default(),
                "a reference to a GitRepository is required (--git-repo-ref)",
            ),
            (
                Args {
                    checkout_branch: None,
                    ..args()
                },
                "the Git repository branch is required (--checkout-branch)",
            ),
            (
                Args {
                    author_name: None,
                    ..args()
                },
                "the author name is required (--author-name)",
            ),
            (
                Args {
                    author_email: some(""),
                    ..args()
                },
                "the author email is required (--author-email)",
            ),
            (
                Args {
                    signing_key_type: some("ssh"),
                    ..args()
                },
                "--signing-key-type requires --signing-key-secret",
            ),
            (
                Args {
                    signing_key_secret: some("k"),
                    signing_key_type: some("pgp"),
                    ..args()
                },
                "--signing-key-type must be one of: gpg, ssh",
            ),
        ];
        for (args, text) in cases {
            assert_eq!(spec(&args, "1m0s").unwrap_err().to_string(), text);
        }
    }
}
