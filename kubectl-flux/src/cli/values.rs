//! Values of flags: parsing them, with the error texts Go programs give.

use std::collections::BTreeMap;

use flux_api::{DurationError, GoDuration, go_string};

use crate::error::Error;
use crate::output;

/// A truth value as Go's `strconv.ParseBool` reads it.
pub(crate) fn boolean(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(format!(
            "strconv.ParseBool: parsing {text:?}: invalid syntax"
        )),
    }
}

/// What a level of logs may be.
pub(crate) fn log_level(text: &str) -> Result<String, String> {
    let levels = ["trace", "debug", "info", "warn", "error"];
    one_of(text, &levels, "log level is not supported:")
}

/// A duration as Go's `time.ParseDuration` reads it, with its error texts.
pub(crate) fn duration(text: &str) -> Result<GoDuration, String> {
    text.parse().map_err(|error| match error {
        DurationError::MissingUnit(_) => format!("time: missing unit in duration {text:?}"),
        DurationError::UnknownUnit { unit, .. } => {
            format!("time: unknown unit {unit:?} in duration {text:?}")
        }
        DurationError::Invalid(_) => format!("time: invalid duration {text:?}"),
        error => format!("time: {error}"),
    })
}

/// A duration in the spelling Go prints, which is what manifests get: `90s` becomes `1m30s`.
pub(crate) fn canonical(duration: &GoDuration) -> String {
    go_string(duration.as_std())
}

/// The name of the object a command is about: the first word. Flux ignores the others, which hides
/// mistakes such as `--prune true`; here they are named.
pub(crate) fn object_name(words: &[String]) -> Result<&str, Error> {
    let Some((name, rest)) = words.split_first() else {
        return Err(Error::input("name is required"));
    };
    ignore_extra(rest);
    if is_dns_subdomain(name) {
        return Ok(name);
    }
    Err(Error::input(format!(
        "name '{name}' is invalid, it should adhere to standard defined in RFC 1123, the name can \
         only contain lowercase alphanumeric characters, '-' or '.'"
    )))
}

/// Warns about words that no command takes.
pub(crate) fn ignore_extra(words: &[String]) {
    for word in words {
        let hint = match word.as_str() {
            "true" | "false" => ": write a switch as --flag=true or --flag=false",
            _ => "",
        };
        output::warning(format!("ignored argument {word:?}{hint}"));
    }
}

/// RFC 1123 subdomain: labels joined by dots, 253 characters at most.
fn is_dns_subdomain(text: &str) -> bool {
    text.len() <= 253
        && text.split('.').all(|label| {
            let word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
            label.bytes().all(|byte| word(byte) || byte == b'-')
                && label.bytes().next().is_some_and(word)
                && label.bytes().next_back().is_some_and(word)
        })
}

/// Labels given as `key=value`, several separated by commas or by repeating the flag.
pub(crate) fn labels(given: &[String]) -> Result<BTreeMap<String, String>, Error> {
    let mut labels = BTreeMap::new();
    for label in given
        .iter()
        .flat_map(|text| text.split(','))
        .filter(|text| !text.is_empty())
    {
        let parts: Vec<&str> = label.split('=').collect();
        let [key, value] = parts.as_slice() else {
            return Err(Error::input(format!(
                "invalid label format '{label}', must be key=value"
            )));
        };
        check_label_key(key)
            .map_err(|reason| Error::input(format!("invalid label '{label}': {reason}")))?;
        if !is_label_part(value) && !value.is_empty() {
            return Err(Error::input(format!(
                "invalid label value '{value}': at most 63 alphanumeric characters, '-', '_' or \
                 '.', beginning and ending with an alphanumeric one"
            )));
        }
        labels.insert((*key).to_owned(), (*value).to_owned());
    }
    Ok(labels)
}

fn check_label_key(key: &str) -> Result<(), &'static str> {
    let name = match key.split_once('/') {
        Some((prefix, _)) if !is_dns_subdomain(prefix) => {
            return Err("the prefix of the key must be a DNS subdomain");
        }
        Some((_, name)) => name,
        None => key,
    };
    if is_label_part(name) {
        Ok(())
    } else {
        Err(
            "the key must have 1 to 63 alphanumeric characters, '-', '_' or '.', beginning and \
             ending with an alphanumeric one",
        )
    }
}

fn is_label_part(text: &str) -> bool {
    text.len() <= 63
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        && text
            .bytes()
            .next()
            .is_some_and(|byte| byte.is_ascii_alphanumeric())
        && text
            .bytes()
            .next_back()
            .is_some_and(|byte| byte.is_ascii_alphanumeric())
}

/// A path inside a source, always `./...`: whatever is typed cannot leave the source's root.
pub(crate) fn relative_path(text: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in text.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("./{}", parts.join("/"))
}

/// Splits `[kind/]name[.namespace]`; the namespace is what follows the last dot.
pub(crate) fn object_reference(text: &str) -> (Option<&str>, &str, Option<&str>) {
    let (kind, rest) = match text.split_once('/') {
        Some((kind, rest)) => (Some(kind), rest),
        None => (None, text),
    };
    match rest.rsplit_once('.') {
        Some((name, namespace)) => (kind, name, Some(namespace)),
        None => (kind, rest, None),
    }
}

/// A closed set of words, as Go prints errors about them.
pub(crate) fn one_of(text: &str, allowed: &[&str], what: &str) -> Result<String, String> {
    if allowed.contains(&text) {
        Ok(text.to_owned())
    } else {
        Err(format!(
            "{what} '{text}', must be one of: {}",
            allowed.join(", ")
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn booleans_are_gos() {
        assert_eq!(boolean("T"), Ok(true));
        assert_eq!(boolean("False"), Ok(false));
        assert_eq!(
            boolean("yes"),
            Err("strconv.ParseBool: parsing \"yes\": invalid syntax".to_owned())
        );
    }

    #[test]
    fn durations_are_gos() {
        assert_eq!(canonical(&duration("90s").unwrap()), "1m30s");
        for (given, text) in [
            ("60", "time: missing unit in duration \"60\""),
            ("1d", "time: unknown unit \"d\" in duration \"1d\""),
            ("soon", "time: invalid duration \"soon\""),
        ] {
            assert_eq!(duration(given).unwrap_err(), text);
        }
    }

    #[test]
    fn names_that_kubernetes_accepts_are_accepted() {
        for good in ["a", "a-b", "my.app", "0x", &"n".repeat(100)] {
            assert_eq!(object_name(&[good.to_owned()]).unwrap(), good);
        }
        for bad in ["", "-a", "a-", "A", "a_b", "a..b", ".a", &"n".repeat(254)] {
            let error = object_name(&[bad.to_owned()]).unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("name '{bad}' is invalid")),
                "{error}"
            );
        }
        assert_eq!(
            object_name(&[]).unwrap_err().to_string(),
            "name is required"
        );
    }

    #[test]
    fn labels_come_in_lists() {
        let given = [
            "a=1,b=2".to_owned(),
            "example.com/c=x.y".to_owned(),
            "d=".to_owned(),
        ];
        let expected = [("a", "1"), ("b", "2"), ("d", ""), ("example.com/c", "x.y")];
        assert_eq!(
            labels(&given).unwrap(),
            expected.map(|(k, v)| (k.to_owned(), v.to_owned())).into()
        );
    }

    #[test]
    fn wrong_labels() {
        for (given, start) in [
            ("a", "invalid label format 'a', must be key=value"),
            ("a=b=c", "invalid label format 'a=b=c', must be key=value"),
            ("=b", "invalid label '=b': "),
            ("a/b/c=d", "invalid label 'a/b/c=d': "),
            ("A_/b=d", "invalid label 'A_/b=d': "),
            ("a=-b", "invalid label value '-b': "),
        ] {
            let error = labels(&[given.to_owned()]).unwrap_err().to_string();
            assert!(error.starts_with(start), "{given}: {error}");
        }
    }

    #[test]
    fn paths_stay_inside() {
        for (given, path) in [
            ("./foo", "./foo"),
            ("foo", "./foo"),
            ("foo/", "./foo"),
            ("./foo/../bar", "./bar"),
            ("/foo", "./foo"),
            ("/foo/../../../bar", "./bar"),
            ("..", "./"),
            ("", "./"),
            ("./", "./"),
            ("a//b/./c", "./a/b/c"),
        ] {
            assert_eq!(relative_path(given), path, "{given}");
        }
    }

    #[test]
    fn references() {
        assert_eq!(
            object_reference("GitRepository/apps.foo"),
            (Some("GitRepository"), "apps", Some("foo"))
        );
        assert_eq!(object_reference("a.b.ns"), (None, "a.b", Some("ns")));
        assert_eq!(object_reference("apps"), (None, "apps", None));
        assert_eq!(object_reference("Bucket/"), (Some("Bucket"), "", None));
    }
}
