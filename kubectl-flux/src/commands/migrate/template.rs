//! Message templates from `.Updated`, which Flux 2.7 removed, to `.Changed`. Pure.
//!
//! The text is rewritten, not printed anew: whatever is not concerned keeps its bytes. Only forms
//! are rewritten that then say the same; a test on the result is left to the caller.

/// What a range hands to its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Body<'t> {
    /// Nothing that matters.
    Plain,
    /// An image as the dot.
    Image,
    /// An image as a variable.
    ImageIn(&'t str),
    /// The values of a map have become another type: this variable must not be used.
    Keys(Option<&'t str>),
}

/// The template in today's words, or `None` if it uses `.Updated` in a way that has no counterpart.
pub(super) fn rewrite(text: &str) -> Option<String> {
    let mut rewritten = String::with_capacity(text.len());
    let mut rest = text;
    let mut open: Vec<Body<'_>> = Vec::new();
    while let Some(start) = rest.find("{{") {
        let (before, action) = rest.split_at(start);
        let end = action.find("}}")? + 2;
        let (action, after) = action.split_at(end);
        rewritten.push_str(before);
        rewritten.push_str(&rewrite_action(action, &mut open)?);
        rest = after;
    }
    rewritten.push_str(rest);
    (open.is_empty() && !rewritten.contains(".Updated")).then_some(rewritten)
}

fn rewrite_action<'t>(action: &'t str, open: &mut Vec<Body<'t>>) -> Option<String> {
    let inner = action.trim_start_matches("{{").trim_end_matches("}}");
    let words = inner.trim_matches('-').trim();
    if words.starts_with("/*") {
        return Some(action.to_owned());
    }
    let verb = words.split_whitespace().next().unwrap_or_default();
    if verb == "end" {
        open.pop()?;
        return Some(action.to_owned());
    }
    let inherited = open.last().copied().unwrap_or(Body::Plain);
    let mut text = action.to_owned();
    for (old, new) in [
        (".Updated.Images", ".Changed.Changes"),
        (".Updated.Files", ".Changed.FileChanges"),
        (".Updated.Objects", ".Changed.Objects"),
        (".Changed.ImageResult.Images", ".Changed.Changes"),
        (".Changed.ImageResult.Files", ".Changed.FileChanges"),
        (".Changed.ImageResult.Objects", ".Changed.Objects"),
    ] {
        text = text.replace(old, new);
    }
    if !matches!(verb, "range" | "with" | "if" | "block" | "define") {
        let is_about_more = text != action;
        return match is_about_more {
            // A list that is printed or indexed has become a list of something else.
            true => None,
            false => in_body(action, inherited),
        };
    }
    let body = match (verb, text == action) {
        ("range", false) => {
            let variables: Vec<&str> = words
                .split_once(":=")
                .map(|(left, _)| left)
                .unwrap_or_default()
                .trim_start_matches("range")
                .split(',')
                .map(str::trim)
                .filter(|name| !name.is_empty())
                .collect();
            let lists_images = text.contains(".Changed.Changes");
            match (lists_images, variables.as_slice()) {
                (true, []) => Body::Image,
                (true, [name] | [_, name]) => Body::ImageIn(name),
                (false, [_, value]) => Body::Keys(Some(value)),
                _ => return None,
            }
        }
        ("if", false) => inherited,
        // Nothing in it knows what it was.
        (_, false) => return None,
        ("range" | "with", true) => {
            text = in_body(action, inherited)?;
            match inherited {
                // The dot is another one now; variables stay what they are.
                Body::Image => Body::Plain,
                other => other,
            }
        }
        (_, true) => {
            text = in_body(action, inherited)?;
            inherited
        }
    };
    open.push(body);
    Some(text)
}

/// An action within a range.
fn in_body(action: &str, body: Body<'_>) -> Option<String> {
    match body {
        Body::Plain | Body::Keys(None) => Some(action.to_owned()),
        Body::Keys(Some(name)) => {
            let is_used = tokens(action).any(|(_, token)| is_variable(token, name));
            (!is_used).then(|| action.to_owned())
        }
        Body::Image => replace(action, |token| match token {
            "." => Some(Some(".NewValue")),
            // A part of an image name, which a change does not have.
            field if field.starts_with('.') => None,
            _ => Some(None),
        }),
        Body::ImageIn(name) => {
            let changed = format!("{name}.NewValue");
            let mut text = String::with_capacity(action.len());
            let mut end = 0;
            for (at, token) in tokens(action) {
                if token != name && is_variable(token, name) {
                    return None;
                }
                if token == name {
                    text.push_str(action.get(end..at)?);
                    text.push_str(&changed);
                    end = at + token.len();
                }
            }
            text.push_str(action.get(end..)?);
            Some(text)
        }
    }
}

fn is_variable(token: &str, name: &str) -> bool {
    let rest = token.strip_prefix(name);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// Replaces tokens: `None` gives up, `Some(None)` leaves one as it is.
fn replace(action: &str, decide: impl Fn(&str) -> Option<Option<&'static str>>) -> Option<String> {
    let mut text = String::with_capacity(action.len());
    let mut end = 0;
    for (at, token) in tokens(action) {
        if let Some(new) = decide(token)? {
            text.push_str(action.get(end..at)?);
            text.push_str(new);
            end = at + token.len();
        }
    }
    text.push_str(action.get(end..)?);
    Some(text)
}

/// Words of an action with their places; strings are no words.
fn tokens(action: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut found = Vec::new();
    let mut start = None;
    let mut quote = None;
    for (at, character) in action.char_indices() {
        let is_part = quote.is_none()
            && (character.is_alphanumeric() || matches!(character, '.' | '_' | '$'));
        match (is_part, start) {
            (true, None) => start = Some(at),
            (false, Some(from)) => {
                found.extend(action.get(from..at).map(|token| (from, token)));
                start = None;
            }
            _ => {}
        }
        match (quote, character) {
            (None, '"' | '`') => quote = Some(character),
            (Some(open), close) if open == close => quote = None,
            _ => {}
        }
    }
    found.into_iter()
}

#[cfg(test)]
mod tests {
    use super::rewrite;

    #[test]
    fn templates_say_the_same_in_new_words() {
        for (old, new) in [
            (
                "{{range .Updated.Images}}{{println .}}{{end}}",
                "{{range .Changed.Changes}}{{println .NewValue}}{{end}}",
            ),
            (
                "Images:\n{{ range .Updated.Images -}}\n- {{ . }}\n{{ end -}}\n",
                "Images:\n{{ range .Changed.Changes -}}\n- {{ .NewValue }}\n{{ end -}}\n",
            ),
            (
                "{{ range $image := .Updated.Images }}{{ $image }} \"{{ \".\" }}\"{{ end }}",
                "{{ range $image := .Changed.Changes }}{{ $image.NewValue }} \"{{ \".\" }}\"{{ end }}",
            ),
            (
                "{{ range $file, $_ := .Updated.Files }}{{ $file }}{{ end }}",
                "{{ range $file, $_ := .Changed.FileChanges }}{{ $file }}{{ end }}",
            ),
            (
                "{{ range $object, $_ := .Changed.ImageResult.Objects }}{{ $object.Kind }}{{ end }}",
                "{{ range $object, $_ := .Changed.Objects }}{{ $object.Kind }}{{ end }}",
            ),
            (
                "{{ if .Updated.Images }}{{ range .Updated.Images }}{{.}}{{ end }}{{ end }}",
                "{{ if .Changed.Changes }}{{ range .Changed.Changes }}{{.NewValue}}{{ end }}{{ end }}",
            ),
            ("{{ .AutomationObject }}", "{{ .AutomationObject }}"),
        ] {
            assert_eq!(rewrite(old).as_deref(), Some(new), "{old}");
        }
    }

    #[test]
    fn what_has_no_counterpart_is_left_to_people() {
        for text in [
            "{{ range .Updated.Images }}{{ .Repository }}{{ end }}",
            "{{ range $f, $r := .Updated.Files }}{{ range $o, $i := $r.Objects }}{{ $o }}{{ end }}{{ end }}",
            "{{ index .Updated.Images 0 }}",
            "{{ with .Updated }}{{ .Images }}{{ end }}",
            "{{ range .Updated.Images }}",
        ] {
            assert_eq!(rewrite(text), None, "{text}");
        }
    }
}
