//! Every rule against its examples, and the laws that hold for all rules.

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::engine::review;
use crate::{Context, Example, Fact, Kind, Objects, Rule, Severity, Subject};

/// An object of the rule's kind named `example` in namespace `apps`.
fn object(rule: &Rule, example: &Example) -> Value {
    let mut object: Value = serde_yaml::from_str(example.manifest).expect(rule.id);
    if let Some(kind) = rule.kind {
        object["apiVersion"] = json!(format!("{}/v1", kind.group()));
        object["kind"] = json!(kind.name());
    }
    object["metadata"]["name"] = json!("example");
    object["metadata"]["namespace"] = json!("apps");
    object
}

fn context(rule: &Rule, example: &Example) -> Context {
    let Some(given) = example.given else {
        let mut context = Context::default();
        context.settings = example.settings;
        return context;
    };
    let documents = serde_yaml::Deserializer::from_str(given)
        .map(|document| serde::Deserialize::deserialize(document).expect(rule.id))
        .filter(|value: &Value| value.is_object());
    Context::new(
        example.settings,
        Arc::new(Objects::complete(documents.collect::<Vec<_>>())),
    )
}

#[test]
fn examples_show_what_each_rule_says() {
    for rule in crate::rules() {
        for example in rule.examples {
            let review = review(&object(rule, example), None, &context(rule, example));
            let said: Vec<&str> = review
                .findings
                .iter()
                .filter(|finding| finding.rule == rule.id)
                .map(|finding| finding.message.as_str())
                .collect();
            assert_eq!(said, example.messages, "{}: {}", rule.id, example.manifest);
        }
    }
}

#[test]
fn every_rule_has_words_and_both_sorts_of_examples() {
    let mut ids = BTreeSet::new();
    for rule in crate::rules() {
        assert!(ids.insert(rule.id), "{} is there twice", rule.id);
        assert!(
            !rule.title.is_empty() && !rule.reason.is_empty(),
            "{}",
            rule.id
        );
        let bad = |example: &&Example| !example.messages.is_empty();
        assert!(
            rule.examples.iter().any(|example| bad(&example)),
            "{} has no bad one",
            rule.id
        );
        assert!(
            rule.examples.iter().any(|example| !bad(&example)),
            "{} has no good one",
            rule.id
        );
    }
}

#[test]
fn messages_fit_where_they_are_shown() {
    // kubectl's warnings: 256 runes, with room for the id and for the place.
    for message in crate::rules()
        .flat_map(|rule| rule.examples)
        .flat_map(|e| e.messages)
    {
        assert!(
            message.len() <= 233,
            "{} characters: {message}",
            message.len()
        );
    }
}

#[test]
fn severities_do_not_exceed_what_a_rule_declares() {
    for rule in crate::rules() {
        let strongest = rule
            .examples
            .iter()
            .flat_map(|example| {
                review(&object(rule, example), None, &context(rule, example)).findings
            })
            .filter(|finding| finding.rule == rule.id)
            .map(|finding| finding.severity)
            .max();
        assert_eq!(strongest, Some(rule.severity), "{}", rule.id);
    }
}

#[test]
fn errors_need_nothing_but_the_object_and_declarations() {
    // Whatever is an error with facts about the cluster is an error in a cluster that holds
    // nothing but the IngressClass, which says who reads the object.
    for rule in crate::rules().filter(|rule| rule.severity == Severity::Error) {
        for example in rule.examples {
            let full = review(&object(rule, example), None, &context(rule, example));
            let classes = example.given.unwrap_or_default().contains("IngressClass");
            assert!(
                full.errors().next().is_none() || example.given.is_none() || classes,
                "{}: {}",
                rule.id,
                example.manifest
            );
        }
    }
}

/// Adds the defaults of a review the way the API server applies the patch.
fn filled(mut object: Value, defaults: &[crate::Default]) -> Value {
    for default in defaults {
        let (parent, key) = default.pointer.rsplit_once('/').expect("a pointer");
        let parent = object.pointer_mut(parent).expect("the parent is there");
        assert!(parent.get(key).is_none(), "only absent fields are added");
        parent[key] = default.value.clone();
    }
    object
}

#[test]
fn defaults_are_added_once_and_pass_their_own_check() {
    for rule in crate::rules() {
        for example in rule.examples {
            let before = object(rule, example);
            let context = context(rule, example);
            let first = review(&before, None, &context);
            let after = filled(before, &first.defaults);
            let second = review(&after, None, &context);
            assert_eq!(second.defaults, [], "{}: {}", rule.id, example.manifest);
            let news: Vec<_> = second
                .findings
                .iter()
                .filter(|f| !first.findings.contains(f))
                .collect();
            assert!(news.is_empty(), "{}: {news:?}", rule.id);
            assert!(
                second
                    .findings
                    .iter()
                    .all(|f| !crate::rule(f.rule).is_some_and(Rule::fills)),
                "{}: a default is still missed",
                rule.id
            );
        }
    }
}

#[test]
fn old_mistakes_do_not_stand_in_the_way_of_updates() {
    for rule in crate::rules() {
        for example in rule.examples {
            let object = object(rule, example);
            let review = review(&object, Some(&object), &context(rule, example));
            assert_eq!(
                review.errors().next(),
                None,
                "{}: {}",
                rule.id,
                example.manifest
            );
        }
    }
}

#[test]
fn nothing_is_said_about_what_is_being_deleted() {
    for rule in crate::rules() {
        for example in rule.examples {
            let mut object = object(rule, example);
            object["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
            assert_eq!(
                review(&object, None, &context(rule, example)),
                crate::Review::default()
            );
        }
    }
}

#[test]
fn the_annotation_switches_a_rule_off() {
    for rule in crate::rules() {
        for example in rule
            .examples
            .iter()
            .filter(|example| !example.messages.is_empty())
        {
            let mut object = object(rule, example);
            object["metadata"]["annotations"][crate::SKIP_ANNOTATION] =
                json!(format!("XX00, {}", rule.id));
            let review = review(&object, None, &context(rule, example));
            assert!(
                review.findings.iter().all(|f| f.rule != rule.id),
                "{}",
                rule.id
            );
            assert_eq!(review.skipped, [rule.id]);
        }
    }
}

#[test]
fn objects_of_any_shape_are_survived() {
    let shapes = [
        json!(null),
        json!(1),
        json!("x"),
        json!([[]]),
        json!({"": {}}),
        json!([{}]),
    ];
    for kind in Kind::ALL {
        for shape in &shapes {
            for spec in [
                shape.clone(),
                json!({"rules": shape, "git": shape, "policy": shape,
                "filterTags": shape, "url": shape, "ref": shape, "patches": [shape],
                "postBuild": {"substitute": shape}, "dependsOn": shape, "interval": shape}),
            ] {
                let object = json!({
                    "apiVersion": format!("{}/v1", kind.group()), "kind": kind.name(),
                    "metadata": {"annotations": shape}, "spec": spec,
                });
                let _ = review(&object, Some(shape), &Context::default());
            }
        }
    }
}

/// Texts as attackers and typing fingers write them.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        r"[a-z@:/.{}\$()\[\]|*+?^\\0-9 -]{0,24}",
        any::<String>(),
        r"(ssh|https)://[a-z@:]{0,12}/[a-z]{0,5}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn texts_of_any_sort_are_survived(text in text(), other in text()) {
        let spec = json!({
            "url": text, "image": text, "interval": text, "timeout": other, "path": text,
            "ref": {"semver": text, "name": other, "commit": text}, "exclusionList": [text],
            "policy": {"numerical": {"order": "asc"}, "semver": {"range": other}},
            "filterTags": {"pattern": text, "extract": other},
            "git": {"push": {"refspec": text}, "commit": {"messageTemplate": other}},
            "patches": [{"patch": text}], "dependsOn": [{"name": text}],
            "rules": [{"host": other, "http": {"paths": [{"path": text, "pathType": "Prefix"}]}}],
        });
        let annotations = json!({
            "nginx.ingress.kubernetes.io/rewrite-target": other,
            "nginx.ingress.kubernetes.io/x": text,
        });
        for kind in Kind::ALL {
            let object = json!({
                "apiVersion": format!("{}/v1", kind.group()), "kind": kind.name(),
                "metadata": {"name": text, "annotations": annotations}, "spec": spec,
            });
            let review = review(&object, None, &Context::default());
            for finding in review.findings {
                prop_assert!(!finding.message.contains('\n'), "{}", finding.message);
            }
        }
    }
}

#[test]
fn unknown_is_not_absent() {
    use crate::Facts as _;
    let partial = Objects::partial([]);
    assert_eq!(partial.service("apps", "foo"), Fact::Unknown);
    assert_eq!(partial.ingress_classes(), Fact::Unknown);
    let complete = Objects::complete([]);
    assert_eq!(complete.service("apps", "foo"), Fact::Absent);
    assert_eq!(Subject::new(&json!({})).namespace(), "default");
}
