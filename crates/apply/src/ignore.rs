//! `spec.ignore`: fields that others own, whose changes are not taken back.
//!
//! An apply that leaves a field out gives it up: the API server removes it unless somebody else
//! owns it. So an ignored field of a live object is left out when there is another owner, and
//! applied with the value that it has when there is none.

use flux_api::inventory::ObjectId;
use flux_api::kustomize::IgnoreRule;
use regex::Regex;
use serde_json::Value;

use crate::fields::{self, Step};
use crate::object::{self, Gvk};

/// A rule that cannot be understood.
#[derive(Debug, thiserror::Error)]
pub enum RuleError {
    /// A target's pattern.
    #[error("spec.ignore: \"{text}\" is no regular expression: {source}")]
    Pattern {
        /// What was written.
        text: String,
        /// What is wrong with it.
        source: Box<regex::Error>,
    },
    /// A target's selector.
    #[error("spec.ignore: \"{0}\" is no label selector; write it as for kubectl -l")]
    Selector(String),
    /// A path.
    #[error("spec.ignore: \"{0}\" is no JSON pointer; begin it with a slash, as in /spec/replicas")]
    Pointer(String),
}

/// The rules of a Kustomization.
#[derive(Clone, Debug, Default)]
pub struct Rules(Vec<Rule>);

#[derive(Clone, Debug)]
struct Rule {
    paths: Vec<Vec<String>>,
    /// Group, version, kind, name and namespace.
    patterns: [Option<Regex>; 5],
    labels: Vec<Requirement>,
    annotations: Vec<Requirement>,
}

/// One term of a selector: the key, the values, and whether it must have one of them. Without
/// values it is about the key alone.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Requirement {
    key: String,
    values: Vec<String>,
    has: bool,
}

/// The ignored fields of an object, as keys from its root.
pub type Paths = Vec<Vec<String>>;

impl Rules {
    /// Reads the rules of a spec.
    ///
    /// # Errors
    /// [`RuleError`], in words for a condition.
    pub fn parse(rules: &[IgnoreRule]) -> Result<Self, RuleError> {
        rules
            .iter()
            .map(Rule::parse)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// The fields of an object that are ignored.
    pub fn paths(&self, gvk: &Gvk, id: &ObjectId, object: &Value) -> Paths {
        let matching = self.0.iter().filter(|rule| rule.matches(gvk, id, object));
        matching.flat_map(|rule| rule.paths.clone()).collect()
    }
}

impl Rule {
    fn parse(rule: &IgnoreRule) -> Result<Self, RuleError> {
        let target = rule.target.clone().unwrap_or_default();
        let pattern = |text: &Option<String>| match text.as_deref() {
            None | Some("") => Ok(None),
            Some(text) => Regex::new(&format!("^(?:{text})$"))
                .map(Some)
                .map_err(|source| RuleError::Pattern {
                    text: text.to_owned(),
                    source: Box::new(source),
                }),
        };
        Ok(Self {
            paths: rule
                .paths
                .iter()
                .map(|p| pointer(p))
                .collect::<Result<_, _>>()?,
            patterns: [
                pattern(&target.group)?,
                pattern(&target.version)?,
                pattern(&target.kind)?,
                pattern(&target.name)?,
                pattern(&target.namespace)?,
            ],
            labels: requirements(target.label_selector.as_deref().unwrap_or_default())?,
            annotations: requirements(target.annotation_selector.as_deref().unwrap_or_default())?,
        })
    }

    fn matches(&self, gvk: &Gvk, id: &ObjectId, object: &Value) -> bool {
        let texts = [&gvk.group, &gvk.version, &gvk.kind, &id.name, &id.namespace];
        let all = |list: &[Requirement], field: &str| {
            let map = object::string_map(object, field);
            list.iter().all(|r| match map.get(&r.key) {
                Some(value) => r.has == (r.values.is_empty() || r.values.contains(value)),
                None => !r.has,
            })
        };
        let fits = |(pattern, text): (&Option<Regex>, &&String)| {
            pattern
                .as_ref()
                .is_none_or(|pattern| pattern.is_match(text))
        };
        self.patterns.iter().zip(&texts).all(fits)
            && all(&self.labels, "labels")
            && all(&self.annotations, "annotations")
    }
}

/// The keys of a JSON pointer (RFC 6901).
fn pointer(text: &str) -> Result<Vec<String>, RuleError> {
    let rest = text.strip_prefix('/').filter(|rest| !rest.is_empty());
    let rest = rest.ok_or_else(|| RuleError::Pointer(text.to_owned()))?;
    let key = |part: &str| part.replace("~1", "/").replace("~0", "~");
    Ok(rest.split('/').map(key).collect())
}

/// The terms of a selector: `a`, `!a`, `a=b`, `a==b`, `a!=b`, `a in (b,c)`, `a notin (b)`.
fn requirements(text: &str) -> Result<Vec<Requirement>, RuleError> {
    let wrong = || RuleError::Selector(text.to_owned());
    let mut terms: Vec<String> = vec![String::new()];
    let mut depth = 0;
    for c in text.chars() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                terms.push(String::new());
                continue;
            }
            _ => {}
        }
        terms.last_mut().ok_or_else(wrong)?.push(c);
    }
    let term = |term: &str| {
        let set = |word: &str| {
            let (key, values) = term.split_once(word)?;
            let values = values.trim().strip_prefix('(')?.strip_suffix(')')?;
            Some((
                key,
                values.split(',').map(|v| v.trim().to_owned()).collect(),
            ))
        };
        let equal = |sign: &str| {
            let (key, value) = term.split_once(sign)?;
            Some((key, vec![value.trim().to_owned()]))
        };
        let (key, values, has) = if let Some((key, values)) = set(" notin ") {
            (key, values, false)
        } else if let Some((key, values)) = set(" in ") {
            (key, values, true)
        } else if let Some((key, values)) = equal("!=") {
            (key, values, false)
        } else if let Some((key, values)) = equal("==").or_else(|| equal("=")) {
            (key, values, true)
        } else if let Some(key) = term.strip_prefix('!') {
            (key, Vec::new(), false)
        } else {
            (term, Vec::new(), true)
        };
        let key = key.trim();
        let plain =
            !key.is_empty() && !key.contains(|c: char| c.is_whitespace() || "()!=".contains(c));
        plain.then(|| Requirement {
            key: key.to_owned(),
            values,
            has,
        })
    };
    terms
        .iter()
        .map(|text| text.trim())
        .filter(|text| !text.is_empty())
        .map(|text| term(text).ok_or_else(wrong))
        .collect()
}

/// An object without its ignored fields.
pub(crate) fn without(object: &Value, paths: &Paths) -> Value {
    let mut left = object.clone();
    for place in places(object, paths) {
        remove(&mut left, &place);
    }
    left
}

/// An object as it is applied over a live one.
pub fn over(object: &Value, live: &Value, paths: &Paths, manager: &str) -> Value {
    let mut applied = object.clone();
    for place in places(object, paths) {
        let managed = &live["metadata"]["managedFields"];
        if fields::is_owned_by_others(managed, &steps(object, &place), manager) {
            remove(&mut applied, &place);
            continue;
        }
        match at(live, object, &place) {
            Some(value) => {
                if let Some(field) = applied.pointer_mut(&text(&place)) {
                    *field = value.clone();
                }
            }
            None => remove(&mut applied, &place),
        }
    }
    applied
}

fn text(place: &[String]) -> String {
    let escaped = place
        .iter()
        .map(|k| k.replace('~', "~0").replace('/', "~1"));
    escaped.fold(String::new(), |text, key| format!("{text}/{key}"))
}

/// The places of all fields below the paths that have a value; lists of plain values are one field.
fn places(object: &Value, paths: &Paths) -> Vec<Vec<String>> {
    fn collect(value: &Value, place: &mut Vec<String>, found: &mut Vec<Vec<String>>) {
        let mut below = |key: String, value: &Value| {
            place.push(key);
            collect(value, place, found);
            place.pop();
        };
        match value {
            Value::Object(map) if !map.is_empty() => {
                map.iter()
                    .for_each(|(key, value)| below(key.clone(), value));
            }
            Value::Array(items) if items.first().is_some_and(Value::is_object) => {
                let numbered = items.iter().enumerate();
                numbered.for_each(|(index, item)| below(index.to_string(), item));
            }
            _ => found.push(place.clone()),
        }
    }
    let mut found = Vec::new();
    for path in paths {
        if let Some(value) = object.pointer(&text(path)) {
            collect(value, &mut path.clone(), &mut found);
        }
    }
    found
}

fn steps<'a>(object: &'a Value, place: &'a [String]) -> Vec<Step<'a>> {
    let mut at = object;
    let mut steps = Vec::new();
    for key in place {
        let index = key.parse::<usize>().ok();
        match (at.as_array(), index) {
            (Some(items), Some(index)) => {
                at = items.get(index).unwrap_or(&Value::Null);
                steps.push(Step::Item(index, at));
            }
            _ => {
                at = &at[key.as_str()];
                steps.push(Step::Field(key));
            }
        }
    }
    steps
}

/// The value of a live object at a place of the desired one: items of lists go by their names.
fn at<'a>(live: &'a Value, desired: &Value, place: &[String]) -> Option<&'a Value> {
    let (mut live, mut desired) = (live, desired);
    for key in place {
        if let (Some(items), Ok(index)) = (desired.as_array(), key.parse::<usize>()) {
            desired = items.get(index)?;
            let named = desired.get("name");
            live = match named {
                Some(name) => live
                    .as_array()?
                    .iter()
                    .find(|i| i.get("name") == Some(name))?,
                None => live.get(index)?,
            };
        } else {
            (live, desired) = (live.get(key)?, desired.get(key)?);
        }
    }
    Some(live)
}

fn remove(object: &mut Value, place: &[String]) {
    if let Some((last, parents)) = place.split_last()
        && let Some(Value::Object(map)) = object.pointer_mut(&text(parents))
    {
        map.remove(last);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rules(rule: Value) -> Result<Rules, RuleError> {
        Rules::parse(&[serde_json::from_value(rule).unwrap()])
    }

    fn web() -> Value {
        json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "web", "namespace": "a", "labels": {"app": "web", "tier": "x"}},
            "spec": {"replicas": 2, "template": {"spec": {"containers": [
                {"name": "app", "image": "app:1"}]}}}})
    }

    #[test]
    fn targets_select() {
        let object = web();
        let (gvk, id) = (Gvk::of(&object).unwrap(), object::id(&object).unwrap());
        for (target, matches) in [
            (json!(null), true),
            (json!({"kind": "Deployment"}), true),
            (json!({"kind": "Deploy"}), false),
            (
                json!({"kind": "Deployment|StatefulSet", "name": "w.*"}),
                true,
            ),
            (json!({"namespace": "b"}), false),
            (
                json!({"labelSelector": "app=web, tier in (x, y), !gone"}),
                true,
            ),
            (json!({"labelSelector": "app!=web"}), false),
            (json!({"labelSelector": "tier notin (y),app"}), true),
            (json!({"annotationSelector": "a"}), false),
        ] {
            let rule = json!({"paths": ["/spec/replicas"], "target": target});
            let found = rules(rule).unwrap().paths(&gvk, &id, &object);
            assert_eq!(!found.is_empty(), matches, "{target}");
        }
        for (rule, word) in [
            (json!({"paths": ["spec"]}), "/spec/replicas"),
            (
                json!({"paths": ["/a"], "target": {"name": "("}}),
                "regular expression",
            ),
            (
                json!({"paths": ["/a"], "target": {"labelSelector": "a b"}}),
                "kubectl -l",
            ),
        ] {
            let error = rules(rule).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
    }

    #[test]
    fn ignored_fields_are_left_to_their_owners() {
        let paths = vec![
            pointer("/spec/replicas").unwrap(),
            pointer("/spec/template/spec/containers/0").unwrap(),
        ];
        let mut live = web();
        live["spec"]["replicas"] = json!(5);
        let containers = &mut live["spec"]["template"]["spec"]["containers"];
        *containers = json!([{"name": "side", "image": "s:1"}, {"name": "app", "image": "app:7"}]);
        live["metadata"]["managedFields"] = json!([
            {"manager": "hpa", "operation": "Update", "fieldsV1": {"f:spec": {"f:replicas": {}}}},
            {"manager": "m", "operation": "Apply", "fieldsV1": {"f:spec": {"f:replicas": {}}}}]);
        let mut want = web();
        want["spec"].as_object_mut().unwrap().remove("replicas");
        want["spec"]["template"]["spec"]["containers"][0]["image"] = json!("app:7");
        assert_eq!(over(&web(), &live, &paths, "m"), want);

        let left = without(&web(), &paths);
        assert_eq!(
            left["spec"],
            json!({"template": {"spec": {"containers": [{}]}}})
        );
    }
}
