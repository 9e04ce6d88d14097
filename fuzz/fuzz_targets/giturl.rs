//! Git URLs: nothing that is shown contains a password, and what is shown is the same URL again.
//!
//! The input's lines are a scheme, a user and the rest of the URL.

#![no_main]

use flux_lang::giturl::GitUrl;
use libfuzzer_sys::fuzz_target;

/// Not the end of anything percent-encoded.
const PASSWORD: &str = "S3cretPassword";

fuzz_target!(|text: &str| {
    // The fuzzer finds the word in here, and would put it where it is no password.
    if text.contains(PASSWORD) {
        return;
    }
    let mut lines = text.splitn(3, '\n');
    let mut line = || lines.next().unwrap_or_default();
    let (scheme, user, rest) = (line(), line(), line());
    parse(rest);
    // What follows these is no longer user and password.
    if scheme.contains(':') || user.contains(['/', '\\', '?', '#']) {
        return;
    }
    let with_password = format!("{scheme}://{user}:{PASSWORD}@{rest}");
    parse(&format!("{scheme}://{user}@{rest}"));
    if let Some(url) = parse(&with_password) {
        assert!(url.password().is_some(), "{with_password:?}");
    }
});

/// The URL with all that holds for every text; an error says nothing of the password either.
fn parse(text: &str) -> Option<GitUrl> {
    let url = match GitUrl::parse(text) {
        Ok(url) => url,
        Err(error) => {
            assert!(!format!("{error} {error:?}").contains(PASSWORD), "{error}");
            return None;
        }
    };
    let shown = url.to_string();
    assert!(!format!("{shown} {url:?}").contains(PASSWORD), "{shown}");
    let again = GitUrl::parse(&shown).unwrap_or_else(|error| panic!("{shown:?}: {error}"));
    assert_eq!(again.to_string(), shown);
    assert_eq!(again.password(), None, "{shown}");
    assert_eq!(
        (again.scheme(), again.host(), again.port(), again.path()),
        (url.scheme(), url.host(), url.port(), url.path())
    );
    if url.is_ssh() {
        assert_eq!(again.user(), url.user(), "{shown}");
    }
    let bare = GitUrl::parse(&url.without_user()).expect("a URL without its user");
    assert_eq!(bare.user(), None);
    Some(url)
}
