//! Finding scalars and comments in YAML: they stand where they are said to stand.

#![no_main]

use flux_fuzz::assert_line_of;
use flux_lang::yaml::{self, Style, Target};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let found = match yaml::annotations(text) {
        Ok(found) => found,
        Err(error) => {
            assert_line_of(text, error.line);
            let read = yaml::read(text);
            assert!(read.is_err(), "read, but not searched: {error}");
            return;
        }
    };
    for comment in found.comments {
        assert_line_of(text, comment.line);
        assert!(comment.document < found.documents.len());
        for line in comment.text.split("\n#") {
            assert!(text.contains(line), "{line:?}");
        }
        let Target::Scalar(scalar) = comment.target else {
            continue;
        };
        assert_line_of(text, scalar.line);
        assert_eq!(scalar.comment, comment.text);
        assert_eq!(scalar.document, comment.document);
        let token = text.get(scalar.range).expect("a range of the text");
        if token.contains(['\n', '\r']) {
            continue;
        }
        let bare = match scalar.style {
            Style::Plain => Some(token),
            Style::SingleQuoted => token.strip_prefix('\'').and_then(|t| t.strip_suffix('\'')),
            Style::DoubleQuoted => token.strip_prefix('"').and_then(|t| t.strip_suffix('"')),
            Style::Block => continue,
        };
        let bare = bare.unwrap_or_else(|| panic!("{token:?} is not {:?}", scalar.style));
        if !bare.contains(['\\', '\'']) {
            assert_eq!(bare, scalar.value);
        }
    }
});
