//! Writing values into the text.

use std::collections::BTreeMap;
use std::ops::Range;

use flux_api::ImageRef;
use flux_lang::yaml::{self, Annotations, Style, Target};

use super::comment::{self, Malformed, Marker};
use super::{Change, Edit, Lookup, MarkerError, ObjectIdentifier, Problem};

/// The markers of a file, apart from what the policies say: all that has to be known of a file
/// until a value changes.
#[derive(Clone, Debug, Default)]
pub struct Markers(Vec<Found>);

#[derive(Clone, Debug)]
struct Found {
    /// Of the comment.
    line: usize,
    marker: Result<Marker, Malformed>,
    target: Result<Spot, &'static str>,
}

/// A marked scalar.
#[derive(Clone, Debug)]
struct Spot {
    range: Range<usize>,
    style: Style,
    value: String,
    line: usize,
    object: ObjectIdentifier,
}

/// Finds the markers of a file.
///
/// # Errors
/// [`MarkerError`] when the text is not YAML.
pub fn find(text: &str) -> Result<Markers, MarkerError> {
    let Annotations {
        comments,
        documents,
    } = yaml::annotations(text)?;
    let found = comments.into_iter().filter_map(|found| {
        let marker = comment::parse(&found.text)?;
        let target = match found.target {
            Target::Scalar(scalar) if scalar.style != Style::Block => {
                let head = documents.get(scalar.document);
                Ok(Spot {
                    range: scalar.range,
                    style: scalar.style,
                    value: scalar.value,
                    line: scalar.line,
                    object: head.map(identify).unwrap_or_default(),
                })
            }
            Target::Collection => Err(COLLECTION),
            Target::Scalar(_) | Target::Key => Err(NOT_BESIDE),
        };
        Some(Found {
            line: found.line,
            marker,
            target,
        })
    });
    Ok(Markers(found.collect()))
}

const COLLECTION: &str =
    "the marked value is a map, a list or an alias; put the marker beside a single value";
const NOT_BESIDE: &str = "the marker does not stand beside a value; put it on the line where a \
                          value of one line ends";

/// What the policies ask for in a file.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// The scalars that change, in the order of the text.
    pub changes: Vec<Change>,
    /// Lines of markers that are current already, with what they name.
    pub current: Vec<(usize, String)>,
    /// The markers that could not be applied.
    pub problems: Vec<Problem>,
    edits: Vec<(Range<usize>, String)>,
}

impl Plan {
    /// The text with the new values, from the text that the markers were found in.
    #[must_use]
    pub fn rewrite(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len() + 64);
        let mut copied = 0;
        for (range, token) in &self.edits {
            out.push_str(text.get(copied..range.start).unwrap_or_default());
            out.push_str(token);
            copied = range.end;
        }
        out.push_str(text.get(copied..).unwrap_or_default());
        out
    }
}

impl Markers {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What to change. `policies` answers for a namespace and a name.
    pub fn plan(&self, file: &str, policies: &dyn Fn(&str, &str) -> Lookup) -> Plan {
        let mut plan = Plan::default();
        // By position. A scalar of a sequence may have a comment above and one beside it: the
        // latter comes later and wins, as in Flux.
        let mut changes = BTreeMap::new();
        for found in &self.0 {
            match found.resolve(policies) {
                Err((policy, reason)) => plan.problems.push(Problem {
                    file: file.to_owned(),
                    line: found.line,
                    policy: policy.to_owned(),
                    reason,
                }),
                Ok((spot, marker, _, value)) if spot.value == value => {
                    // What a comment above asked for is overruled by the one beside the value.
                    changes.remove(&spot.range.start);
                    plan.current.push((spot.line, marker.setter.clone()));
                }
                Ok((spot, marker, image, new_value)) => {
                    let change = Change {
                        file: file.to_owned(),
                        line: spot.line,
                        object: spot.object.clone(),
                        old_value: spot.value.clone(),
                        new_value,
                        setter: marker.setter.clone(),
                        image,
                    };
                    changes.insert(spot.range.start, (spot, change));
                }
            }
        }
        for (spot, change) in changes.into_values() {
            plan.edits
                .push((spot.range.clone(), token(&change.new_value, spot.style)));
            plan.changes.push(change);
        }
        plan
    }

    /// Every marker as one that nothing is done for, for the same reason.
    pub fn all_skipped(&self, file: &str, reason: &str) -> Vec<Problem> {
        let skipped = self.0.iter().map(|found| {
            let policy = match &found.marker {
                Ok(marker) => &marker.setter,
                Err(malformed) => &malformed.setter,
            };
            Problem {
                file: file.to_owned(),
                line: found.line,
                policy: policy.clone(),
                reason: reason.to_owned(),
            }
        });
        skipped.collect()
    }
}

/// Writes what the policies selected into the marked values of a file: [`find`],
/// [`Markers::plan`] and [`Plan::rewrite`] in one.
///
/// What cannot be applied is in [`Edit::problems`] and changes nothing; the other markers of the
/// file are applied.
///
/// # Errors
/// [`MarkerError`] when the text is not YAML.
pub fn apply(
    file: &str,
    text: &str,
    policies: &dyn Fn(&str, &str) -> Lookup,
) -> Result<Edit, MarkerError> {
    let plan = find(text)?.plan(file, policies);
    let bytes = (!plan.changes.is_empty()).then(|| plan.rewrite(text));
    Ok(Edit {
        bytes,
        changes: plan.changes,
        problems: plan.problems,
    })
}

impl Found {
    /// The scalar to write, its marker, the image, and the new value; or what the marker names
    /// and why nothing can be written.
    fn resolve(
        &self,
        policies: &dyn Fn(&str, &str) -> Lookup,
    ) -> Result<(&Spot, &Marker, ImageRef, String), (&str, String)> {
        let marker = match &self.marker {
            Ok(marker) => marker,
            Err(malformed) => return Err((&malformed.setter, malformed.reason.clone())),
        };
        let failed = |reason: String| (&*marker.setter, reason);
        let spot = match &self.target {
            Ok(spot) => spot,
            Err(reason) => return Err(failed((*reason).to_owned())),
        };
        let name = format!("ImagePolicy {}/{}", marker.namespace, marker.policy);
        let image = match policies(&marker.namespace, &marker.policy) {
            Lookup::Ref(image) => image,
            Lookup::Unknown => {
                return Err(failed(format!(
                    "there is no {name} for this automation; check the name, the namespace and \
                     spec.policySelector"
                )));
            }
            Lookup::NoValueYet => {
                return Err(failed(format!(
                    "{name} has not selected an image yet; see its Ready condition"
                )));
            }
            Lookup::OtherNamespace => {
                return Err(failed(format!(
                    "{name} is in another namespace than the automation; move one of them, or run \
                     the operator with --cross-namespace-policies"
                )));
            }
            Lookup::Denied(reason) => return Err(failed(format!("{name}: {reason}"))),
        };
        let value = marker.value(&image).ok_or_else(|| {
            failed(format!(
                "{name} reports no digest; set spec.digestReflectionPolicy there"
            ))
        })?;
        Ok((spot, marker, image, value))
    }
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
