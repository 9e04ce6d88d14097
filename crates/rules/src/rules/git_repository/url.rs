//! `spec.url`: what people paste from a web page and Flux does not take.

use crate::context::Context;
use crate::finding::Severity;
use crate::kind::Kind;
use crate::rule::{Example, Report, Rule};
use crate::subject::Subject;
use crate::text::quote;

const URL: &str = "/spec/url";

pub(crate) const RULES: &[Rule] = &[
    Rule {
        id: "GR01",
        title: "scp-style address",
        reason: "Flux parses spec.url as a URL. The short form of git clone has no scheme and is refused.",
        shadowed: true,
        examples: &[
            Example::bad(
                "spec: {interval: 5m, url: 'git@github.com:org/repo.git', secretRef: {name: key}}",
                &[
                    r#"spec.url "git@github.com:org/repo.git" is an scp-style address, which Flux does not accept. Write "ssh://git@github.com/org/repo.git"."#,
                ],
            ),
            Example::bad(
                "spec: {interval: 5m, url: 'git@git.example.com:2222/org/repo'}",
                &[
                    r#"spec.url "git@git.example.com:2222/org/repo" is an scp-style address, which Flux does not accept. Write "ssh://git@git.example.com:2222/org/repo"."#,
                ],
            ),
            Example::good("spec: {interval: 5m, url: 'ssh://git@github.com/org/repo.git'}"),
            Example::good("spec: {interval: 5m, url: '${USER}@github.com:org/repo.git'}"),
        ],
        check: scp,
        ..Rule::of(Kind::GitRepository, Severity::Error)
    },
    Rule {
        id: "GR02",
        title: "organisation where the port belongs",
        reason: "After ssh:// a colon separates the port. The schema lets it pass; the source then stalls for ever.",
        examples: &[
            Example::bad(
                "spec: {interval: 5m, url: 'ssh://git@github.com:org/repo', secretRef: {name: key}}",
                &[
                    r#"spec.url "ssh://git@github.com:org/repo": "org" is read as a port. Replace the colon by a slash: "ssh://git@github.com/org/repo"."#,
                ],
            ),
            // What comes before a later @ is a password, which is not repeated.
            Example::bad(
                "spec: {interval: 5m, url: 'https://me:s3cr/et@github.com/org/repo'}",
                &[
                    r#"spec.url seems to hold a password with a slash. Put it into the Secret that spec.secretRef names, or write %2F instead of the slash."#,
                ],
            ),
            Example::good("spec: {interval: 5m, url: 'ssh://git@git.example.com:2222/org/repo'}"),
            Example::good("spec: {interval: 5m, url: 'ssh://git@[fd00::1]/org/repo'}"),
        ],
        check: port,
        ..Rule::of(Kind::GitRepository, Severity::Error)
    },
    Rule {
        id: "GR03",
        title: "unsupported scheme",
        reason: "A GitRepository is read over http, https or ssh, nothing else.",
        shadowed: true,
        examples: &[
            Example::bad(
                "spec: {interval: 5m, url: 'oci://ghcr.io/org/manifests'}",
                &[
                    r#"spec.url scheme "oci" is not supported: use http, https or ssh. An OCI artifact is a source of kind OCIRepository."#,
                ],
            ),
            Example::bad(
                "spec: {interval: 5m, url: 'git://example.com/repo'}",
                &[r#"spec.url scheme "git" is not supported: use http, https or ssh."#],
            ),
            Example::bad(
                "spec: {interval: 5m, url: 'github.com/org/repo'}",
                &[
                    r#"spec.url "github.com/org/repo" has no scheme. Write "https://github.com/org/repo"."#,
                ],
            ),
            Example::bad(
                "spec: {interval: 5m, url: 'me:s3cret@github.com/org/repo'}",
                &[
                    "spec.url has no scheme, and seems to hold a password. Write https://HOST/PATH, and put the password into the Secret that spec.secretRef names.",
                ],
            ),
            Example::good("spec: {interval: 5m, url: 'https://github.com/org/repo'}"),
        ],
        check: scheme,
        ..Rule::of(Kind::GitRepository, Severity::Error)
    },
    Rule {
        id: "GR04",
        title: "ssh without a user",
        reason: "Flux logs in as \"git\" then, which hosting services expect and other servers may not.",
        examples: &[
            Example::bad(
                "spec: {interval: 5m, url: 'ssh://github.com/org/repo', secretRef: {name: key}}",
                &[
                    r#"spec.url names no user: Flux logs in as "git". If the server expects another one, write "ssh://USER@github.com/org/repo"."#,
                ],
            ),
            Example::good("spec: {interval: 5m, url: 'ssh://git@github.com/org/repo'}"),
        ],
        check: user,
        ..Rule::of(Kind::GitRepository, Severity::Note)
    },
];

/// The parts of a URL that rules look at; nothing is decoded or verified.
pub(super) struct Parts<'a> {
    pub(super) scheme: &'a str,
    pub(super) userinfo: Option<&'a str>,
    /// Host and, after a colon, the port.
    pub(super) host: &'a str,
    /// Everything from the first slash on.
    pub(super) path: &'a str,
}

/// Splits `scheme://[userinfo@]host[:port][/path]`.
pub(super) fn parts(url: &str) -> Option<Parts<'_>> {
    let (scheme, rest) = url.split_once("://")?;
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let (userinfo, host) = match authority.rsplit_once('@') {
        Some((userinfo, host)) => (Some(userinfo), host),
        None => (None, authority),
    };
    Some(Parts {
        scheme,
        userinfo,
        host,
        path,
    })
}

/// Whether a text without scheme has the form `user:password@…`: a password must not be repeated in an
/// answer that is logged and shown.
fn holds_password(text: &str) -> bool {
    text.split_once('@')
        .is_some_and(|(user, _)| user.contains(':'))
}

/// `user@host:path`, the third form that `git clone` knows.
fn scp_parts(url: &str) -> Option<(&str, &str, &str)> {
    if url.contains("://") {
        return None;
    }
    let (user, rest) = url.split_once('@')?;
    let (host, path) = rest.split_once(':')?;
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    let plain = !user.is_empty() && user.chars().all(word);
    (plain && !host.is_empty() && !host.contains('/')).then_some((user, host, path))
}

fn scp(subject: Subject<'_>, _: &Context, report: &mut Report<'_>) {
    let Some(url) = subject.text(URL) else { return };
    let Some((user, host, path)) = scp_parts(url) else {
        return;
    };
    let port = path.split_once('/').is_some_and(|(first, _)| {
        !first.is_empty() && first.bytes().all(|byte| byte.is_ascii_digit())
    });
    let separator = if port { ':' } else { '/' };
    let instead = format!(
        "ssh://{user}@{host}{separator}{}",
        path.trim_start_matches('/')
    );
    report.error(
        URL,
        format!(
            "spec.url {} is an scp-style address, which Flux does not accept. Write {}.",
            quote(url),
            quote(&instead)
        ),
    );
    report.fix(instead);
}

fn port(subject: Subject<'_>, _: &Context, report: &mut Report<'_>) {
    let Some(url) = subject.text(URL) else { return };
    let Some(Parts {
        scheme,
        userinfo,
        host,
        path,
    }) = parts(url)
    else {
        return;
    };
    // The colons of an IPv6 address stand inside brackets.
    let after_address = host.rsplit_once(']').map_or(host, |(_, rest)| rest);
    let Some((_, port)) = after_address.rsplit_once(':') else {
        return;
    };
    if port.bytes().all(|byte| byte.is_ascii_digit()) {
        return;
    }
    if path.contains('@') {
        report.error(
            URL,
            "spec.url seems to hold a password with a slash. Put it into the Secret that \
             spec.secretRef names, or write %2F instead of the slash.",
        );
        return;
    }
    let name = host
        .strip_suffix(port)
        .and_then(|host| host.strip_suffix(':'))
        .unwrap_or(host);
    // A password must not be repeated in an answer that is logged and shown.
    let user = userinfo.map(|info| info.split_once(':').map_or(info, |(user, _)| user));
    let user = user.map(|user| format!("{user}@")).unwrap_or_default();
    report.error(
        URL,
        format!(
            "spec.url {}: {} is read as a port. Replace the colon by a slash: {}.",
            quote(&format!("{scheme}://{user}{host}{path}")),
            quote(port),
            quote(&format!("{scheme}://{user}{name}/{port}{path}"))
        ),
    );
    if !userinfo.is_some_and(|info| info.contains(':')) {
        report.fix(format!("{scheme}://{user}{name}/{port}{path}"));
    }
}

fn scheme(subject: Subject<'_>, _: &Context, report: &mut Report<'_>) {
    let Some(url) = subject.text(URL) else { return };
    let message = match url.split_once("://") {
        Some(("http" | "https" | "ssh", _)) => return,
        Some((scheme, _)) => {
            let hint = if scheme == "oci" {
                " An OCI artifact is a source of kind OCIRepository."
            } else {
                ""
            };
            format!(
                "spec.url scheme {} is not supported: use http, https or ssh.{hint}",
                quote(scheme)
            )
        }
        None if scp_parts(url).is_some() => return,
        None if holds_password(url) => {
            "spec.url has no scheme, and seems to hold a password. Write \
             https://HOST/PATH, and put the password into the Secret that spec.secretRef names."
                .to_owned()
        }
        None => format!(
            "spec.url {} has no scheme. Write {}.",
            quote(url),
            quote(&format!("https://{}", url.trim_start_matches('/')))
        ),
    };
    report.error(URL, message);
}

fn user(subject: Subject<'_>, _: &Context, report: &mut Report<'_>) {
    let Some(Parts {
        scheme: "ssh",
        userinfo: None,
        host,
        path,
    }) = subject.text(URL).and_then(parts)
    else {
        return;
    };
    report.note(
        URL,
        format!(
            "spec.url names no user: Flux logs in as \"git\". If the server expects another one, \
             write {}.",
            quote(&format!("ssh://USER@{host}{path}"))
        ),
    );
}
