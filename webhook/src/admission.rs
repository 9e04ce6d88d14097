//! Admission reviews: JSON in, JSON out.
//!
//! Pure. Every failure becomes a review too: an API server can only show what is in one.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flux_rules::{Context, Kind, MODE_LABEL, Mode, Policy, Review, Severity};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::words;

/// The two webhooks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Before the schema is checked: required fields are filled in, and what the schema would
    /// refuse without an explanation is denied with one.
    Mutate,
    /// After it: everything else.
    Validate,
}

impl Stage {
    /// The word for logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Mutate => "mutate",
            Self::Validate => "validate",
        }
    }
}

/// A request that can be answered.
#[derive(Clone, Debug)]
pub struct Request {
    uid: String,
    operation: String,
    user: String,
    object: Value,
    old: Option<Value>,
}

/// What to send back, and what to remember about it.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The AdmissionReview.
    pub body: Value,
    /// Whether the object is let through.
    pub allowed: bool,
    /// Kind of the object, if there are rules for it.
    pub kind: Option<Kind>,
    /// Rules that had something to say, in the order of the findings.
    pub rules: Vec<&'static str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct IncomingReview {
    #[serde(default)]
    api_version: String,
    request: Option<IncomingRequest>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct IncomingRequest {
    #[serde(default)]
    uid: String,
    #[serde(default)]
    operation: String,
    #[serde(default)]
    object: Value,
    #[serde(default)]
    old_object: Value,
    #[serde(default)]
    user_info: UserInfo,
}

#[derive(Default, Deserialize)]
struct UserInfo {
    #[serde(default)]
    username: String,
}

impl Request {
    /// Reads an AdmissionReview.
    ///
    /// # Errors
    /// The answer to send instead.
    pub fn read(body: &[u8]) -> Result<Self, Box<Answer>> {
        let review: IncomingReview = serde_json::from_slice(body).map_err(|error| {
            Box::new(invalid(
                "",
                400,
                &format!("not an AdmissionReview: {error}"),
            ))
        })?;
        let request = review
            .request
            .ok_or_else(|| Box::new(invalid("", 400, "the AdmissionReview holds no request")))?;
        if review.api_version != "admission.k8s.io/v1" {
            let message = "only AdmissionReviews of admission.k8s.io/v1 are understood";
            return Err(Box::new(invalid(&request.uid, 400, message)));
        }
        let old = Some(request.old_object).filter(Value::is_object);
        let IncomingRequest {
            uid,
            operation,
            object,
            user_info,
            ..
        } = request;
        Ok(Self {
            uid,
            operation,
            user: user_info.username,
            object,
            old,
        })
    }

    /// The object as it is to be.
    #[must_use]
    pub const fn object(&self) -> &Value {
        &self.object
    }

    /// Whether it helps to know what an ImagePolicy selects. What other namespaces hold is not for
    /// an admission answer to say.
    #[must_use]
    pub fn wants_preview(&self, stage: Stage) -> bool {
        let text = |pointer: &str| self.object.pointer(pointer).and_then(Value::as_str);
        let named = text("/spec/imageRepositoryRef/namespace").filter(|named| !named.is_empty());
        stage == Stage::Validate
            && Kind::of(&self.object) == Some(Kind::ImagePolicy)
            && named.is_none_or(|named| Some(named) == text("/metadata/namespace"))
    }

    /// `CREATE` or `UPDATE`.
    #[must_use]
    pub fn operation(&self) -> &str {
        &self.operation
    }

    /// Namespace and name, for logs.
    #[must_use]
    pub fn object_name(&self) -> String {
        let text = |pointer| self.object.pointer(pointer).and_then(Value::as_str);
        let name = text("/metadata/name").or_else(|| text("/metadata/generateName"));
        format!(
            "{}/{}",
            text("/metadata/namespace").unwrap_or_default(),
            name.unwrap_or_default()
        )
    }

    /// The review with which anything goes: for when we cannot judge.
    #[must_use]
    pub fn allow(&self, warning: &str) -> Answer {
        let warnings = vec![words::shorten(warning)];
        Answer {
            body: response(&self.uid, json!({"allowed": true, "warnings": warnings})),
            allowed: true,
            kind: Kind::of(&self.object),
            rules: Vec::new(),
        }
    }

    /// How findings are treated: by the namespace, the user and what the administrator decided.
    fn mode(&self, context: &Context, policy: &Policy) -> Mode {
        let namespace = self.object.pointer("/metadata/namespace");
        let labels = namespace
            .and_then(Value::as_str)
            .and_then(|namespace| context.facts().namespace(namespace).present());
        let label = labels.as_ref().and_then(|labels| labels.get(MODE_LABEL));
        policy.mode(&self.user, label.map(String::as_str))
    }

    /// What the rules say, as it is treated here and now.
    #[must_use]
    pub fn answer(&self, stage: Stage, context: &Context, policy: &Policy) -> Answer {
        let mode = self.mode(context, policy);
        let review = policy.judge(&self.object, self.old.as_ref(), context, mode);
        let denied = match stage {
            // The schema's own refusal would hide ours, so all errors are told at once.
            Stage::Mutate => review.errors().any(|f| is(f.rule, |rule| rule.shadowed)),
            Stage::Validate => review.errors().next().is_some(),
        };
        let mut rules = Vec::new();
        let mut content = if denied {
            let told = review
                .findings
                .iter()
                .filter(|finding| finding.severity > Severity::Note);
            rules.extend(told.map(|finding| finding.rule));
            json!({
                "allowed": false,
                "status": {
                    "message": words::denial(&review),
                    "reason": "Invalid",
                    "code": 422,
                },
            })
        } else {
            let told = |finding: &&flux_rules::Finding| {
                finding.severity == Severity::Warning
                    && (stage == Stage::Validate
                        || finding.rule == flux_rules::OPTIONAL
                        || is(finding.rule, flux_rules::Rule::fills)
                        // Where nothing denies, the schema may have the last word: be first.
                        || (mode == Mode::Warn && is(finding.rule, |rule| rule.shadowed)))
            };
            let findings: Vec<_> = review.findings.iter().filter(told).collect();
            rules.extend(findings.iter().map(|finding| finding.rule));
            let warnings = words::warnings(&findings);
            let mut content = json!({"allowed": true});
            if !warnings.is_empty() {
                content["warnings"] = json!(warnings);
            }
            if stage == Stage::Mutate && !review.defaults.is_empty() {
                content["patchType"] = json!("JSONPatch");
                content["patch"] = json!(STANDARD.encode(patch(&review).to_string()));
            }
            content
        };
        let annotations = audit(stage, &review, &rules, mode);
        if annotations
            .as_object()
            .is_some_and(|annotations| !annotations.is_empty())
        {
            content["auditAnnotations"] = annotations;
        }
        Answer {
            body: response(&self.uid, content),
            allowed: !denied,
            kind: Kind::of(&self.object),
            rules,
        }
    }
}

/// A denial of a request that cannot be read. Without its uid the API server counts it as a
/// failed call, to which the failure policy applies.
pub(crate) fn invalid(uid: &str, code: u16, message: &str) -> Answer {
    let status = json!({"message": message, "reason": "BadRequest", "code": code});
    Answer {
        body: response(uid, json!({"allowed": false, "status": status})),
        allowed: false,
        kind: None,
        rules: Vec::new(),
    }
}

/// Whether a rule has a property.
fn is(id: &str, property: impl FnOnce(&flux_rules::Rule) -> bool) -> bool {
    flux_rules::rule(id).is_some_and(property)
}

/// RFC 6902: only additions of what is absent.
fn patch(review: &Review) -> Value {
    let add = |default: &flux_rules::Default| json!({"op": "add", "path": default.pointer, "value": default.value});
    Value::Array(review.defaults.iter().map(add).collect())
}

/// What the audit log keeps: ids and places, no contents.
fn audit(stage: Stage, review: &Review, rules: &[&'static str], mode: Mode) -> Value {
    let mut annotations = serde_json::Map::new();
    let mut rules = rules.to_vec();
    rules.dedup();
    if !rules.is_empty() {
        annotations.insert("rules".to_owned(), json!(rules.join(",")));
        annotations.insert("mode".to_owned(), json!(mode.to_string()));
    }
    if !review.skipped.is_empty() && stage == Stage::Validate {
        annotations.insert("skipped".to_owned(), json!(review.skipped.join(",")));
    }
    if !review.defaults.is_empty() && stage == Stage::Mutate {
        let fields: Vec<&str> = review.defaults.iter().map(|d| d.pointer.as_str()).collect();
        annotations.insert("defaults".to_owned(), json!(fields.join(",")));
    }
    Value::Object(annotations)
}

fn response(uid: &str, mut content: Value) -> Value {
    content["uid"] = json!(uid);
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": content})
}

#[cfg(test)]
mod tests;
