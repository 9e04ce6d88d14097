//! What is inside the Secrets of a GitRepository, where somebody may look.

use flux_lang::knownhosts::{KnownHosts, keyscan_command};

use crate::context::Context;
use crate::facts::Fact;
use crate::finding::Severity;
use crate::kind::Kind;
use crate::rule::{Example, Report, Rule};
use crate::secret::Secret;
use crate::subject::Subject;

use super::url::{Parts, parts};

const URL: &str = "/spec/url";
const NAME: &str = "/spec/secretRef/name";

pub(crate) const RULES: &[Rule] = &[
    Rule {
        id: "GR09",
        title: "key that a Secret lacks",
        reason: "Every fetch fails. ssh needs identity and known_hosts; https needs username and password, or bearerToken.",
        examples: &[
            Example::bad(
                "spec: {interval: 5m, url: 'ssh://git@github.com/org/repo', secretRef: {name: key}}",
                &[r#"Secret "key" lacks known_hosts: ssh needs the keys identity and known_hosts."#],
            )
            .given("{kind: Secret, metadata: {name: key, namespace: apps}, stringData: {identity: x}}"),
            Example::bad(
                "spec: {interval: 5m, url: 'https://github.com/org/repo', secretRef: {name: login}}",
                &[r#"Secret "login" lacks username: https needs the keys username and password, or bearerToken."#],
            )
            .given("{kind: Secret, metadata: {name: login, namespace: apps}, stringData: {password: x}}"),
            Example::good(
                "spec: {interval: 5m, url: 'https://github.com/org/repo', secretRef: {name: login}}",
            )
            .given("{kind: Secret, metadata: {name: login, namespace: apps}, stringData: {bearerToken: x}}"),
            Example::good(
                "spec: {interval: 5m, url: 'https://git.example.com/org/repo', secretRef: {name: ca}}",
            )
            .given("{kind: Secret, metadata: {name: ca, namespace: apps}, stringData: {ca.crt: x}}"),
        ],
        check: missing_key,
        ..Rule::of(Kind::GitRepository, Severity::Warning)
    },
    Rule {
        id: "GR10",
        title: "host that known_hosts does not have",
        reason: "The connection is refused: nobody vouches for the server.",
        examples: &[
            Example::bad(
                "spec: {interval: 5m, url: 'ssh://git@git.example.com:2222/org/repo', secretRef: {name: key}}",
                &[r#"known_hosts in Secret "key" has no entry for git.example.com: every fetch fails. Add what this prints, after checking it: ssh-keyscan -p 2222 git.example.com"#],
            )
            .given(
                "{kind: Secret, metadata: {name: key, namespace: apps}, stringData: {identity: x, known_hosts: 'github.com ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl'}}",
            ),
            Example::good(
                "spec: {interval: 5m, url: 'ssh://git@github.com/org/repo', secretRef: {name: key}}",
            )
            .given(
                "{kind: Secret, metadata: {name: key, namespace: apps}, stringData: {identity: x, known_hosts: 'github.com ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl'}}",
            ),
        ],
        check: unknown_host,
        ..Rule::of(Kind::GitRepository, Severity::Warning)
    },
    Rule {
        id: "GR11",
        title: "credentials that do not go together",
        reason: "A protected key cannot be used without its passphrase, and a bearer token is refused beside a user.",
        examples: &[
            Example::bad(
                "spec: {interval: 5m, url: 'ssh://git@github.com/org/repo', secretRef: {name: key}}",
                &[r#"identity in Secret "key" is protected by a passphrase, but the key password is missing."#],
            )
            .given(
                "{kind: Secret, metadata: {name: key, namespace: apps}, stringData: {identity: '-----BEGIN ENCRYPTED PRIVATE KEY-----', known_hosts: x}}",
            ),
            Example::bad(
                "spec: {interval: 5m, url: 'https://me@github.com/org/repo', secretRef: {name: login}}",
                &[r#"Secret "login" holds bearerToken, which does not go with a user in spec.url. Remove "me@" from it."#],
            )
            .given("{kind: Secret, metadata: {name: login, namespace: apps}, stringData: {bearerToken: x}}"),
            Example::good(
                "spec: {interval: 5m, url: 'https://github.com/org/repo', secretRef: {name: login}}",
            )
            .given("{kind: Secret, metadata: {name: login, namespace: apps}, stringData: {bearerToken: x}}"),
        ],
        check: combination,
        ..Rule::of(Kind::GitRepository, Severity::Warning)
    },
    Rule {
        id: "GR13",
        title: "GitHub App that is not used",
        reason: "The data of an App is read only with provider github.",
        examples: &[
            Example::bad(
                "spec: {interval: 5m, url: 'https://github.com/org/repo', secretRef: {name: app}}",
                &[r#"Secret "app" holds a GitHub App, which is used only with spec.provider: github. Set it."#],
            )
            .given("{kind: Secret, metadata: {name: app, namespace: apps}, stringData: {githubAppID: '1'}}"),
            Example::good(
                "spec: {interval: 5m, url: 'https://github.com/org/repo', provider: github, secretRef: {name: app}}",
            )
            .given("{kind: Secret, metadata: {name: app, namespace: apps}, stringData: {githubAppID: '1'}}"),
        ],
        check: unused_app,
        ..Rule::of(Kind::GitRepository, Severity::Warning)
    },
    Rule {
        id: "GR41",
        title: "credentials for submodules",
        reason: "Submodules are fetched with the credentials of the repository, and the addresses in .gitmodules have to be URLs.",
        examples: &[
            Example::bad(
                "spec: {interval: 5m, url: 'ssh://git@github.com/org/repo', secretRef: {name: key}, recurseSubmodules: true}",
                &["Submodules are fetched with the credentials of spec.secretRef. Addresses such as git@host:org/repo in .gitmodules fail: write ssh:// or https:// there."],
            ),
            Example::good(
                "spec: {interval: 5m, url: 'https://github.com/org/repo', recurseSubmodules: true}",
            ),
        ],
        check: submodules,
        ..Rule::of(Kind::GitRepository, Severity::Note)
    },
    Rule {
        id: "GR43",
        title: "public keys under other names",
        reason: "What the names do not say is read as OpenPGP.",
        examples: &[
            Example::bad(
                "spec: {interval: 5m, url: 'https://github.com/org/repo', verify: {mode: HEAD, secretRef: {name: keys}}}",
                &[r#"Secret "keys" has no key named *.asc (OpenPGP) or *.sshpub (SSH); any other is read as OpenPGP. Name them so."#],
            )
            .given("{kind: Secret, metadata: {name: keys, namespace: apps}, stringData: {author.pub: x}}"),
            Example::good(
                "spec: {interval: 5m, url: 'https://github.com/org/repo', verify: {mode: HEAD, secretRef: {name: keys}}}",
            )
            .given("{kind: Secret, metadata: {name: keys, namespace: apps}, stringData: {author.asc: x}}"),
        ],
        check: key_names,
        ..Rule::of(Kind::GitRepository, Severity::Warning)
    },
];

/// The Secret of a field, if somebody looked inside.
fn secret<'a>(subject: Subject<'a>, context: &Context, pointer: &str) -> Option<(&'a str, Secret)> {
    let name = subject.text(pointer)?;
    match context.facts().secret(subject.namespace(), name) {
        Fact::Present(secret) if secret.keys.is_some() => Some((name, secret)),
        _ => None,
    }
}

fn missing_key(subject: Subject<'_>, context: &Context, report: &mut Report<'_>) {
    let Some(Parts { scheme, .. }) = subject.text(URL).and_then(parts) else {
        return;
    };
    let Some((name, secret)) = secret(subject, context, NAME) else {
        return;
    };
    let (missing, needs) = if scheme == "ssh" {
        let missing = ["identity", "known_hosts"]
            .into_iter()
            .find(|key| secret.lacks(key));
        (missing, "ssh needs the keys identity and known_hosts")
    } else {
        // Certificates alone are fine; half of a login is not.
        let missing = if secret.has("password") && secret.lacks("username") {
            Some("username")
        } else if secret.has("username") && secret.lacks("password") {
            Some("password")
        } else {
            None
        };
        (
            missing,
            "https needs the keys username and password, or bearerToken",
        )
    };
    if let Some(missing) = missing {
        report.warning(NAME, format!("Secret \"{name}\" lacks {missing}: {needs}."));
    }
}

fn unknown_host(subject: Subject<'_>, context: &Context, report: &mut Report<'_>) {
    let Some(Parts {
        scheme: "ssh",
        host,
        ..
    }) = subject.text(URL).and_then(parts)
    else {
        return;
    };
    let Some((name, secret)) = secret(subject, context, NAME) else {
        return;
    };
    let Some(known) = secret
        .known_hosts
        .as_deref()
        .and_then(|text| KnownHosts::parse(text).ok())
    else {
        return;
    };
    let (host, port) = match host.rsplit_once(':') {
        Some((host, port)) => (host, port.parse().ok()),
        None => (host, Some(22)),
    };
    let Some(port) = port else { return };
    let nobody = known.host_keys(host, port).next().is_none()
        && known.authorities(host, port).next().is_none();
    if nobody {
        report.warning(
            NAME,
            format!(
                "known_hosts in Secret \"{name}\" has no entry for {host}: every fetch fails. Add \
                 what this prints, after checking it: {}",
                keyscan_command(host, port)
            ),
        );
    }
}

fn combination(subject: Subject<'_>, context: &Context, report: &mut Report<'_>) {
    let Some((name, secret)) = secret(subject, context, NAME) else {
        return;
    };
    if secret.encrypted_identity && secret.lacks("password") {
        report.warning(
            NAME,
            format!(
                "identity in Secret \"{name}\" is protected by a passphrase, but the key password \
                 is missing."
            ),
        );
    }
    if let Some(Parts {
        scheme: "http" | "https",
        userinfo: Some(user),
        ..
    }) = subject.text(URL).and_then(parts)
        && secret.has("bearerToken")
        && !user.contains(':')
    {
        report.warning(
            URL,
            format!(
                "Secret \"{name}\" holds bearerToken, which does not go with a user in spec.url. \
                 Remove \"{user}@\" from it."
            ),
        );
    }
}

fn unused_app(subject: Subject<'_>, context: &Context, report: &mut Report<'_>) {
    let Some((name, secret)) = secret(subject, context, NAME) else {
        return;
    };
    if secret.has("githubAppID") && subject.text("/spec/provider") != Some("github") {
        report.warning(
            NAME,
            format!(
                "Secret \"{name}\" holds a GitHub App, which is used only with spec.provider: \
                 github. Set it."
            ),
        );
    }
}

fn submodules(subject: Subject<'_>, _: &Context, report: &mut Report<'_>) {
    const FIELD: &str = "/spec/recurseSubmodules";
    let recurse = subject.get(FIELD).and_then(serde_json::Value::as_bool);
    if recurse == Some(true) && subject.has("/spec/secretRef") {
        report.note(
            FIELD,
            "Submodules are fetched with the credentials of spec.secretRef. Addresses such as \
             git@host:org/repo in .gitmodules fail: write ssh:// or https:// there.",
        );
    }
}

fn key_names(subject: Subject<'_>, context: &Context, report: &mut Report<'_>) {
    const FIELD: &str = "/spec/verify/secretRef/name";
    let Some((name, secret)) = secret(subject, context, FIELD) else {
        return;
    };
    let named = |key: &String| key.ends_with(".asc") || key.ends_with(".sshpub");
    if !secret.keys.iter().flatten().any(named) {
        report.warning(
            FIELD,
            format!(
                "Secret \"{name}\" has no key named *.asc (OpenPGP) or *.sshpub (SSH); any other \
                 is read as OpenPGP. Name them so."
            ),
        );
    }
}
