//! The `Link` header with which a registry names the next page of a list (RFC 8288).

use url::Url;

/// Why a next page is not followed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BadLink(pub(crate) String);

/// The next page after `current`, from the values of its `Link` headers.
///
/// Only a page of the same host is followed, since the login goes with it; its path and query are
/// taken and our own scheme and port kept, because registries behind a proxy often do not know
/// theirs. A link without `rel` counts as the next page, as in go-containerregistry.
pub(crate) fn next_page<'a>(
    current: &Url,
    headers: impl IntoIterator<Item = &'a str>,
) -> Result<Option<Url>, BadLink> {
    for header in headers {
        for (target, parameters) in links(header)? {
            if !is_next(parameters) {
                continue;
            }
            let next = current
                .join(target)
                .map_err(|_| BadLink(format!("the next page '{target}' is not a URL")))?;
            let same_host = next.host() == current.host()
                && (next.port().is_none() || next.port() == current.port());
            if !same_host || !matches!(next.scheme(), "http" | "https") {
                return Err(BadLink(format!(
                    "the next page is on another host, '{}'",
                    next.host_str().unwrap_or_default()
                )));
            }
            let mut page = current.clone();
            page.set_path(next.path());
            page.set_query(next.query());
            return Ok(Some(page));
        }
    }
    Ok(None)
}

/// Targets and parameter texts of a header value: `<target>; rel="next", <other>`.
fn links(header: &str) -> Result<Vec<(&str, &str)>, BadLink> {
    let mut rest = header.trim();
    let mut links = Vec::new();
    while !rest.is_empty() {
        let (target, after) = rest
            .strip_prefix('<')
            .and_then(|inside| inside.split_once('>'))
            .ok_or_else(|| BadLink("its Link header has no <URL>".to_owned()))?;
        let end = end_of_parameters(after);
        let (parameters, following) = after.split_at(end);
        links.push((target, parameters));
        rest = following.trim_start_matches([',', ' ', '\t']);
    }
    Ok(links)
}

/// Where the first comma outside quotes stands.
fn end_of_parameters(text: &str) -> usize {
    let mut quoted = false;
    for (index, byte) in text.bytes().enumerate() {
        match byte {
            b'"' => quoted = !quoted,
            b',' if !quoted => return index,
            _ => {}
        }
    }
    text.len()
}

fn is_next(parameters: &str) -> bool {
    let relation = parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim()
            .eq_ignore_ascii_case("rel")
            .then(|| value.trim().trim_matches('"'))
    });
    relation.is_none_or(|relation| {
        relation
            .split_whitespace()
            .any(|word| word.eq_ignore_ascii_case("next"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn next_pages() {
        let current = Url::parse("https://r.example:5000/v2/a/tags/list?n=2").unwrap();
        let next = |header: &str| next_page(&current, [header]).map(|url| url.map(String::from));
        let at = |rest: &str| Ok(Some(format!("https://r.example:5000{rest}")));
        assert_eq!(
            next(r#"</v2/a/tags/list?last=b&n=2>; rel="next""#),
            at("/v2/a/tags/list?last=b&n=2")
        );
        assert_eq!(next(r#"<?last=b>; rel=next"#), at("/v2/a/tags/list?last=b"));
        assert_eq!(
            next("</v2/a/tags/list?last=b>"),
            at("/v2/a/tags/list?last=b")
        );
        assert_eq!(
            next(r#"</x>; rel="prev"; title="a,b", </y>; rel="last next""#),
            at("/y")
        );
        assert_eq!(
            next("<http://r.example/p?q>; rel=next"),
            at("/p?q"),
            "behind a proxy"
        );
        assert_eq!(next(r#"</x>; rel="prev""#), Ok(None));
        assert_eq!(next(""), Ok(None));
        for bad in [
            "<https://evil.example/x>; rel=next",
            "<https://r.example:1/x>",
            "/x; rel=next",
            "<x",
        ] {
            assert!(next(bad).is_err(), "{bad}");
        }
    }
}
