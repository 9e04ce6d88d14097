//! Git URLs: nothing that is shown contains a password, and what is shown is the same URL again.

#![no_main]

use flux_lang::giturl::GitUrl;
use libfuzzer_sys::fuzz_target;

const PASSWORD: &str = "Canary0Password";

fuzz_target!(|input: (&str, &str, &str)| {
    let (scheme, user, rest) = input;
    parse(rest);
    let scheme = ["https", "http", "ssh", scheme][scheme.len() % 4];
    let with_password = format!("{scheme}://{user}:{PASSWORD}@{rest}");
    parse(&format!("{scheme}://{user}@{rest}"));
    if let Some(url) = parse(&with_password)
        && !user.contains(['/', '\\', '?', '#'])
    {
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
    // In the path it is no password.
    if !url.path().contains(PASSWORD) && !url.host().contains(&PASSWORD.to_ascii_lowercase()) {
        assert!(!format!("{shown} {url:?}").contains(PASSWORD), "{shown}");
    }
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
