//! Fields that are accepted and cannot be honoured (yet).
//!
//! Ignoring them silently would apply something else than was asked for, or with other rights.

use flux_api::KustomizationSpec;

use crate::conclusion::{Verdict, check_duration};

/// Reason of the Ready condition.
pub const REASON: &str = "NotSupported";

/// Ends the run when the spec asks for something that is not there yet, or makes no sense.
pub fn check(spec: &KustomizationSpec) -> Result<(), Verdict> {
    check_duration("interval", Some(&spec.interval))?;
    check_duration("retryInterval", spec.retry_interval.as_ref())?;
    check_duration("timeout", spec.timeout.as_ref())?;
    let asked = [(spec.kube_config.is_some(), "kubeConfig")];
    let fields: Vec<_> = asked
        .into_iter()
        .filter(|(asked, _)| *asked)
        .map(|(_, f)| format!("spec.{f}"))
        .collect();
    if fields.is_empty() {
        return Ok(());
    }
    Err(Verdict::Stalled {
        reason: REASON,
        message: format!(
            "not supported yet: {}; nothing was applied",
            fields.join(", ")
        ),
    })
}
