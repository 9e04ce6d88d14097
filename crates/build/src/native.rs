//! Building in process: plain directories, and kustomization files that list resources and at most
//! put them into a namespace.

use flux_lang::yaml::Otherwise;

use crate::decryption::Role;
use crate::dialect;
use crate::identity::Seen;
use crate::kustomization::{self, Listing};
use crate::{BuildError, Decryption, Files, Object, backrefs, manifest, namespace, order, paths};

/// Deepest chain of kustomization files that name each other.
const MAX_DEPTH: usize = 64;
/// Kustomization files read in one build, each time they are named.
const MAX_VISITS: usize = 10_000;
/// Annotation of objects that are for tools only and not part of the result.
const LOCAL_CONFIG: &str = "config.kubernetes.io/local-config";

/// What came of it.
pub(crate) enum Native {
    /// The objects, in kustomize's order.
    Objects(Vec<Object>),
    /// Only the program can do it; the text says why.
    Program(String),
}

/// One entry of a directory, in the order of a file walk.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// A YAML file.
    File(String),
    /// A directory with a kustomization file of its own, to be built as a unit.
    Unit(String),
}

/// Builds a directory, for a namespace where the spec names one.
///
/// # Errors
/// What is wrong with the source, as far as it is certain that kustomize would refuse it, too.
pub(crate) fn build(
    files: &Files,
    directory: &str,
    namespace: Option<&str>,
    decryption: &Decryption,
) -> Result<Native, BuildError> {
    let mut builder = Builder {
        files,
        decryption,
        visits: 0,
    };
    let mut objects = match builder.directory(directory, namespace) {
        Ok(objects) => objects,
        Err(Stop::Error(error)) => return Err(error),
        Err(Stop::Program(why)) => return Ok(Native::Program(why)),
    };
    if let Some(why) = backrefs::changed_by_kustomize(&objects) {
        return Ok(Native::Program(why));
    }
    objects.retain(|object| !is_local_config(object));
    order::sort(&mut objects);
    Ok(Native::Objects(objects))
}

/// What a directory without a kustomization file holds: its YAML files and those of its
/// sub-directories, in the order of Go's `filepath.Walk`; a sub-directory that has a kustomization
/// file counts as a whole.
pub(crate) fn walk(files: &Files, directory: &str) -> Vec<Entry> {
    let mut below: Vec<&str> = paths::below(files, directory)
        .map(|(path, _)| path)
        .collect();
    // By name within each directory, which is not the order of whole paths: '-' is before '/'.
    below.sort_by(|left, right| left.split('/').cmp(right.split('/')));
    let mut entries = Vec::new();
    for path in below {
        if let Some(Entry::Unit(unit)) = entries.last()
            && paths::is_within(path, unit)
        {
            continue;
        }
        if let Some(unit) = unit_of(files, directory, path) {
            entries.push(Entry::Unit(unit));
        } else if path.ends_with(".yaml") || path.ends_with(".yml") {
            entries.push(Entry::File(path.to_owned()));
        }
    }
    entries
}

/// The topmost directory between `directory` and a file that has a kustomization file.
fn unit_of(files: &Files, directory: &str, path: &str) -> Option<String> {
    let mut units = std::iter::successors(Some(paths::parent(path)), |parent| {
        (!parent.is_empty()).then(|| paths::parent(parent))
    })
    .take_while(|parent| *parent != directory)
    .filter(|parent| kustomization::exists(files, parent));
    units.by_ref().last().map(str::to_owned)
}

/// Why a build ends early.
pub(crate) enum Stop {
    /// The source is wrong.
    Error(BuildError),
    /// Only the program can do it.
    Program(String),
}

impl From<BuildError> for Stop {
    fn from(error: BuildError) -> Self {
        Self::Error(error)
    }
}

struct Builder<'a> {
    files: &'a Files,
    decryption: &'a Decryption,
    visits: usize,
}

/// The objects of one directory, each once: what it puts into a namespace counts as it was before, for
/// those who list it as it is afterwards.
#[derive(Default)]
struct Set {
    objects: Vec<Object>,
    seen: Seen,
}

impl Set {
    fn extend(&mut self, objects: Vec<Object>) -> Result<(), Stop> {
        for object in objects {
            self.seen.add(&object)?;
            self.objects.push(object);
        }
        Ok(())
    }

    fn within(mut self, namespace: Option<&str>) -> Result<Vec<Object>, Stop> {
        if let Some(namespace) = namespace {
            namespace::set(&mut self.objects, namespace)?;
        }
        Ok(self.objects)
    }
}

impl Builder<'_> {
    /// The directory that the Kustomization names; `namespace` is that of the spec.
    fn directory(&mut self, directory: &str, namespace: Option<&str>) -> Result<Vec<Object>, Stop> {
        if kustomization::exists(self.files, directory) {
            return self.unit(directory, namespace, &mut Vec::new());
        }
        let mut set = Set::default();
        for entry in walk(self.files, directory) {
            set.extend(match entry {
                Entry::File(file) => self.file(&file)?,
                Entry::Unit(unit) => self.unit(&unit, None, &mut vec![directory.to_owned()])?,
            })?;
        }
        set.within(namespace)
    }

    fn file(&self, file: &str) -> Result<Vec<Object>, Stop> {
        let content = self.files.get(file).cloned().unwrap_or_default();
        let content = self
            .decryption
            .before(file, file, &content, Role::Manifests)?;
        let documents = manifest::documents(file, &content)?;
        manifest::check_keys(file, &documents)?;
        let otherwise = documents.iter().find_map(|document| document.otherwise);
        if let Some(Otherwise { what, line }) = otherwise {
            return Err(Stop::Program(format!("{file}:{line} has {what}")));
        }
        let objects = manifest::objects_of(file, documents);
        // Also where such a scalar is what is wrong: a name `on`.
        if matches!(&objects, Ok(_) | Err(BuildError::Object { .. }))
            && let Some((line, scalar)) = dialect::read_otherwise(&content)
        {
            return Err(Stop::Program(format!(
                "{file}:{line} has {scalar} without quotes"
            )));
        }
        Ok(objects?)
    }

    /// A directory with a kustomization file. `namespace` stands in the place of the file's own,
    /// `open` are the directories that led here.
    fn unit(
        &mut self,
        directory: &str,
        namespace: Option<&str>,
        open: &mut Vec<String>,
    ) -> Result<Vec<Object>, Stop> {
        let Some(kustomization) = kustomization::read(self.files, directory)? else {
            return Ok(Vec::new());
        };
        let wrong = |problem: String| {
            Stop::Error(BuildError::Kustomization {
                file: kustomization.file.clone(),
                problem,
            })
        };
        self.visits += 1;
        if open.len() >= MAX_DEPTH || self.visits > MAX_VISITS {
            return Err(wrong(format!(
                "kustomization files name each other too deeply or too often (at most {MAX_DEPTH} \
                 levels, {MAX_VISITS} files)"
            )));
        }
        let (resources, own) = match kustomization.listing() {
            Listing::Resources(resources, own) => (resources, own),
            Listing::More(why) => return Err(Stop::Program(why)),
            // An empty file at the top is taken for "nothing yet", as in Flux.
            Listing::Empty if open.is_empty() => return Set::default().within(namespace),
            Listing::Empty => {
                return Err(wrong(
                    "it lists nothing: remove it, or add resources".to_owned(),
                ));
            }
        };
        open.push(directory.to_owned());
        let mut set = Set::default();
        for entry in resources {
            let path = match paths::join(directory, &entry) {
                _ if entry.is_empty() => {
                    return Err(wrong("resources has an empty entry".to_owned()));
                }
                Some(path) if !is_url(&entry) => path,
                _ => {
                    return Err(Stop::Program(format!(
                        "{} names {entry}",
                        kustomization.file
                    )));
                }
            };
            let objects = if self.files.contains_key(&path) {
                self.file(&path)?
            } else if !paths::is_directory(self.files, &path) {
                return Err(wrong(format!(
                    "resources: '{entry}' does not exist (./{path}; links do not count)"
                )));
            } else if open.iter().any(|earlier| paths::is_within(earlier, &path)) {
                return Err(wrong(format!(
                    "resources: '{entry}' is the directory that is being built, or above it: a \
                     cycle"
                )));
            } else if kustomization::exists(self.files, &path) {
                self.unit(&path, None, open)?
            } else {
                return Err(wrong(format!(
                    "resources: the directory '{entry}' has no kustomization.yaml: add one, or \
                     list its files"
                )));
            };
            set.extend(objects)?;
        }
        open.pop();
        set.within(namespace.or(own.as_deref()))
    }
}

/// Whether an entry may be one of the many forms of URL that kustomize clones.
fn is_url(entry: &str) -> bool {
    entry.contains(':') || entry.contains('?') || entry.starts_with("github.com/")
}

fn is_local_config(object: &Object) -> bool {
    let annotations = object.value.pointer("/metadata/annotations");
    let mark = annotations.and_then(|annotations| annotations.get(LOCAL_CONFIG));
    mark.is_some_and(|mark| mark.as_str() != Some("false"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn files(contents: &[(&str, &str)]) -> Files {
        contents
            .iter()
            .map(|(path, text)| ((*path).to_owned(), (*text).to_owned().into()))
            .collect()
    }

    #[test]
    fn walk_goes_by_names_and_stops_at_units() {
        let empty = [
            "a/x.yaml",
            "a-b/x.yml",
            "a.yaml",
            "b/unit/Kustomization",
            "b/unit/x.yaml",
            "b/unit/deep/kustomization.yaml",
            "b/z.yaml",
            "README.md",
            "c/.hidden.yaml",
        ];
        let files = files(&empty.map(|path| (path, "")));
        let walked: Vec<String> = walk(&files, "")
            .into_iter()
            .map(|entry| match entry {
                Entry::File(path) => path,
                Entry::Unit(path) => format!("{path}/"),
            })
            .collect();
        assert_eq!(
            walked,
            [
                "a/x.yaml",
                "a-b/x.yml",
                "a.yaml",
                "b/unit/",
                "b/z.yaml",
                "c/.hidden.yaml"
            ]
        );
        assert_eq!(
            walk(&files, "b/unit").len(),
            2,
            "asked for, it is walked itself"
        );
    }

    #[test]
    fn errors_name_the_kustomization_file() {
        for (resources, text) in [
            (
                "[gone.yaml]",
                "k/kustomization.yaml: resources: 'gone.yaml' does not exist (./k/gone.yaml; links do not count)",
            ),
            (
                "[../plain]",
                "k/kustomization.yaml: resources: the directory '../plain' has no \
                            kustomization.yaml: add one, or list its files",
            ),
            (
                "[../k]",
                "k/kustomization.yaml: resources: '../k' is the directory that is being \
                        built, or above it: a cycle",
            ),
            (
                "[..]",
                "k/kustomization.yaml: resources: '..' is the directory that is being \
                      built, or above it: a cycle",
            ),
            (
                "[../empty]",
                "empty/kustomization.yaml: it lists nothing: remove it, or add resources",
            ),
            ("['']", "k/kustomization.yaml: resources has an empty entry"),
        ] {
            let listing = format!("resources: {resources}\n");
            let files = files(&[
                ("k/kustomization.yaml", listing.as_str()),
                ("plain/x.txt", ""),
                ("empty/kustomization.yaml", ""),
            ]);
            assert_eq!(
                build(&files, "k", None, &Decryption::Refuse)
                    .err()
                    .unwrap()
                    .to_string(),
                format!("kustomize build failed: {text}")
            );
        }
    }

    #[test]
    fn duplicates_name_both_places() {
        let map = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n";
        let files = files(&[("a.yaml", map), ("b/c.yaml", &format!("# b\n{map}"))]);
        assert_eq!(
            build(&files, "", None, &Decryption::Refuse)
                .err()
                .unwrap()
                .to_string(),
            "kustomize build failed: ConfigMap/a is defined twice, at a.yaml:1 and b/c.yaml:2: remove one of them"
        );
    }

    #[test]
    fn bombs_end() {
        let mut contents: Vec<(String, String)> = (0..40)
            .map(|level| {
                let next = level + 1;
                let text = format!("resources: [../{next}, ../{next}]\n");
                (format!("{level}/kustomization.yaml"), text)
            })
            .collect();
        contents.push(("40/kustomization.yaml".into(), "resources: []\n".into()));
        let files: Files = contents
            .into_iter()
            .map(|(path, text)| (path, text.into()))
            .collect();
        let error = build(&files, "0", None, &Decryption::Refuse)
            .err()
            .unwrap()
            .to_string();
        assert!(error.contains("too deeply or too often"), "{error}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_content_ends_without_panic(text in "[a-z:\\- \\n\\[\\]{}&*./]{0,60}") {
            let files = files(&[("kustomization.yaml", &text), ("a.yaml", &text)]);
            let _ = build(&files, "", None, &Decryption::Refuse);
            let files = self::files(&[("a.yaml", &text)]);
            let _ = build(&files, "", None, &Decryption::Refuse);
        }
    }
}
