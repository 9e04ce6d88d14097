//! `--status-selector`: which objects are shown, by one of their conditions.

use kube::api::DynamicObject;

use crate::cluster::View;
use crate::error::Error;

/// `type=status` or `type!=status`; case does not matter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StatusSelector {
    type_: String,
    status: String,
    negated: bool,
}

impl StatusSelector {
    /// Reads the flag.
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        let (left, right) = text.split_once('=').unwrap_or_default();
        let (type_, negated) = match left.strip_suffix('!') {
            Some(type_) => (type_, true),
            None => (left, false),
        };
        if type_.is_empty() || right.is_empty() || right.contains('=') {
            return Err(Error::input(format!(
                "expected status selector in type=status or type!=status format, but found: {text}"
            )));
        }
        Ok(Self {
            type_: type_.to_owned(),
            status: right.to_owned(),
            negated,
        })
    }

    /// Whether the object is to be shown. Without the condition, nothing equals its status.
    pub(super) fn fits(&self, object: &DynamicObject) -> bool {
        let equal = object
            .condition(&self.type_)
            .is_some_and(|condition| condition.status.eq_ignore_ascii_case(&self.status));
        equal != self.negated
    }
}

#[cfg(test)]
mod tests {
    use kube::api::DynamicObject;
    use serde_json::json;

    use super::StatusSelector;
    use crate::kind::Kind;

    #[test]
    fn selections() {
        let object = |conditions| {
            DynamicObject::new("x", &Kind::Kustomization.resource())
                .data(json!({"status": {"conditions": conditions}}))
        };
        let ready = object(json!([{"type": "Ready", "status": "True"}]));
        let fresh = object(json!([]));
        for (text, of_ready, of_fresh) in [
            ("ready=true", true, false),
            ("Ready=False", false, false),
            ("ready!=true", false, true),
            ("stalled!=true", true, true),
        ] {
            let selector = StatusSelector::parse(text).unwrap();
            assert_eq!(selector.fits(&ready), of_ready, "{text}");
            assert_eq!(selector.fits(&fresh), of_fresh, "{text}");
        }
    }

    #[test]
    fn mistakes() {
        for text in ["ready", "=true", "ready=", "ready=a=b", "!=x"] {
            let error = StatusSelector::parse(text).unwrap_err().to_string();
            assert_eq!(
                error,
                format!(
                    "expected status selector in type=status or type!=status format, but found: {text}"
                )
            );
        }
    }
}
