//! Writing values into the text.

use std::collections::BTreeMap;

use flux_lang::yaml::{self, Annotations, Comment, Scalar, Style, Target};

use super::comment::{self, Malformed, Marker};
use super::{Change, Edit, Lookup, MarkerError, ObjectIdentifier, Problem};

/// Writes what the policies selected into the marked values of a file.
///
/// `policies` answers for a namespace and a name. What cannot be applied is in
/// [`Edit::problems`] and changes nothing; the other markers of the file are applied.
///
/// # Errors
/// [`MarkerError`] when the text is not YAML.
pub fn apply(
    file: &str,
    text: &str,
    policies: &dyn Fn(&str, &str) -> Lookup,
) -> Result<Edit, MarkerError> {
    let Annotations {
        comments,
        documents,
    } = yaml::annotations(text)?;
    let mut edit = Edit::default();
    // By position. A scalar of a sequence may have a comment above and one beside it: the latter
    // comes later and wins, as in Flux.
    let mut changes = BTreeMap::new();
    for found in comments {
        let line = found.line;
        let mut problem = |policy: String, reason: String| {
            edit.problems.push(Problem {
                file: file.to_owned(),
                line,
                policy,
                reason,
            });
        };
        let marker = match comment::parse(&found.text) {
            None => continue,
            Some(Ok(marker)) => marker,
            Some(Err(Malformed { setter, reason })) => {
                problem(setter, reason);
                continue;
            }
        };
        match resolve(found, &marker, policies) {
            Err(reason) => problem(marker.setter, reason),
            Ok((scalar, _, value)) if scalar.value == value => {
                // What a comment above asked for is overruled by the one beside the value.
                changes.remove(&scalar.range.start);
            }
            Ok((scalar, image, new_value)) => {
                let object = documents
                    .get(scalar.document)
                    .map(identify)
                    .unwrap_or_default();
                let change = Change {
                    file: file.to_owned(),
                    line: scalar.line,
                    object,
                    old_value: scalar.value,
                    new_value,
                    setter: marker.setter,
                    image,
                };
                changes.insert(scalar.range.start, (scalar.range.end, scalar.style, change));
            }
        }
    }
    if !changes.is_empty() {
        let mut out = String::with_capacity(text.len() + 64);
        let mut copied = 0;
        for (start, (end, style, change)) in changes {
            out.push_str(text.get(copied..start).unwrap_or_default());
            out.push_str(&token(&change.new_value, style));
            copied = end;
            edit.changes.push(change);
        }
        out.push_str(text.get(copied..).unwrap_or_default());
        edit.bytes = Some(out);
    }
    Ok(edit)
}

/// The scalar to write, the image, and the new value; or why nothing can be written.
fn resolve(
    found: Comment,
    marker: &Marker,
    policies: &dyn Fn(&str, &str) -> Lookup,
) -> Result<(Scalar, flux_api::ImageRef, String), String> {
    let scalar = match found.target {
        Target::Scalar(scalar) if scalar.style != Style::Block => *scalar,
        Target::Collection => {
            return Err(
                "the marked value is a map, a list or an alias; put the marker beside a \
                        single value"
                    .to_owned(),
            );
        }
        Target::Scalar(_) | Target::Key => {
            return Err(
                "the marker does not stand beside a value; put it on the line where a \
                        value of one line ends"
                    .to_owned(),
            );
        }
    };
    let image = match policies(&marker.namespace, &marker.policy) {
        Lookup::Ref(image) => image,
        Lookup::Unknown => {
            return Err(format!(
                "there is no ImagePolicy {}/{} for this automation; check the name, the namespace \
                 and spec.policySelector",
                marker.namespace, marker.policy
            ));
        }
        Lookup::NoValueYet => {
            return Err(format!(
                "ImagePolicy {}/{} has not selected an image yet; see its Ready condition",
                marker.namespace, marker.policy
            ));
        }
        Lookup::OtherNamespace => {
            return Err(format!(
                "ImagePolicy {}/{} is in another namespace than the automation",
                marker.namespace, marker.policy
            ));
        }
    };
    let value = marker.value(&image).ok_or_else(|| {
        format!(
            "ImagePolicy {}/{} reports no digest; set spec.digestReflectionPolicy there",
            marker.namespace, marker.policy
        )
    })?;
    Ok((scalar, image, value))
}

fn identify(head: &yaml::Head) -> ObjectIdentifier {
    let yaml::Head {
        api_version,
        kind,
        name,
        namespace,
    } = head.clone();
    ObjectIdentifier {
        api_version,
        kind,
        name,
        namespace,
    }
}

/// The value in the notation that was there; quotes are added only where it would otherwise be
/// read as something else than a string.
fn token(value: &str, style: Style) -> String {
    match style {
        Style::SingleQuoted => format!("'{}'", value.replace('\'', "''")),
        Style::Plain if !yaml::needs_quotes(value) => value.to_owned(),
        Style::Plain | Style::DoubleQuoted | Style::Block => {
            format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
        }
    }
}
