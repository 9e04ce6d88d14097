//! A line of a controller's log: JSON as Flux's controllers write it, or as ours do. Pure.

use serde_json::Value;

/// What is shown of a line.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Line {
    time: String,
    level: String,
    kind: String,
    name: String,
    namespace: String,
    message: String,
    error: String,
    /// The line as it was, where it is not JSON.
    raw: Option<String>,
}

/// Which lines are shown.
#[derive(Clone, Copy, Debug)]
pub(super) struct Filter<'a> {
    pub(super) level: Option<&'a str>,
    pub(super) kind: Option<&'a str>,
    pub(super) name: Option<&'a str>,
    /// Namespace of the object that a line is about; lines about none are shown too.
    pub(super) namespace: Option<&'a str>,
}

impl Line {
    /// Reads a line; what is not JSON is kept as it is.
    pub(super) fn parse(text: &str) -> Self {
        let Ok(value @ Value::Object(_)) = serde_json::from_str::<Value>(text) else {
            return Self {
                raw: Some(text.to_owned()),
                ..Self::default()
            };
        };
        // The first of the names that is there: Flux's, then ours.
        let field = |names: &[&str]| {
            names
                .iter()
                .find_map(|name| value.get(*name)?.as_str())
                .unwrap_or_default()
                .to_owned()
        };
        // Ours sometimes name an object as one word, `namespace/name`.
        let object = field(&["object"]);
        let (of_namespace, of_name) = object.split_once('/').unwrap_or_default();
        let or = |text: String, other: &str| match text.is_empty() {
            true => other.to_owned(),
            false => text,
        };
        Self {
            time: field(&["ts", "timestamp"]),
            level: field(&["level"]).to_ascii_lowercase(),
            kind: field(&["controllerKind", "kind"]),
            name: or(field(&["name"]), of_name),
            namespace: or(field(&["namespace"]), of_namespace),
            message: field(&["msg", "message"]),
            error: field(&["error"]),
            raw: None,
        }
    }

    /// When it was written, as far as it says.
    fn instant(&self) -> Option<jiff::Timestamp> {
        self.time.parse().ok()
    }

    /// The line as it is printed, with its end.
    pub(super) fn text(&self) -> String {
        if let Some(raw) = &self.raw {
            return format!("{raw}\n");
        }
        let Self {
            time,
            level,
            kind,
            name,
            namespace,
            message,
            error,
            ..
        } = self;
        let object = match (name.as_str(), namespace.as_str()) {
            ("", _) => String::new(),
            (name, "") => format!(" {kind}/{name}"),
            (name, namespace) => format!(" {kind}/{name}.{namespace}"),
        };
        let error = match error.as_str() {
            "" => String::new(),
            error => format!(" {error}"),
        };
        format!("{time} {level}{object} - {message}{error}\n")
    }
}

/// The lines of several logs in the order of time. A line without a time, as in the report of a
/// crash, stays with the line before it.
pub(super) fn merged(logs: &[String], filter: &Filter<'_>) -> String {
    let mut lines = Vec::new();
    for log in logs {
        let parsed: Vec<Line> = log.lines().map(Line::parse).collect();
        let mut time = parsed.iter().find_map(Line::instant);
        for line in parsed {
            time = line.instant().or(time);
            if filter.fits(&line) {
                lines.push((time, line.text()));
            }
        }
    }
    lines.sort_by_key(|(time, _)| *time);
    lines.into_iter().map(|(_, text)| text).collect()
}

impl Filter<'_> {
    /// Whether a line is shown. A line that is not JSON is, where nothing is filtered.
    pub(super) fn fits(&self, line: &Line) -> bool {
        let same = |wanted: Option<&str>, found: &str| {
            wanted.is_none_or(|wanted| wanted.eq_ignore_ascii_case(found))
        };
        if line.raw.is_some() {
            return self.level.is_none() && self.kind.is_none() && self.name.is_none();
        }
        same(self.level, &line.level)
            && same(self.kind, &line.kind)
            && same(self.name, &line.name)
            && (line.namespace.is_empty() || same(self.namespace, &line.namespace))
    }
}

#[cfg(test)]
mod tests {
    use super::{Filter, Line, merged};

    const FLUX: &str = r#"{"level":"error","ts":"2026-01-01T00:00:00.5Z","msg":"Reconciler error","controllerKind":"Kustomization","name":"apps","namespace":"foo","error":"no such file"}"#;
    const OURS: &str = r#"{"timestamp":"2026-01-01T00:00:01Z","level":"INFO","message":"Applied revision: main@sha1:1","kind":"Kustomization","name":"apps","namespace":"foo","target":"x"}"#;

    #[test]
    fn lines_of_both_programs_look_alike() {
        for (line, text) in [
            (
                FLUX,
                "2026-01-01T00:00:00.5Z error Kustomization/apps.foo - Reconciler error no such file\n",
            ),
            (
                OURS,
                "2026-01-01T00:00:01Z info Kustomization/apps.foo - Applied revision: main@sha1:1\n",
            ),
            ("not JSON", "not JSON\n"),
        ] {
            assert_eq!(Line::parse(line).text(), text);
        }
        let object = r#"{"timestamp":"t","level":"INFO","message":"deleted","kind":"GitRepository","object":"foo/apps"}"#;
        assert_eq!(
            Line::parse(object).text(),
            "t info GitRepository/apps.foo - deleted\n"
        );
    }

    #[test]
    fn filters() {
        let all = Filter {
            level: None,
            kind: None,
            name: None,
            namespace: None,
        };
        let line = Line::parse(FLUX);
        assert!(all.fits(&line) && all.fits(&Line::parse("text")));
        let errors = Filter {
            level: Some("ERROR"),
            ..all
        };
        assert!(errors.fits(&line));
        assert!(!errors.fits(&Line::parse(OURS)) && !errors.fits(&Line::parse("text")));
        let elsewhere = Filter {
            namespace: Some("bar"),
            ..all
        };
        assert!(!elsewhere.fits(&line));
    }

    #[test]
    fn a_crash_stays_where_it_happened() {
        let all = Filter {
            level: None,
            kind: None,
            name: None,
            namespace: None,
        };
        let one = format!("cut off\n{FLUX}\npanic\n  at x\n");
        let other = OURS.replace("00:00:01Z", "00:00:00.25Z");
        let text = merged(&[one, format!("{other}\n{OURS}\n")], &all);
        let first_words: Vec<_> = text.lines().map(|l| l.trim().split(' ').next()).collect();
        assert_eq!(
            first_words,
            [
                Some("2026-01-01T00:00:00.25Z"),
                Some("cut"),
                Some("2026-01-01T00:00:00.5Z"),
                Some("panic"),
                Some("at"),
                Some("2026-01-01T00:00:01Z"),
            ]
        );
    }

    #[test]
    fn a_line_of_a_megabyte_is_a_line() {
        let long = "x".repeat(1 << 20);
        let line = Line::parse(&format!(r#"{{"level":"info","ts":"t","msg":"{long}"}}"#));
        assert_eq!(line.text().len(), "t info - \n".len() + long.len());
    }
}
