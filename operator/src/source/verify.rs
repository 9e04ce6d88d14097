//! `spec.verify`: whose signatures a commit or tag must carry.

use flux_api::names::reason;
use flux_api::{GitRepository, VerificationMode};
use flux_git::{Commit, Remote, TrustedKeys, VerifyError, VerifyMode};
use kube::ResourceExt;

use super::remote::unreadable;
use super::{failed, reference};
use crate::conclusion::{Retry, Verdict};
use crate::context::Context;

/// What is to be verified, by which keys.
pub(super) struct Check {
    mode: VerifyMode,
    keys: TrustedKeys,
}

impl Check {
    /// What the spec demands; none when it demands nothing.
    ///
    /// # Errors
    /// The verdict to conclude with: nothing may be used then.
    pub(super) async fn of(
        object: &GitRepository,
        context: &Context,
    ) -> Result<Option<Self>, Verdict> {
        let Some(spec) = &object.spec.verify else {
            return Ok(None);
        };
        let mode = match spec.mode.as_ref().unwrap_or(&VerificationMode::Head) {
            VerificationMode::Head | VerificationMode::HeadLowercase => VerifyMode::Head,
            VerificationMode::Tag => VerifyMode::Tag,
            VerificationMode::TagAndHead => VerifyMode::TagAndHead,
            other => {
                return Err(stalled(format!(
                    "spec.verify.mode \"{other}\" is none of HEAD, Tag and TagAndHEAD"
                )));
            }
        };
        let by_tag = reference(object.spec.reference.as_ref()).is_tag();
        if mode != VerifyMode::Head && !by_tag {
            return Err(stalled(
                "cannot verify tag object's signature if a tag reference is not specified; set spec.ref.tag or spec.ref.semver, or spec.verify.mode: HEAD".to_owned(),
            ));
        }
        let namespace = object.namespace().unwrap_or_default();
        let Some(secret) = &spec.secret_ref else {
            return Err(stalled(
                "spec.verify.secretRef is required: it names the Secret with the public keys of the authors".to_owned(),
            ));
        };
        let data = context
            .secret(&namespace, &secret.name)
            .await
            .map_err(|error| with_reason(unreadable(error), reason::VERIFICATION_ERROR))?;
        let keys = TrustedKeys::from_secret(&data).map_err(|error| Verdict::Failed {
            reason: reason::VERIFICATION_ERROR,
            message: format!("Secret \"{namespace}/{}\": {error}", secret.name),
            retry: Retry::Backoff,
        })?;
        Ok(Some(Self { mode, keys }))
    }

    /// As the status has it.
    pub(super) fn mode_name(&self) -> &'static str {
        match self.mode {
            VerifyMode::Head => "HEAD",
            VerifyMode::Tag => "Tag",
            VerifyMode::TagAndHead => "TagAndHEAD",
        }
    }

    /// Verifies; returns what was verified, in words.
    ///
    /// # Errors
    /// The verdict to conclude with.
    pub(super) async fn verify(
        &self,
        remote: &Remote,
        commit: &Commit,
        context: &Context,
    ) -> Result<String, Verdict> {
        let result = context.git.verify(remote, commit, self.mode, &self.keys);
        result.await.map_err(|error| {
            let reason = match error {
                VerifyError::Git(error) => return failed(error),
                VerifyError::NoTag { .. } => reason::INVALID_GIT_OBJECT,
                VerifyError::Commit { .. } => reason::INVALID_COMMIT_SIGNATURE,
                VerifyError::Tag { .. } => reason::INVALID_TAG_SIGNATURE,
                _ => reason::VERIFICATION_ERROR,
            };
            Verdict::Failed {
                reason,
                message: error.to_string(),
                retry: Retry::Backoff,
            }
        })
    }
}

fn stalled(message: String) -> Verdict {
    Verdict::Stalled {
        reason: reason::INVALID_VERIFICATION_MODE,
        message,
    }
}

fn with_reason(verdict: Verdict, reason: &'static str) -> Verdict {
    match verdict {
        Verdict::Failed { message, retry, .. } => Verdict::Failed {
            reason,
            message,
            retry,
        },
        other => other,
    }
}
