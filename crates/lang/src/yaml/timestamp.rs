//! Which plain scalars Go's YAML library takes for a timestamp. They stay strings when read, but
//! are quoted when written.

/// Whether `text` has one of the four forms that go-yaml 2 tries with Go's `time.Parse`:
/// `2006-1-2T15:4:5.9Z07:00` (also with `t`), `2006-1-2 15:4:5.9` and `2006-1-2`.
pub(super) fn is_timestamp(text: &str) -> bool {
    parse(text).is_some()
}

/// The text as it is taken apart from the left.
struct Rest<'t>(&'t str);

impl Rest<'_> {
    fn byte(&mut self, expected: u8) -> Option<()> {
        (self.0.bytes().next()? == expected).then(|| self.skip(1))
    }

    fn skip(&mut self, length: usize) {
        self.0 = self.0.get(length..).unwrap_or_default();
    }

    /// One or two digits, as few as there are, up to `max`.
    fn number(&mut self, max: u32) -> Option<u32> {
        let length = self
            .0
            .bytes()
            .take(2)
            .take_while(u8::is_ascii_digit)
            .count();
        let value = self.0.get(..length)?.parse().ok()?;
        self.skip(length);
        (value <= max).then_some(value)
    }

    /// Exactly two digits up to `max`.
    fn two_digits(&mut self, max: u32) -> Option<u32> {
        let digits = self.0.get(..2)?;
        digits.bytes().all(|b| b.is_ascii_digit()).then_some(())?;
        self.number(max)
    }

    /// `.123` or `,123`, of any length; absent is fine.
    fn fraction(&mut self) {
        let Some(digits) = self.0.strip_prefix(['.', ',']) else {
            return;
        };
        let length = digits.bytes().take_while(u8::is_ascii_digit).count();
        if length > 0 {
            self.skip(1 + length);
        }
    }

    fn zone(&mut self) -> Option<()> {
        match self.0.bytes().next()? {
            b'Z' => self.skip(1),
            b'+' | b'-' => {
                self.skip(1);
                self.two_digits(24)?;
                self.byte(b':')?;
                self.two_digits(60)?;
            }
            _ => return None,
        }
        Some(())
    }
}

fn parse(text: &str) -> Option<()> {
    let mut rest = Rest(text);
    let year = text.get(..4)?;
    year.bytes().all(|b| b.is_ascii_digit()).then_some(())?;
    let year: u32 = year.parse().ok()?;
    rest.skip(4);
    rest.byte(b'-')?;
    let month = rest.number(12).filter(|month| *month > 0)?;
    rest.byte(b'-')?;
    let day = rest.number(31)?;
    (1..=days(year, month)).contains(&day).then_some(())?;
    let separator = match rest.0.bytes().next() {
        None => return Some(()),
        Some(separator @ (b'T' | b't' | b' ')) => separator,
        Some(_) => return None,
    };
    rest.skip(1);
    rest.number(23)?;
    rest.byte(b':')?;
    rest.number(59)?;
    rest.byte(b':')?;
    rest.number(59)?;
    rest.fraction();
    if separator != b' ' {
        rest.zone()?;
    }
    rest.0.is_empty().then_some(())
}

fn days(year: u32, month: u32) -> u32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year.is_multiple_of(if year.is_multiple_of(100) { 400 } else { 4 }) => 29,
        2 => 28,
        _ => 31,
    }
}
