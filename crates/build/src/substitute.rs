//! `spec.postBuild`: values for the variables in built objects.
//!
//! As in Flux, variables are replaced in the YAML text of each object, so that `replicas: ${n}`
//! becomes a number. What is wrong is collected over all objects and told in one message, which
//! never shows a value: it may come from a Secret.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use flux_api::kustomize::{KustomizationSpec, SubstituteStrategy};
use flux_lang::envsubst::{self, Unset};
use flux_lang::yaml;
use serde_json::Value;

use crate::{BuildError, Files, Object, Origin, manifest};

/// The label or annotation that keeps an object as it is.
const SWITCH: &str = "kustomize.toolkit.fluxcd.io/substitute";
/// Its value, in this very case.
const DISABLED: &str = "disabled";
/// What names of variables look like, in Flux's words.
const NAMES: &str = "^[_[:alpha:]][_[:alpha:][:digit:]]*$";

/// Variables of `spec.postBuild.substituteFrom`, and where they come from.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Variables {
    /// For example `ConfigMap/settings`.
    pub source: String,
    /// Values by name.
    pub values: BTreeMap<String, String>,
}

/// Without the values: they may be secret.
impl fmt::Debug for Variables {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.values.keys().collect();
        write!(formatter, "Variables({} {names:?})", self.source)
    }
}

/// An object that could not be substituted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsubstituted {
    /// `metadata.name`.
    pub name: String,
    /// `Kind/namespace/name` and where it is written.
    pub place: String,
    /// What is wrong, with the place of each variable where it is known.
    pub problem: String,
}

/// All problems of a build in one line, beginning with Flux's words.
pub(crate) fn describe(problems: &[Unsubstituted]) -> String {
    let names: Vec<String> = problems
        .iter()
        .map(|one| format!("'{}'", one.name))
        .collect();
    // Flux's words stand once, before the first object that they are about.
    const NOT_SET: &str = "variable not set (strict mode): ";
    let mut said = false;
    let list: Vec<String> = problems
        .iter()
        .map(|one| {
            let mut problem = one.problem.as_str();
            if let Some(rest) = problem.strip_prefix(NOT_SET) {
                problem = if said { rest } else { problem };
                said = true;
            }
            format!("{problem} in {}", one.place)
        })
        .collect();
    let advice = if said {
        "; set them in spec.postBuild, give defaults as in ${name:=value}, or write $${name} for \
         the text itself"
    } else {
        ""
    };
    format!(
        "post build failed for {}: envsubst error: variable substitution failed: {}{advice}",
        names.join(", "),
        list.join("; ")
    )
}

/// Replaces the variables of all objects.
///
/// `from` are the variables of `substituteFrom`, in the order of the spec: later ones win, and
/// `spec.postBuild.substitute` wins over all.
///
/// # Errors
/// [`BuildError::Variable`] and [`BuildError::Substitution`].
pub(crate) fn all(
    objects: &mut [Object],
    files: &Files,
    spec: &KustomizationSpec,
    from: &[Variables],
    unset: Unset,
) -> Result<(), BuildError> {
    let Some(post_build) = &spec.post_build else {
        return Ok(());
    };
    let inline = Variables {
        source: "spec.postBuild.substitute".to_owned(),
        values: post_build.substitute.clone(),
    };
    let mut values: HashMap<&str, String> = HashMap::new();
    for variables in from.iter().chain([&inline]) {
        for (name, value) in &variables.values {
            if !envsubst::is_name(name) {
                return Err(BuildError::Variable {
                    name: name.clone(),
                    source_name: variables.source.clone(),
                    names: NAMES,
                });
            }
            // As in Flux: a value is part of a line.
            values.insert(name, value.replace('\n', ""));
        }
    }
    let always = post_build.substitute_strategy == Some(SubstituteStrategy::Always);
    if values.is_empty() && !always {
        return Ok(());
    }
    let lookup = |name: &str| values.get(name).map(String::as_str);
    let mut problems = Vec::new();
    for object in objects {
        if is_disabled(&object.value) || !has_dollar(&object.value) {
            continue;
        }
        match one(&object.value, unset, &lookup) {
            Ok(value) => object.value = value,
            Err(problem) => problems.push(Unsubstituted {
                name: manifest::text(&object.value, "/metadata/name")
                    .unwrap_or_default()
                    .to_owned(),
                place: place(object),
                problem: problem.describe(files, object.origin.as_ref()),
            }),
        }
    }
    if problems.is_empty() {
        Ok(())
    } else {
        Err(BuildError::Substitution(problems))
    }
}

fn is_disabled(object: &Value) -> bool {
    ["labels", "annotations"].iter().any(|field| {
        let values = object.pointer(&format!("/metadata/{field}"));
        values
            .and_then(|values| values.get(SWITCH))
            .and_then(Value::as_str)
            == Some(DISABLED)
    })
}

/// Whether there is anything to replace: most objects need not be written out for it.
fn has_dollar(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('$'),
        Value::Array(list) => list.iter().any(has_dollar),
        Value::Object(map) => map
            .iter()
            .any(|(key, value)| key.contains('$') || has_dollar(value)),
        _ => false,
    }
}

/// What is wrong with one object.
enum Problem {
    Text(envsubst::Error),
    /// The result is not what an object may be.
    Result {
        /// The variables whose values are to blame.
        variables: Vec<String>,
        message: String,
    },
}

fn one<'v>(
    value: &Value,
    unset: Unset,
    lookup: &dyn Fn(&str) -> Option<&'v str>,
) -> Result<Value, Problem> {
    let text = yaml::to_string(value);
    let result = envsubst::expand(&text, unset, lookup).map_err(Problem::Text)?;
    let broken = |message: String| Problem::Result {
        variables: culprits(&text, lookup),
        message,
    };
    // The parser's own words may quote a value.
    let documents = yaml::read(&result).map_err(|_| broken("not valid YAML".to_owned()))?;
    let mut documents = documents.into_iter();
    let (Some(document), None) = (documents.next(), documents.next()) else {
        return Err(broken("not one YAML document".to_owned()));
    };
    manifest::check(&document.value)
        .map_err(|problem| broken(format!("not a Kubernetes object: {problem}")))?;
    Ok(document.value)
}

/// The variables whose value alone breaks a text.
fn culprits<'v>(text: &str, lookup: &dyn Fn(&str) -> Option<&'v str>) -> Vec<String> {
    /// More are not looked at: each costs a reading of the text.
    const MOST: usize = 64;
    let names = RefCell::new(BTreeSet::new());
    let note = |name: &str| {
        names.borrow_mut().insert(name.to_owned());
        Some("x")
    };
    // All variables are found even when this fails.
    let _ = envsubst::expand(text, Unset::Empty, &note);
    let is_broken = |name: &String| {
        let only = |other: &str| {
            if other == name {
                lookup(name)
            } else {
                Some("x")
            }
        };
        let result = envsubst::expand(text, Unset::Empty, &only).unwrap_or_default();
        yaml::read(&result).map_or(true, |documents| {
            let mut values = documents.iter().map(|document| &document.value);
            let is_object = |value| manifest::check(value).is_ok();
            !values.next().is_some_and(is_object) || values.next().is_some()
        })
    };
    names
        .into_inner()
        .into_iter()
        .take(MOST)
        .filter(is_broken)
        .collect()
}

impl Problem {
    fn describe(&self, files: &Files, origin: Option<&Origin>) -> String {
        match self {
            Self::Text(envsubst::Error::NotSet(missing)) => {
                let names: Vec<String> = missing
                    .iter()
                    .map(|variable| match line_of(files, origin, &variable.name) {
                        Some(line) => format!("{variable} (line {line})"),
                        None => variable.to_string(),
                    })
                    .collect();
                format!("variable not set (strict mode): {}", names.join(", "))
            }
            Self::Text(error) => error.to_string(),
            Self::Result { variables, message } if variables.is_empty() => {
                format!("the result is {message}")
            }
            Self::Result { variables, message } => format!(
                "the result is {message} where ${{{}}} is used: put it in quotes, or mend its value",
                variables.join("}, ${")
            ),
        }
    }
}

/// The line of the source, counted from 1, where an object uses a variable: the first one from
/// the beginning of the object on.
fn line_of(files: &Files, origin: Option<&Origin>, name: &str) -> Option<usize> {
    let origin = origin?;
    let text = std::str::from_utf8(files.get(&origin.file)?).ok()?;
    let first = origin.line.unwrap_or(1);
    let uses = |line: &str| {
        line.split("${").skip(1).any(|rest| {
            let rest = rest.strip_prefix('#').unwrap_or(rest);
            rest.strip_prefix(name)
                .is_some_and(|rest| !rest.starts_with(|c: char| c == '_' || c.is_alphanumeric()))
        })
    };
    let mut lines = (1..).zip(text.lines()).skip(first.saturating_sub(1));
    lines.find(|(_, line)| uses(line)).map(|(number, _)| number)
}

fn place(object: &Object) -> String {
    let name = manifest::describe(&object.value);
    match &object.origin {
        Some(origin) => format!("{name} ({origin})"),
        None => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const OBJECTS: &str = "apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  namespace: apps
  annotations: {a: \"${word}\"}
spec:
  replicas: ${n}
  paused: ${flag:=false}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: script
  labels: {kustomize.toolkit.fluxcd.io/substitute: disabled}
data:
  x: ${anything}
";

    fn run(text: &str, post_build: Value, from: &[Variables]) -> Result<Vec<Value>, BuildError> {
        let files: Files = [("apps/web.yaml".to_owned(), text.to_owned().into())].into();
        let mut objects = manifest::objects("apps/web.yaml", text.as_bytes())?;
        let spec = serde_json::from_value(json!({"interval": "1m", "prune": true,
            "sourceRef": {"kind": "GitRepository", "name": "a"}, "postBuild": post_build}))
        .unwrap();
        all(&mut objects, &files, &spec, from, Unset::Error)?;
        Ok(objects.into_iter().map(|object| object.value).collect())
    }

    fn variables(source: &str, values: &[(&str, &str)]) -> Variables {
        Variables {
            source: source.to_owned(),
            values: values
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
        }
    }

    #[test]
    fn values_get_their_type_and_the_last_source_wins() {
        let from = [
            variables("ConfigMap/a", &[("n", "1"), ("word", "first")]),
            variables("Secret/b", &[("n", "2"), ("word", "se\ncond")]),
        ];
        let objects = run(OBJECTS, json!({"substitute": {"n": "3"}}), &from).unwrap();
        assert_eq!(objects[0]["spec"], json!({"replicas": 3, "paused": false}));
        assert_eq!(objects[0]["metadata"]["annotations"]["a"], "second");
        assert_eq!(objects[1]["data"]["x"], "${anything}");
    }

    #[test]
    fn nothing_happens_without_variables_unless_asked_for() {
        let untouched = run(OBJECTS, json!({}), &[]).unwrap();
        assert_eq!(untouched[0]["spec"]["replicas"], "${n}");
        assert!(run(OBJECTS, json!({"substituteStrategy": "Always"}), &[]).is_err());
        assert!(!format!("{:?}", variables("Secret/s", &[("a", "hidden")])).contains("hidden"));
    }

    #[test]
    fn one_message_names_everything_that_is_missing() {
        let text = format!(
            "{OBJECTS}---\napiVersion: v1\nkind: Secret\nmetadata: {{name: db}}\nstringData: {{p: \"${{password}} ${{n}}\"}}\n"
        );
        let error = run(&text, json!({"substitute": {"x": "1"}}), &[]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "post build failed for 'web', 'db': envsubst error: variable substitution failed: \
             variable not set (strict mode): \"word\" (line 6), \"n\" (line 8) in \
             Deployment/apps/web (apps/web.yaml:1); \"password\" (line 22), \"n\" (line 22) in \
             Secret/db (apps/web.yaml:19); set them in spec.postBuild, give defaults as in \
             ${name:=value}, or write $${name} for the text itself"
        );
    }

    #[test]
    fn results_that_are_no_objects_show_no_value() {
        let from = [variables("Secret/s", &[("n", "[hidden"), ("word", "w")])];
        let error = run(OBJECTS, json!({}), &from).unwrap_err().to_string();
        assert!(
            error.contains("not valid YAML where ${n} is used"),
            "{error}"
        );
        assert!(!error.contains("hidden"), "{error}");
        let text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: \"${n}\"}\n";
        let error = run(text, json!({"substitute": {"n": ""}}), &[]).unwrap_err();
        assert!(
            error.to_string().contains("metadata.name is missing"),
            "{error}"
        );
    }

    #[test]
    fn names_are_checked() {
        let from = [variables("ConfigMap/ca", &[("ca.crt", "x")])];
        let error = run(OBJECTS, json!({}), &from).unwrap_err();
        assert_eq!(
            error.to_string(),
            "post build failed: 'ca.crt' var name is invalid, must match \
             '^[_[:alpha:]][_[:alpha:][:digit:]]*$' (from ConfigMap/ca)"
        );
    }
}
