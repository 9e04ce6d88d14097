//! Which of the YAML notations can carry a text: libyaml's analysis, which go-yaml 2 keeps.

/// How a string may be written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    /// Contains a line break.
    pub(super) multiline: bool,
    /// Plain inside `[]` and `{}`.
    pub(super) flow_plain_allowed: bool,
    /// Plain elsewhere.
    pub(super) block_plain_allowed: bool,
    pub(super) single_quoted_allowed: bool,
    /// `|`.
    pub(super) block_allowed: bool,
}

pub(super) fn is_break(c: char) -> bool {
    matches!(c, '\r' | '\n' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// Characters that may stand in a text without an escape. A tab may not, nor does anything above
/// the basic plane.
pub(super) fn is_printable(c: char) -> bool {
    matches!(c, '\n' | '\x20'..='\x7e' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}')
        && c != '\u{feff}'
}

impl Shape {
    pub(super) fn of(text: &str) -> Self {
        let mut shape = Self {
            multiline: false,
            flow_plain_allowed: true,
            block_plain_allowed: true,
            single_quoted_allowed: true,
            block_allowed: true,
        };
        if text.is_empty() {
            shape.flow_plain_allowed = false;
            shape.block_allowed = false;
            return shape;
        }
        if text.starts_with("---") || text.starts_with("...") {
            shape.forbid_plain();
        }
        let (mut special, mut space_break, mut break_space) = (false, false, false);
        let mut previous = None;
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            let before_blank = chars.peek().is_none_or(|next| matches!(next, ' ' | '\t'));
            let after_blank =
                previous.is_none_or(|p| matches!(p, ' ' | '\t' | '\0') || is_break(p));
            shape.indicator(c, previous.is_none(), after_blank, before_blank);
            special |= !is_printable(c);
            break_space |= c == ' ' && previous.is_some_and(is_break);
            if is_break(c) {
                shape.multiline = true;
                space_break |= previous == Some(' ');
            }
            previous = Some(c);
        }
        let at_edge = |c: Option<char>| c.is_some_and(|c| c == ' ' || is_break(c));
        if at_edge(text.chars().next()) || at_edge(previous) || shape.multiline {
            shape.forbid_plain();
        }
        if previous == Some(' ') {
            shape.block_allowed = false;
        }
        if break_space || space_break || special {
            shape.forbid_plain();
            shape.single_quoted_allowed = false;
        }
        if space_break || special {
            shape.block_allowed = false;
        }
        shape
    }

    fn forbid_plain(&mut self) {
        self.flow_plain_allowed = false;
        self.block_plain_allowed = false;
    }

    /// Characters that mean something to a YAML reader where they stand.
    fn indicator(&mut self, c: char, first: bool, after_blank: bool, before_blank: bool) {
        match c {
            '#' if first || after_blank => self.forbid_plain(),
            '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@' | '`' if first => {
                self.forbid_plain();
            }
            ',' | '[' | ']' | '{' | '}' if first => self.forbid_plain(),
            ',' | '[' | ']' | '{' | '}' => self.flow_plain_allowed = false,
            '-' if first && before_blank => self.forbid_plain(),
            '?' => {
                self.flow_plain_allowed = false;
                self.block_plain_allowed &= !(first && before_blank);
            }
            ':' => {
                self.flow_plain_allowed = false;
                self.block_plain_allowed &= !before_blank;
            }
            _ => {}
        }
    }
}
