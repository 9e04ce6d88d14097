//! Where a redirect may lead. Pure.
//!
//! Only the listing of refs is redirected, as with git's `http.followRedirects=initial`; what is asked
//! after it goes to where the listing came from. To another host only those are led who have no
//! credentials, since whoever answers for the first host would decide who gets them.

use reqwest::redirect::Policy;
use url::Url;

/// Path below the repository for the listing of refs.
pub(crate) const INFO_REFS: &str = "/info/refs";

/// How many redirects the first request of an operation may take.
const REDIRECTS: usize = 5;

/// The rules as those of a client; `anonymous` is one that has neither a login nor a certificate.
pub(crate) fn policy(anonymous: bool) -> Policy {
    Policy::custom(move |attempt| {
        let may = attempt.previous().len() <= REDIRECTS
            && attempt
                .previous()
                .last()
                .is_some_and(|from| may_lead(from, attempt.url(), anonymous));
        if may {
            attempt.follow()
        } else {
            attempt.stop()
        }
    })
}

fn may_lead(from: &Url, to: &Url, anonymous: bool) -> bool {
    let secure = to.scheme() == "https";
    let same_host = from.host_str() == to.host_str();
    let same_server = same_host && from.scheme() == to.scheme() && from.port() == to.port();
    to.path().ends_with(INFO_REFS) && (same_server || secure && (same_host || anonymous))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_redirect_may_lead() {
        // from, to, whether with credentials, whether without
        for (from, to, with, without) in [
            ("https://a/r", "https://a/s", true, true),
            ("http://a/r", "http://a/s", true, true),
            ("http://a/r", "https://a/r", true, true),
            ("https://a/r", "https://a:8443/r", true, true),
            ("https://a/r", "http://a/r", false, false),
            ("http://a/r", "http://a:8080/r", false, false),
            ("https://a/r", "https://b/r", false, true),
            ("http://a/r", "https://b/r", false, true),
            ("https://a/r", "http://b/r", false, false),
            ("http://a/r", "http://b/r", false, false),
        ] {
            let url = |text: &str| Url::parse(&format!("{text}.git{INFO_REFS}?service=x")).unwrap();
            let (from, to) = (url(from), url(to));
            assert_eq!(may_lead(&from, &to, false), with, "{from} {to}");
            assert_eq!(may_lead(&from, &to, true), without, "{from} {to}");
        }
        let from = Url::parse("https://a/r/info/refs").unwrap();
        let login = Url::parse("https://a/login?to=/info/refs").unwrap();
        assert!(!may_lead(&from, &login, true));
    }
}
