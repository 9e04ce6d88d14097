//! Where code hosts take deploy keys. Pure.

use flux_lang::giturl::GitUrl;

/// Hosts with the names of their SSH servers, the host of their pages, and what follows the
/// repository in the address.
const FORGES: &[(&[&str], &str, &str)] = &[
    (
        &["github.com", "ssh.github.com"],
        "github.com",
        "/settings/keys/new",
    ),
    (
        &["gitlab.com", "altssh.gitlab.com"],
        "gitlab.com",
        "/-/settings/repository#js-deploy-keys-settings",
    ),
    (
        &["bitbucket.org", "altssh.bitbucket.org"],
        "bitbucket.org",
        "/admin/access-keys/",
    ),
    (&["codeberg.org"], "codeberg.org", "/settings/keys"),
    (&["gitea.com"], "gitea.com", "/settings/keys"),
];

/// The page on which a deploy key is added to a repository, if its host is a known one.
pub(super) fn key_page(url: &GitUrl) -> Option<String> {
    let (_, host, page) = FORGES
        .iter()
        .find(|(names, ..)| names.contains(&url.host()))?;
    let path = url.server_path();
    let path = path.trim_matches('/');
    let path = path.strip_suffix(".git").unwrap_or(path);
    Some(format!("https://{host}/{path}{page}"))
}

/// Name of the host with GitHub's API for the SSH server of a URL.
pub(super) fn github_host(url: &GitUrl) -> &str {
    match url.host() {
        "ssh.github.com" => "github.com",
        host => host,
    }
}

#[cfg(test)]
mod tests {
    use flux_lang::giturl::GitUrl;

    use super::key_page;

    #[test]
    fn pages_of_forges() {
        for (url, page) in [
            (
                "ssh://git@github.com/o/r.git",
                Some("https://github.com/o/r/settings/keys/new"),
            ),
            (
                "ssh://git@altssh.gitlab.com:443/a/b/c",
                Some("https://gitlab.com/a/b/c/-/settings/repository#js-deploy-keys-settings"),
            ),
            ("ssh://git@example.com/o/r", None),
        ] {
            let url = GitUrl::parse(url).unwrap();
            assert_eq!(key_page(&url).as_deref(), page);
        }
    }
}
