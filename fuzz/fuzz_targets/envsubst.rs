//! Variables in a text: an escaped text comes back as it was, whatever is expanded stays bounded,
//! and places that errors name are in the text.

#![no_main]

use flux_fuzz::assert_line_of;
use flux_lang::envsubst::{Error, MAX_RESULT, Unset, expand};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&str, &str)| {
    let (text, value) = input;
    let lookup = |name: &str| (!name.starts_with('n')).then_some(value);
    for unset in [Unset::Error, Unset::Empty] {
        match expand(text, unset, &lookup) {
            Ok(result) => assert!(result.len() <= MAX_RESULT + text.len()),
            Err(
                Error::Syntax { line, .. }
                | Error::TooLarge { line, .. }
                | Error::NotText { line, .. },
            ) => assert_line_of(text, line),
            Err(Error::NotSet(missing)) => {
                assert_eq!(unset, Unset::Error);
                for variable in missing {
                    assert_line_of(text, variable.line);
                }
            }
        }
    }
    let escaped = text.replace('$', "$$");
    assert_eq!(expand(&escaped, Unset::Error, &lookup).as_deref(), Ok(text));
});
