//! Version ranges: `^1.2`, `>=1.0.0-0 <2 || 3.x`, `1.2 - 2.3`.

use std::cmp::Ordering;
use std::sync::LazyLock;

use regex::{Captures, Regex};

use super::Version;

/// Longest range that is looked at, in bytes (`MaxConstraintLen` of the Go library).
const MAX_LENGTH: usize = 512;
/// Most alternatives separated by `||` (`MaxConstraintGroups` of the Go library).
const MAX_GROUPS: usize = 32;

const OPERATORS: &str = r"=||!=|>|<|>=|=>|<=|=<|~|~>|\^";
/// A version in a range. `|` inside the class is Masterminds' own slip and kept: it decides
/// which texts are refused, and with what.
const VERSION: &str = concat!(
    r"v?([0-9|x|X|\*]+)(\.[0-9|x|X|\*]+)?(\.[0-9|x|X|\*]+)?",
    r"(-([0-9A-Za-z\-]+(\.[0-9A-Za-z\-]+)*))?",
    r"(\+([0-9A-Za-z\-]+(\.[0-9A-Za-z\-]+)*))?",
);
/// Go's `\s`.
const SPACE: &str = r"[\t\n\f\r ]";

/// One comparator, whole text.
static COMPARATOR: LazyLock<Regex> = LazyLock::new(|| {
    compiled(&format!(
        r"^{SPACE}*({OPERATORS}){SPACE}*({VERSION}){SPACE}*$"
    ))
});
/// `A - B`.
static HYPHEN: LazyLock<Regex> = LazyLock::new(|| {
    compiled(&format!(
        r"{SPACE}*({VERSION}){SPACE}+-{SPACE}+({VERSION}){SPACE}*"
    ))
});
/// The comparators of a group, one after the other.
static COMPARATORS: LazyLock<Regex> =
    LazyLock::new(|| compiled(&format!(r"({OPERATORS}){SPACE}*({VERSION})")));
/// A group as a whole: comparators separated by space or comma.
static GROUP: LazyLock<Regex> = LazyLock::new(|| {
    let one = format!(r"({OPERATORS}){SPACE}*({VERSION}){SPACE}*");
    compiled(&format!(r"^({SPACE}*{one})((?:{SPACE}+|,{SPACE}*){one})*$"))
});

#[expect(
    clippy::expect_used,
    reason = "the patterns are constants and covered by tests"
)]
fn compiled(pattern: &str) -> Regex {
    Regex::new(pattern).expect("constant pattern")
}

/// A version range, in the grammar of Masterminds/semver 3.5.
///
/// Pre-releases match only where a comparator of the same `||` alternative has one:
/// `>=1.0.0-0` admits `2.0.0-rc1`, `>=1.0.0` does not.
#[derive(Clone, Debug)]
pub struct Constraint {
    groups: Vec<Group>,
}

/// Comparators that must all hold.
#[derive(Clone, Debug)]
struct Group {
    comparators: Vec<Comparator>,
    pre_releases: bool,
}

/// Why a text is not a version range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConstraintError {
    /// More than 512 bytes.
    #[error("constraint string is too long (max {MAX_LENGTH} bytes)")]
    TooLong,
    /// More than 32 alternatives.
    #[error("too many constraint groups (max {MAX_GROUPS})")]
    TooManyGroups,
    /// Not in the grammar; the part between two `||` that is not.
    #[error("improper constraint: {0:?}")]
    Improper(String),
    /// A number that does not fit, or a wildcard beside digits such as `1x`.
    #[error("constraint parser error in {0:?}")]
    Version(String),
}

impl Constraint {
    /// Reads a range. An empty text is an error, not "any version".
    ///
    /// # Errors
    /// [`ConstraintError`], which quotes the part that cannot be read.
    pub fn parse(text: &str) -> Result<Self, ConstraintError> {
        if text.len() > MAX_LENGTH {
            return Err(ConstraintError::TooLong);
        }
        let text = expand_hyphens(text);
        let groups: Vec<&str> = text.split("||").collect();
        if groups.len() > MAX_GROUPS {
            return Err(ConstraintError::TooManyGroups);
        }
        let groups = groups
            .into_iter()
            .map(Group::parse)
            .collect::<Result<_, _>>()?;
        Ok(Self { groups })
    }

    /// Whether `version` lies in the range.
    #[must_use]
    pub fn matches(&self, version: &Version) -> bool {
        self.groups.iter().any(|group| group.matches(version))
    }

    /// Whether an alternative of the range admits pre-releases.
    #[must_use]
    pub fn admits_pre_releases(&self) -> bool {
        self.groups.iter().any(|group| group.pre_releases)
    }
}

fn expand_hyphens(text: &str) -> String {
    let mut out = text.to_owned();
    for found in HYPHEN.captures_iter(text) {
        // Group 1 is the lower bound; its nine inner groups precede the upper bound.
        let rewritten = format!(">= {}, <= {} ", group(&found, 1), group(&found, 11));
        out = out.replacen(group(&found, 0), &rewritten, 1);
    }
    out
}

fn group<'t>(captures: &Captures<'t>, index: usize) -> &'t str {
    captures.get(index).map_or("", |m| m.as_str())
}

impl Group {
    fn parse(text: &str) -> Result<Self, ConstraintError> {
        if !GROUP.is_match(text) {
            return Err(ConstraintError::Improper(text.to_owned()));
        }
        let comparators = COMPARATORS
            .find_iter(text)
            .map(|found| Comparator::parse(found.as_str()))
            .collect::<Result<Vec<_>, _>>()?;
        let pre_releases = comparators
            .iter()
            .any(|c| !c.version.pre_release().is_empty());
        Ok(Self {
            comparators,
            pre_releases,
        })
    }

    fn matches(&self, version: &Version) -> bool {
        (version.pre_release().is_empty() || self.pre_releases)
            && self.comparators.iter().all(|c| c.matches(version))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    /// No operator or `=`: equal, or like [`Operator::Tilde`] with a wildcard.
    Equal,
    NotEqual,
    Greater,
    Less,
    GreaterEqual,
    LessEqual,
    Tilde,
    Caret,
}

/// The first number that the text leaves open (`1.x`, `1`), if any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Open {
    Nothing,
    Major,
    Minor,
    Patch,
}

#[derive(Clone, Debug)]
struct Comparator {
    operator: Operator,
    version: Version,
    open: Open,
}

impl Comparator {
    fn parse(text: &str) -> Result<Self, ConstraintError> {
        let found = COMPARATOR
            .captures(text)
            .ok_or_else(|| ConstraintError::Improper(text.to_owned()))?;
        let operator = match group(&found, 1) {
            "!=" => Operator::NotEqual,
            ">" => Operator::Greater,
            "<" => Operator::Less,
            ">=" | "=>" => Operator::GreaterEqual,
            "<=" | "=<" => Operator::LessEqual,
            "~" | "~>" => Operator::Tilde,
            "^" => Operator::Caret,
            _ => Operator::Equal,
        };
        let (major, minor, patch, pre) = (
            group(&found, 3),
            group(&found, 4),
            group(&found, 5),
            group(&found, 6),
        );
        let (open, written) = if is_open(major) {
            (Open::Major, format!("0.0.0{pre}"))
        } else if is_open(minor) {
            (Open::Minor, format!("{major}.0.0{pre}"))
        } else if is_open(patch) {
            (Open::Patch, format!("{major}{minor}.0{pre}"))
        } else {
            (Open::Nothing, group(&found, 2).to_owned())
        };
        let version =
            Version::parse(&written).map_err(|_| ConstraintError::Version(text.to_owned()))?;
        Ok(Self {
            operator,
            version,
            open,
        })
    }

    fn matches(&self, v: &Version) -> bool {
        let c = &self.version;
        match self.operator {
            Operator::Equal if self.open == Open::Nothing => v == c,
            Operator::Equal | Operator::Tilde => self.tilde(v),
            Operator::NotEqual => self.not_equal(v),
            Operator::Greater => self.greater(v),
            Operator::Less => v < c,
            Operator::GreaterEqual => v >= c,
            Operator::LessEqual if self.open == Open::Nothing => v <= c,
            Operator::LessEqual => match v.major.cmp(&c.major) {
                Ordering::Less => true,
                Ordering::Equal => v.minor <= c.minor || self.open == Open::Minor,
                Ordering::Greater => false,
            },
            Operator::Caret => self.caret(v),
        }
    }

    /// `~1.2.3` is `>=1.2.3 <1.3.0`, `~1.2` is `>=1.2.0 <1.3.0`, `~1` is `>=1.0.0 <2.0.0`;
    /// `~*` and, as in Go, `~0.0.0` admit everything.
    fn tilde(&self, v: &Version) -> bool {
        let c = &self.version;
        if v < c {
            return false;
        }
        let open_end = !matches!(self.open, Open::Minor | Open::Patch);
        if (c.major, c.minor, c.patch) == (0, 0, 0) && open_end {
            return true;
        }
        v.major == c.major && (v.minor == c.minor || self.open == Open::Minor)
    }

    fn not_equal(&self, v: &Version) -> bool {
        let c = &self.version;
        match self.open {
            Open::Nothing => v != c,
            _ if v.major != c.major => true,
            Open::Minor => false,
            _ if v.minor != c.minor => true,
            Open::Patch => v.pre_release() != c.pre_release(),
            Open::Major => v != c,
        }
    }

    /// `>11` means 12 or higher, `>11.1` means 11.2 or higher.
    fn greater(&self, v: &Version) -> bool {
        let c = &self.version;
        match (self.open, v.major.cmp(&c.major)) {
            (Open::Nothing, _) => v > c,
            (_, Ordering::Greater) => true,
            (_, Ordering::Less) | (Open::Minor, _) => false,
            (Open::Patch, _) => v.minor > c.minor,
            (Open::Major, _) => v > c,
        }
    }

    /// Everything up to the next change of the first number that is not 0.
    fn caret(&self, v: &Version) -> bool {
        let c = &self.version;
        if v < c {
            return false;
        }
        if c.major > 0 || self.open == Open::Minor {
            return v.major == c.major;
        }
        if v.major > 0 {
            return false;
        }
        if c.minor > 0 || self.open == Open::Patch {
            return v.minor == c.minor;
        }
        v.minor == 0 && v.patch == c.patch
    }
}

fn is_open(part: &str) -> bool {
    matches!(part.trim_start_matches('.'), "" | "x" | "X" | "*")
}
