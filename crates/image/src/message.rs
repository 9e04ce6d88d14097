//! Commit messages of image updates: the data that message templates see, as Flux defines it.
//!
//! A template sees `.AutomationObject`, `.Changed` and `.Values`, and also what Flux had before
//! 1.0 and most templates in the field still use: `.Updated`, also known as
//! `.Changed.ImageResult`. Where Flux's order is random, here it is that of the changes.

use std::collections::{BTreeMap, BTreeSet};

use flux_api::image::ImageRef;
use flux_lang::gotmpl::{Map, Struct, Template, TemplateError, Value};

use crate::change::{Change, ObjectIdentifier};

/// The message of automations without a template.
pub const DEFAULT_MESSAGE: &str = "Update from image update automation";

/// Why there is no message.
#[derive(Debug, thiserror::Error)]
pub enum MessageError {
    /// The text is not a template.
    #[error("spec.git.commit.messageTemplate is not a valid template")]
    Parse(#[source] TemplateError),
    /// The template asks for something that is not there, or for too much.
    #[error("spec.git.commit.messageTemplate failed")]
    Render(#[source] TemplateError),
}

/// Renders the commit message for `changes`, which are in the order in which they were made.
///
/// `automation` is the namespace and name of the ImageUpdateAutomation, `values` its
/// `messageTemplateValues`. Without a template, or with an empty one, the answer is
/// [`DEFAULT_MESSAGE`].
///
/// # Errors
/// [`MessageError`], with the line of the template.
pub fn render(
    template: Option<&str>,
    automation: (&str, &str),
    changes: &[Change],
    values: &BTreeMap<String, String>,
) -> Result<String, MessageError> {
    let Some(text) = template.filter(|text| !text.is_empty()) else {
        return Ok(DEFAULT_MESSAGE.to_owned());
    };
    let template = Template::parse(text).map_err(MessageError::Parse)?;
    let data = data(automation, changes, values);
    template.render(&data).map_err(MessageError::Render)
}

fn data(
    (namespace, name): (&str, &str),
    changes: &[Change],
    values: &BTreeMap<String, String>,
) -> Value {
    let automation = Struct::new("NamespacedName")
        .field("Namespace", namespace)
        .field("Name", name)
        .display(format!("{namespace}/{name}"));
    let updated = updated(changes);
    let values = values
        .iter()
        .map(|(k, v)| (k.as_str().into(), v.as_str().into()));
    Struct::new("TemplateData")
        .field("AutomationObject", automation)
        .field("Changed", changed(changes, updated.clone()))
        .field("Values", Map::new(values).with_missing(""))
        .method("Updated", updated)
        .into()
}

/// `.Changed`: what each marker made of its value.
fn changed(changes: &[Change], updated: Value) -> Struct {
    let value = |change: &Change| -> Value {
        Struct::new("Change")
            .field("OldValue", &*change.old_value)
            .field("NewValue", &*change.new_value)
            .field("Setter", &*change.setter)
            .into()
    };
    let mut seen = BTreeSet::new();
    let distinct = changes
        .iter()
        .filter(|c| seen.insert((&c.old_value, &c.new_value, &c.setter)));
    Struct::new("ResultV2")
        .field("FileChanges", by_file(changes, |of| by_object(of, &value)))
        .method("Changes", Value::list(distinct.map(value)))
        .method("Objects", by_object(&all(changes), &value))
        .method("ImageResult", updated)
}

/// `.Updated`: which images are new where.
fn updated(changes: &[Change]) -> Value {
    let file = |of: &[&Change]| -> Value {
        Struct::new("FileResult")
            .field("Objects", by_object_distinct(of))
            .into()
    };
    Struct::new("Result")
        .field("Files", by_file(changes, file))
        .method("Images", images(&all(changes)))
        .method("Objects", by_object_distinct(&all(changes)))
        .into()
}

fn all(changes: &[Change]) -> Vec<&Change> {
    changes.iter().collect()
}

fn by_file(changes: &[Change], value: impl Fn(&[&Change]) -> Value) -> Value {
    let mut files: BTreeMap<&str, Vec<&Change>> = BTreeMap::new();
    for change in changes {
        files.entry(&change.file).or_default().push(change);
    }
    Value::map(files.into_iter().map(|(file, of)| (file, value(&of))))
}

fn by_object(changes: &[&Change], value: &dyn Fn(&Change) -> Value) -> Value {
    objects(changes, |of| {
        Value::list(of.iter().map(|change| value(change)))
    })
}

fn by_object_distinct(changes: &[&Change]) -> Value {
    objects(changes, images)
}

fn objects(changes: &[&Change], value: impl Fn(&[&Change]) -> Value) -> Value {
    let mut objects: BTreeMap<&ObjectIdentifier, Vec<&Change>> = BTreeMap::new();
    for change in changes {
        objects.entry(&change.object).or_default().push(change);
    }
    let entries = objects.into_iter().map(|(id, of)| (object(id), value(&of)));
    Map::new(entries).with_missing(Value::list([])).into()
}

/// An object as key of a map. It prints as Go prints Flux's struct, which embeds two others.
fn object(id: &ObjectIdentifier) -> Value {
    let ObjectIdentifier {
        api_version,
        kind,
        name,
        namespace,
    } = id;
    Struct::new("ObjectIdentifier")
        .field("APIVersion", &**api_version)
        .field("Kind", &**kind)
        .field("Name", &**name)
        .field("Namespace", &**namespace)
        .display(format!(
            "{{{{{{{api_version} {kind}}} {{{name} {namespace}}}}}}}"
        ))
        .into()
}

/// The images of these changes, each once, in order of appearance.
fn images(changes: &[&Change]) -> Value {
    let mut seen = BTreeSet::new();
    let distinct = changes
        .iter()
        .filter(|change| seen.insert(change.image.to_string()));
    Value::list(distinct.map(|change| image(&change.image, &change.setter)))
}

/// An image with the methods that it has in Flux.
fn image(image: &ImageRef, setter: &str) -> Value {
    let text = image.to_string();
    let digest = image.digest.as_deref().filter(|digest| !digest.is_empty());
    let (registry, repository) = split(&image.name);
    let name = match digest {
        Some(digest) => format!("{registry}/{repository}@{digest}"),
        None => format!("{registry}/{repository}:{}", image.tag),
    };
    let mut policy = setter.splitn(3, ':');
    let namespace = policy.next().unwrap_or_default();
    let policy_name = policy.next().unwrap_or_default();
    Struct::new("ImageRef")
        .method("Registry", registry)
        .method("Repository", repository)
        .method("Identifier", digest.unwrap_or(&image.tag))
        .method("Name", name)
        .method("String", &*text)
        .method(
            "Policy",
            Struct::new("NamespacedName")
                .field("Namespace", namespace)
                .field("Name", policy_name)
                .display(format!("{namespace}/{policy_name}")),
        )
        .display(text)
        .into()
}

/// Registry and repository of an image name, with Docker Hub's made explicit.
fn split(name: &str) -> (&str, String) {
    const HUB: &str = "index.docker.io";
    let (registry, repository) = match name.split_once('/') {
        Some((host, rest)) if host.contains(['.', ':']) || host == "localhost" => (host, rest),
        _ => (HUB, name),
    };
    let registry = if registry == "docker.io" {
        HUB
    } else {
        registry
    };
    if registry == HUB && !repository.contains('/') {
        return (registry, format!("library/{repository}"));
    }
    (registry, repository.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(file: &str, kind: &str, old: &str, tag: &str, setter: &str) -> Change {
        let image = ImageRef {
            name: "ghcr.io/acme/app".to_owned(),
            tag: tag.to_owned(),
            digest: None,
        };
        let new_value = match setter.rsplit(':').next() {
            Some("tag") => tag.to_owned(),
            _ => image.to_string(),
        };
        Change {
            file: file.to_owned(),
            line: 1,
            object: ObjectIdentifier {
                api_version: "apps/v1".to_owned(),
                kind: kind.to_owned(),
                name: "app".to_owned(),
                namespace: "prod".to_owned(),
            },
            old_value: old.to_owned(),
            new_value,
            setter: setter.to_owned(),
            image,
        }
    }

    fn rendered(template: &str) -> String {
        let changes = [
            change(
                "b.yaml",
                "StatefulSet",
                "ghcr.io/acme/app:1",
                "2",
                "flux:app",
            ),
            change(
                "a.yaml",
                "Deployment",
                "ghcr.io/acme/app:1",
                "2",
                "flux:app",
            ),
            change("a.yaml", "Deployment", "1", "2", "flux:app:tag"),
            change("a.yaml", "Deployment", "x:1", "3", "flux:other"),
        ];
        let values = BTreeMap::from([("cluster".to_owned(), "prod-1".to_owned())]);
        render(Some(template), ("flux-system", "apps"), &changes, &values).unwrap()
    }

    #[test]
    fn default_message() {
        for template in [None, Some("")] {
            let message = render(template, ("a", "b"), &[], &BTreeMap::new()).unwrap();
            assert_eq!(message, "Update from image update automation");
        }
    }

    #[test]
    fn data_of_templates() {
        let cases = [
            (
                "{{range .Updated.Images}}{{println .}}{{end}}",
                "ghcr.io/acme/app:2\nghcr.io/acme/app:3\n",
            ),
            ("{{len .Changed.ImageResult.Images}}", "2"),
            (
                "{{.AutomationObject}} {{.AutomationObject.Name}}",
                "flux-system/apps apps",
            ),
            (
                "{{.Values.cluster}}|{{.Values.none}}|{{index .Values \"none\"}}",
                "prod-1|<no value>|",
            ),
            (
                "{{range .Changed.Changes}}{{.OldValue}} -> {{.NewValue}} {{.Setter}}\n{{end}}",
                "ghcr.io/acme/app:1 -> ghcr.io/acme/app:2 flux:app\n\
                 1 -> 2 flux:app:tag\n\
                 x:1 -> ghcr.io/acme/app:3 flux:other\n",
            ),
            (
                "{{range $f, $objects := .Changed.FileChanges}}{{$f}}:\
                 {{range $o, $changes := $objects}} {{$o.Kind}}/{{$o.Name}} {{len $changes}}\
                 {{end}}\n{{end}}",
                "a.yaml: Deployment/app 3\nb.yaml: StatefulSet/app 1\n",
            ),
            (
                "{{range $o, $c := .Changed.Objects}}{{$o}} {{index $c 0}}\n{{end}}",
                "{{{apps/v1 Deployment} {app prod}}} \
                 {ghcr.io/acme/app:1 ghcr.io/acme/app:2 flux:app}\n\
                 {{{apps/v1 StatefulSet} {app prod}}} \
                 {ghcr.io/acme/app:1 ghcr.io/acme/app:2 flux:app}\n",
            ),
            (
                "{{range $f, $r := .Updated.Files}}{{$f}}{{range $o, $i := $r.Objects}} {{$o.Kind}} \
                 {{$i}}{{end}}\n{{end}}{{range $o, $i := .Updated.Objects}}{{$o.Name}} {{len $i}} \
                 {{end}}",
                "a.yaml Deployment [ghcr.io/acme/app:2 ghcr.io/acme/app:3]\n\
                 b.yaml StatefulSet [ghcr.io/acme/app:2]\napp 2 app 1 ",
            ),
            (
                "{{with index .Updated.Images 0}}{{.Registry}} {{.Repository}} {{.Identifier}} \
                 {{.Name}} {{.Policy}}{{end}}",
                "ghcr.io acme/app 2 ghcr.io/acme/app:2 flux/app",
            ),
        ];
        for (template, expected) in cases {
            assert_eq!(rendered(template), expected, "{template}");
        }
    }

    #[test]
    fn images_with_digests_and_of_docker_hub() {
        let one = |name: &str, digest: Option<&str>| {
            let image_ref = ImageRef {
                name: name.to_owned(),
                tag: "3".to_owned(),
                digest: digest.map(str::to_owned),
            };
            let text = "{{.}} {{.Registry}} {{.Repository}} {{.Identifier}} {{.Name}}";
            let template = Template::parse(text).unwrap();
            template.render(&image(&image_ref, "ns:p")).unwrap()
        };
        assert_eq!(
            one("alpine", None),
            "alpine:3 index.docker.io library/alpine 3 index.docker.io/library/alpine:3"
        );
        assert_eq!(
            one("docker.io/a/b", Some("sha256:00")),
            "docker.io/a/b:3@sha256:00 index.docker.io a/b sha256:00 index.docker.io/a/b@sha256:00"
        );
        assert_eq!(
            one("localhost:5000/b", None),
            "localhost:5000/b:3 localhost:5000 b 3 localhost:5000/b:3"
        );
    }

    #[test]
    fn errors_name_the_line() {
        let error = render(Some("a\n{{.Nope}}"), ("a", "b"), &[], &BTreeMap::new()).unwrap_err();
        let MessageError::Render(cause) = &error else {
            panic!("{error}");
        };
        assert_eq!(
            cause.to_string(),
            "line 2: can't evaluate field Nope in type TemplateData"
        );
    }
}
