//! What an administrator decides: in which namespaces and for whom findings deny, and which rules
//! matter how much. Read from a ConfigMap and from labels of namespaces; pure.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde_json::Value;

use crate::context::{Context, IngressNginx, Settings};
use crate::engine::review_with;
use crate::finding::{Finding, Review, Severity};
use crate::optional::Optional;
use crate::subject::Subject;

/// Label of a namespace that says how findings about its objects are treated.
pub const MODE_LABEL: &str = "admission.flux-sync.io/mode";

/// Name of the ConfigMap, in the namespace of the webhook.
pub const POLICY_NAME: &str = "admission-webhook";

/// How findings are treated, weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// Objects are not looked at; nothing is filled in either.
    Off,
    /// Errors are told as warnings.
    Warn,
    /// Errors deny.
    Enforce,
    /// Some warnings deny, too.
    Strict,
}

/// How much a rule matters to an administrator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// It is not asked.
    Off,
    /// It is advice.
    Note,
    /// It warns, whatever it finds.
    Warn,
    /// It denies, whatever it finds.
    Deny,
}

/// A word that is none of those expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} is not one of {expected}")]
pub struct WordError {
    found: String,
    expected: &'static str,
}

impl FromStr for Mode {
    type Err = WordError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text.trim() {
            "off" => Self::Off,
            "warn" => Self::Warn,
            "enforce" => Self::Enforce,
            "strict" => Self::Strict,
            other => {
                return Err(WordError {
                    found: other.to_owned(),
                    expected: "off, warn, enforce, strict",
                });
            }
        })
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Off => "off",
            Self::Warn => "warn",
            Self::Enforce => "enforce",
            Self::Strict => "strict",
        })
    }
}

impl FromStr for Level {
    type Err = WordError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text.trim() {
            "off" => Self::Off,
            "note" => Self::Note,
            "warn" => Self::Warn,
            "deny" => Self::Deny,
            other => {
                return Err(WordError {
                    found: other.to_owned(),
                    expected: "off, note, warn, deny",
                });
            }
        })
    }
}

/// The decisions of an administrator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// For namespaces without the label.
    pub mode: Mode,
    /// For what is applied from Git, at most: a push is not frozen unless this says so.
    pub gitops: Mode,
    /// The users that apply from Git, `system:serviceaccount:NAMESPACE:NAME`; `*` stands for any
    /// namespace.
    pub identities: Vec<String>,
    /// Rules that matter more or less than they say themselves, by id.
    pub levels: BTreeMap<String, Level>,
    /// What is declared about the cluster.
    pub settings: Settings,
    /// What is filled in besides required fields.
    pub optional: Optional,
}

impl Policy {
    /// What holds where nobody decided anything. `namespace` is the webhook's own.
    #[must_use]
    pub fn new(namespace: &str) -> Self {
        let account = |namespace: &str, name| format!("system:serviceaccount:{namespace}:{name}");
        Self {
            mode: Mode::Enforce,
            gitops: Mode::Warn,
            identities: vec![
                account(namespace, "sync-operator"),
                account("*", "kustomize-controller"),
                account("*", "helm-controller"),
                account("*", "argocd-application-controller"),
            ],
            levels: BTreeMap::new(),
            settings: Settings::default(),
            optional: Optional::default(),
        }
    }

    /// Reads the `data` of the ConfigMap. What cannot be read is told and changes nothing.
    #[must_use]
    pub fn read(data: &BTreeMap<String, String>, namespace: &str) -> (Self, Vec<String>) {
        let mut policy = Self::new(namespace);
        let mut problems = Vec::new();
        let mut nginx = None;
        for (key, text) in data {
            let outcome = policy.set(key, text, &mut nginx);
            if let Err(problem) = outcome {
                problems.push(format!(
                    "ConfigMap {namespace}/{POLICY_NAME}, key {key}: {problem}"
                ));
            }
        }
        if let Some(nginx) = nginx {
            policy.settings.ingress_nginx = Some(nginx);
            policy.declare(data, &mut problems);
        }
        (policy, problems)
    }

    fn set(
        &mut self,
        key: &str,
        text: &str,
        nginx: &mut Option<IngressNginx>,
    ) -> Result<(), String> {
        match key {
            "mode" => self.mode = text.parse().map_err(describe)?,
            "gitops" => self.gitops = text.parse().map_err(describe)?,
            "gitopsIdentities" => {
                self.identities = text
                    .split([',', '\n'])
                    .map(|name| name.trim().to_owned())
                    .filter(|name| !name.is_empty())
                    .collect();
            }
            "ingressNginx.version" => {
                *nginx = Some(IngressNginx::new(text.parse().map_err(describe)?));
            }
            // Read once the version is known.
            "ingressNginx.strictValidatePathType" | "ingressNginx.allowSnippets" => {}
            key if key.starts_with("defaults.") => {
                self.optional
                    .set(key.trim_start_matches("defaults."), text)?;
            }
            _ => {
                let id = key
                    .strip_prefix("rules.")
                    .ok_or("there is no such setting")?;
                if crate::rule(id).is_none() {
                    return Err("there is no such rule".to_owned());
                }
                self.levels
                    .insert(id.to_owned(), text.parse().map_err(describe)?);
            }
        }
        Ok(())
    }

    fn declare(&mut self, data: &BTreeMap<String, String>, problems: &mut Vec<String>) {
        let Some(nginx) = &mut self.settings.ingress_nginx else {
            return;
        };
        let mut flag = |key: &str| match data.get(key).map(|text| text.trim()) {
            None => None,
            Some("true") => Some(true),
            Some("false") => Some(false),
            Some(other) => {
                problems.push(format!("key {key}: {other:?} is not true or false"));
                None
            }
        };
        nginx.strict_path_type = flag("ingressNginx.strictValidatePathType");
        nginx.allow_snippets = flag("ingressNginx.allowSnippets");
    }

    /// Whether a user applies from Git.
    #[must_use]
    pub fn is_gitops(&self, user: &str) -> bool {
        self.identities.iter().any(|identity| {
            identity == user
                || identity.split_once(":*:").is_some_and(|(kind, name)| {
                    user.strip_prefix(kind)
                        .and_then(|rest| rest.strip_prefix(':'))
                        .and_then(|rest| rest.split_once(':'))
                        .is_some_and(|(_, own)| own == name)
                })
        })
    }

    /// The mode for a request: what the label of the namespace says, or else the cluster; for
    /// what comes from Git no more than `gitops`. A label that is no mode counts as none.
    #[must_use]
    pub fn mode(&self, user: &str, label: Option<&str>) -> Mode {
        let mode = label
            .and_then(|label| label.parse().ok())
            .unwrap_or(self.mode);
        if self.is_gitops(user) {
            mode.min(self.gitops)
        } else {
            mode
        }
    }

    /// Reviews an object as it is treated in a mode: an [`Severity::Error`] of the answer denies.
    #[must_use]
    pub fn judge(
        &self,
        object: &Value,
        old: Option<&Value>,
        context: &Context,
        mode: Mode,
    ) -> Review {
        if mode == Mode::Off {
            return Review::default();
        }
        let decide = |findings: &mut Vec<Finding>| self.decide(findings, mode);
        let mut review = review_with(object, old, context, decide);
        if self.optional != Optional::default() && !is_leaving(object) {
            self.optional.fill(object, context, &mut review);
        }
        if mode == Mode::Warn {
            for finding in &mut review.findings {
                finding.severity = finding.severity.min(Severity::Warning);
            }
        }
        review
    }

    fn decide(&self, findings: &mut Vec<Finding>, mode: Mode) {
        findings.retain_mut(|finding| {
            match self.levels.get(finding.rule) {
                Some(Level::Off) => return false,
                Some(Level::Note) => finding.severity = Severity::Note,
                Some(Level::Warn) => finding.severity = Severity::Warning,
                Some(Level::Deny) => finding.severity = Severity::Error,
                None if mode == Mode::Strict
                    && finding.severity == Severity::Warning
                    && crate::rule(finding.rule).is_some_and(|rule| rule.strict) =>
                {
                    finding.severity = Severity::Error;
                }
                None => {}
            }
            true
        });
    }
}

/// Whether an object is being deleted.
fn is_leaving(object: &Value) -> bool {
    Subject::new(object).has("/metadata/deletionTimestamp")
}

fn describe(error: impl fmt::Display) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::context::Release;

    fn data(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        entries.iter().map(owned).collect()
    }

    fn read(entries: &[(&str, &str)]) -> Policy {
        let (policy, problems) = Policy::read(&data(entries), "flux-system");
        assert_eq!(problems, [""; 0]);
        policy
    }

    fn severities(policy: &Policy, mode: Mode, url: &str) -> Vec<(Severity, &'static str)> {
        let object = json!({
            "apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "GitRepository",
            "metadata": {"name": "a", "namespace": "b"},
            "spec": {"url": url, "interval": "5m", "ref": {"branch": "main"}},
        });
        let review = policy.judge(&object, None, &Context::default(), mode);
        let found = review.findings.iter();
        found
            .map(|finding| (finding.severity, finding.rule))
            .collect()
    }

    const SCP: &str = "git@github.com:org/repo";
    const EMBEDDED: &str = "https://me:token@github.com/org/repo";

    #[test]
    fn modes_decide_what_denies() {
        let policy = read(&[]);
        let of = |mode| severities(&policy, mode, SCP);
        assert_eq!(of(Mode::Off), []);
        assert_eq!(of(Mode::Warn), [(Severity::Warning, "GR01")]);
        assert_eq!(of(Mode::Enforce), [(Severity::Error, "GR01")]);
        let of = |mode| severities(&policy, mode, EMBEDDED);
        assert_eq!(of(Mode::Enforce), [(Severity::Warning, "GR05")]);
        assert_eq!(of(Mode::Strict), [(Severity::Error, "GR05")]);
    }

    #[test]
    fn what_comes_from_git_is_not_frozen_unless_somebody_says_so() {
        const OPERATOR: &str = "system:serviceaccount:flux-system:sync-operator";
        let policy = read(&[]);
        let table = [
            ("jane", None, Mode::Enforce),
            ("jane", Some("strict"), Mode::Strict),
            ("jane", Some("nonsense"), Mode::Enforce),
            (OPERATOR, None, Mode::Warn),
            (OPERATOR, Some("strict"), Mode::Warn),
            (OPERATOR, Some("off"), Mode::Off),
            (
                "system:serviceaccount:argocd:argocd-application-controller",
                None,
                Mode::Warn,
            ),
            (
                "system:serviceaccount:default:sync-operator",
                None,
                Mode::Enforce,
            ),
            (
                "system:serviceaccount:a:b:kustomize-controller",
                None,
                Mode::Enforce,
            ),
        ];
        for (user, label, mode) in table {
            assert_eq!(policy.mode(user, label), mode, "{user} {label:?}");
        }
        let frozen = read(&[("gitops", "enforce")]);
        assert_eq!(frozen.mode(OPERATOR, Some("strict")), Mode::Enforce);
        let others = read(&[(
            "gitopsIdentities",
            "system:serviceaccount:ci:deployer, robot",
        )]);
        assert!(others.is_gitops("robot") && !others.is_gitops(OPERATOR));
    }

    #[test]
    fn rules_can_be_made_stronger_and_weaker() {
        for (level, expected) in [
            ("off", vec![]),
            ("note", vec![(Severity::Note, "GR01")]),
            ("warn", vec![(Severity::Warning, "GR01")]),
            ("deny", vec![(Severity::Error, "GR01")]),
        ] {
            let policy = read(&[("rules.GR01", level)]);
            assert_eq!(severities(&policy, Mode::Enforce, SCP), expected, "{level}");
        }
    }

    #[test]
    fn declarations_and_mistakes_are_read() {
        let policy = read(&[
            ("ingressNginx.version", "1.12.1"),
            ("ingressNginx.strictValidatePathType", "false"),
            ("ingressNginx.allowSnippets", "true"),
        ]);
        let nginx = policy.settings.ingress_nginx.expect("declared");
        assert_eq!(nginx.release, Release(1, 12, 1));
        assert!(!nginx.validates_path_type() && nginx.takes_snippets());
        let wrong = data(&[("mode", "maybe"), ("rules.ZZ99", "off"), ("x", "y")]);
        let (policy, problems) = Policy::read(&wrong, "flux-system");
        assert_eq!(policy, Policy::new("flux-system"));
        assert_eq!(
            problems,
            [
                "ConfigMap flux-system/admission-webhook, key mode: \"maybe\" is not one of off, warn, enforce, strict",
                "ConfigMap flux-system/admission-webhook, key rules.ZZ99: there is no such rule",
                "ConfigMap flux-system/admission-webhook, key x: there is no such setting",
            ]
        );
    }
}
