//! Ignore patterns with the semantics of Flux's artifacts (go-git's matcher), which differ from
//! git's own: the last matching pattern wins and a file below an excluded directory can still be
//! included, so `/*` followed by `!/deploy` keeps everything below `deploy`.
//!
//! Only the pattern language: who collects `.sourceignore` files from a tree is the caller.

/// Name of the file in a repository that holds patterns for its own directory and below.
pub const IGNORE_FILE: &str = ".sourceignore";

/// Excluded always, unless negated: what only Git itself reads.
const VCS: &[&str] = &[".git/", ".gitignore", ".gitmodules", ".gitattributes"];

/// Excluded as long as nobody writes any pattern: media, archives, CI and tool configuration.
const DEFAULTS: &[&str] = &[
    "*.jpg",
    "*.jpeg",
    "*.gif",
    "*.png",
    "*.wmv",
    "*.flv",
    "*.tar.gz",
    "*.zip",
    ".github/",
    ".circleci/",
    ".travis.yml",
    ".gitlab-ci.yml",
    "appveyor.yml",
    ".drone.yml",
    "cloudbuild.yaml",
    "codeship-services.yml",
    "codeship-steps.yml",
    "**/.goreleaser.yml",
    "**/.sops.yaml",
    "**/.flux.yaml",
];

/// Patterns in ascending priority.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IgnoreList {
    patterns: Vec<Pattern>,
}

impl IgnoreList {
    /// A list that ignores nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads patterns, one a line; empty lines and lines that begin with `#` are skipped.
    /// `domain` is the directory (path segments from the root) below which they apply: empty for
    /// `spec.ignore`, the file's own directory for a `.sourceignore`.
    pub fn parse(text: &str, domain: &[&str]) -> Self {
        let patterns = text
            .lines()
            .filter(|line| !line.starts_with('#') && !line.trim().is_empty())
            .map(|line| Pattern::parse(line, domain))
            .collect();
        Self { patterns }
    }

    /// The list that decides for a source: `.sourceignore` patterns found in the tree, in whatever
    /// order, those of a directory before those below it; then `spec.ignore`. As soon as either has a
    /// pattern, only the exclusion of Git's own files remains of the built-in ones.
    pub fn effective(mut tree: Self, spec: &Self) -> Self {
        tree.patterns.sort_by(|a, b| a.domain.cmp(&b.domain));
        let built_in = if tree.is_empty() && spec.is_empty() {
            [VCS, DEFAULTS].concat()
        } else {
            VCS.to_vec()
        };
        let mut list = Self::parse(&built_in.join("\n"), &[]);
        list.patterns.extend(tree.patterns);
        list.patterns.extend(spec.patterns.iter().cloned());
        list
    }

    /// Whether there is no pattern.
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Keeps the patterns of those files in a tree of which `holds` says so, by their paths.
    pub fn retain_files(&mut self, holds: impl Fn(&str) -> bool) {
        self.patterns.retain(|pattern| {
            let mut path = pattern.domain.clone();
            path.push(IGNORE_FILE.to_owned());
            holds(&path.join("/"))
        });
    }

    /// Appends patterns with higher priority.
    pub fn extend(&mut self, higher: Self) {
        self.patterns.extend(higher.patterns);
    }

    /// Whether the file or directory is left out. `path` is relative to the root, with `/`.
    pub fn ignores(&self, path: &str, is_dir: bool) -> bool {
        let segments: Vec<&str> = path.split('/').collect();
        self.patterns
            .iter()
            .rev()
            .find(|pattern| pattern.matches(&segments, is_dir))
            .is_some_and(|pattern| !pattern.include)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Pattern {
    domain: Vec<String>,
    include: bool,
    only_dirs: bool,
    form: Form,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Form {
    /// No slash: matches any segment of the path.
    Name(Glob),
    /// With a slash: matches from the domain on.
    Path(Vec<Segment>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    /// Left and right of a leading, trailing or doubled slash.
    Empty,
    /// `**`: any number of directories.
    AnyDirs,
    One(Glob),
}

impl Pattern {
    fn parse(line: &str, domain: &[&str]) -> Self {
        let (include, mut text) = match line.strip_prefix('!') {
            Some(rest) => (true, rest),
            None => (false, line),
        };
        if !text.ends_with("\\ ") {
            text = text.trim_end_matches(' ');
        }
        let only_dirs = text.ends_with('/');
        text = text.strip_suffix('/').unwrap_or(text);
        let form = if text.contains('/') {
            Form::Path(text.split('/').map(Segment::parse).collect())
        } else {
            Form::Name(Glob::parse(text))
        };
        Self {
            domain: domain.iter().map(|&d| d.to_owned()).collect(),
            include,
            only_dirs,
            form,
        }
    }

    fn matches(&self, path: &[&str], is_dir: bool) -> bool {
        let Some((head, rest)) = path.split_at_checked(self.domain.len()) else {
            return false;
        };
        if rest.is_empty()
            || head
                .iter()
                .zip(&self.domain)
                .any(|(have, want)| have != want)
        {
            return false;
        }
        // What is left of the path after the pattern: nothing means that it names the entry
        // itself, anything else that it names a directory above it.
        let left = match &self.form {
            Form::Name(glob) => rest
                .iter()
                .position(|name| glob.matches(name))
                .map(|at| rest.len() - at - 1),
            Form::Path(segments) => match_path(segments, rest),
        };
        left.is_some_and(|left| left > 0 || is_dir || !self.only_dirs)
    }
}

impl Segment {
    fn parse(text: &str) -> Self {
        match text {
            "" => Self::Empty,
            "**" => Self::AnyDirs,
            // A segment that only contains `**` never matches anything.
            other if other.contains("**") => Self::One(Glob::never()),
            other => Self::One(Glob::parse(other)),
        }
    }
}

/// Matches segments against the start of a path; returns how many path segments are left.
fn match_path(segments: &[Segment], path: &[&str]) -> Option<usize> {
    let mut rest = path;
    let mut skip_dirs = false;
    let mut matched = false;
    for segment in segments {
        match segment {
            Segment::Empty => skip_dirs = false,
            Segment::AnyDirs => skip_dirs = true,
            Segment::One(glob) => {
                let reach = if skip_dirs { rest.len() } else { 1 };
                let at = rest
                    .iter()
                    .take(reach)
                    .position(|name| glob.matches(name))?;
                rest = rest.get(at + 1..)?;
                skip_dirs = false;
                matched = true;
            }
        }
    }
    matched.then_some(rest.len())
}

/// One path segment in the language of Go's `filepath.Match`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Glob(Option<Vec<Token>>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Literal(char),
    /// `?`
    AnyChar,
    /// `*`
    AnyText,
    /// `[a-z]`, `[^a-z]`
    Class {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
}

impl Glob {
    /// What a malformed pattern becomes.
    fn never() -> Self {
        Self(None)
    }

    fn parse(text: &str) -> Self {
        let mut chars = text.chars().peekable();
        let mut tokens = Vec::new();
        while let Some(c) = chars.next() {
            let token = match c {
                '*' => Token::AnyText,
                '?' => Token::AnyChar,
                '[' => match parse_class(&mut chars) {
                    Some(class) => class,
                    None => return Self::never(),
                },
                '\\' => match chars.next() {
                    Some(escaped) => Token::Literal(escaped),
                    None => return Self::never(),
                },
                other => Token::Literal(other),
            };
            tokens.push(token);
        }
        Self(Some(tokens))
    }

    fn matches(&self, name: &str) -> bool {
        let Some(tokens) = &self.0 else { return false };
        let name: Vec<char> = name.chars().collect();
        let (mut token, mut at) = (0, 0);
        // The last `*` seen and where its text may grow to: enough backtracking for globs.
        let mut retry: Option<(usize, usize)> = None;
        loop {
            match (tokens.get(token), name.get(at)) {
                (Some(Token::AnyText), _) => {
                    retry = Some((token + 1, at));
                    token += 1;
                    continue;
                }
                (Some(one), Some(&c)) if one.accepts(c) => {
                    token += 1;
                    at += 1;
                    continue;
                }
                (None, None) => return true,
                _ => {}
            }
            match retry {
                Some((after, from)) if from < name.len() => {
                    retry = Some((after, from + 1));
                    token = after;
                    at = from + 1;
                }
                _ => return false,
            }
        }
    }
}

impl Token {
    fn accepts(&self, c: char) -> bool {
        match self {
            Self::Literal(literal) => *literal == c,
            Self::AnyChar => true,
            Self::AnyText => false,
            Self::Class { negated, ranges } => {
                ranges.iter().any(|(low, high)| (*low..=*high).contains(&c)) != *negated
            }
        }
    }
}

/// The rest of a class after `[`; none when it is malformed.
fn parse_class(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<Token> {
    let negated = chars.next_if_eq(&'^').is_some();
    let mut ranges = Vec::new();
    loop {
        if !ranges.is_empty() && chars.next_if_eq(&']').is_some() {
            return Some(Token::Class { negated, ranges });
        }
        let low = class_char(chars)?;
        let high = match chars.next_if_eq(&'-') {
            Some(_) => class_char(chars)?,
            None => low,
        };
        ranges.push((low, high));
    }
}

fn class_char(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<char> {
    match chars.next()? {
        '-' | ']' => None,
        '\\' => chars.next(),
        c => Some(c),
    }
}

#[cfg(test)]
mod tests;
