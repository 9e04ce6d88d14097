//! How a GitRepository authenticates.

use crate::context::Context;
use crate::finding::Severity;
use crate::kind::Kind;
use crate::rule::{Example, Report, Rule};
use crate::subject::Subject;

use super::url::{Parts, parts};

const URL: &str = "/spec/url";
const SECRET: &str = "/spec/secretRef";

pub(crate) const RULES: &[Rule] = &[
    Rule {
        id: "GR05",
        title: "credentials inside the URL",
        reason: "They are stored in clear in etcd and shown by kubectl get to whoever may read the object.",
        examples: &[
            Example::bad(
                "spec: {interval: 5m, url: 'https://me:token@github.com/org/repo'}",
                &[
                    "spec.url holds credentials, which kubectl get shows to everybody. Move them to a Secret (keys username and password) and set spec.secretRef.",
                ],
            ),
            Example::good("spec: {interval: 5m, url: 'https://github.com/org/repo'}"),
            Example::good("spec: {interval: 5m, url: 'ssh://git@github.com/org/repo'}"),
        ],
        strict: true,
        check: embedded,
        ..Rule::of(Kind::GitRepository, Severity::Warning)
    },
    Rule {
        id: "GR06",
        title: "plain http",
        reason: "Whoever sits on the path may read the credentials and change what is applied to the cluster.",
        examples: &[
            Example::bad(
                "spec: {interval: 5m, url: 'http://git.example.com/org/repo', secretRef: {name: login}}",
                &["spec.url is plain http: the content and the credentials of spec.secretRef travel unencrypted. Use https://."],
            ),
            Example::bad(
                "spec: {interval: 5m, url: 'http://git.example.com/org/repo'}",
                &["spec.url is plain http: the content travels unencrypted. Use https://."],
            ),
            Example::good("spec: {interval: 5m, url: 'https://git.example.com/org/repo'}"),
        ],
        check: plain_http,
        ..Rule::of(Kind::GitRepository, Severity::Warning)
    },
    Rule {
        id: "GR07",
        title: "ssh without a key",
        reason: "Over ssh every fetch needs a private key and the host's public key; without them it always fails.",
        examples: &[
            Example::bad(
                "spec: {interval: 5m, url: 'ssh://git@github.com/org/repo'}",
                &[
                    "ssh needs spec.secretRef, a Secret with the keys identity and known_hosts. Create one with: kubectl flux create secret git example --url=ssh://git@github.com/org/repo",
                ],
            ),
            Example::good(
                "spec: {interval: 5m, url: 'ssh://git@github.com/org/repo', secretRef: {name: key}}",
            ),
            Example::good("spec: {interval: 5m, url: 'https://github.com/org/repo'}"),
        ],
        check: missing_key,
        ..Rule::of(Kind::GitRepository, Severity::Error)
    },
    Rule {
        id: "GR08",
        title: "Secret not there",
        reason: "A Secret is looked up in the namespace of the GitRepository only.",
        examples: &[
            Example::bad(
                "spec: {interval: 5m, url: 'https://github.com/org/repo', secretRef: {name: login}}",
                &[
                    r#"Secret "login" (spec.secretRef) does not exist yet in namespace apps; Flux retries until it does."#,
                ],
            )
            .given(""),
            Example::good(
                "spec: {interval: 5m, url: 'https://github.com/org/repo', secretRef: {name: login}}",
            ),
            Example::good(
                "spec: {interval: 5m, url: 'https://github.com/org/repo', secretRef: {name: login}}",
            )
            .given("{kind: Secret, metadata: {name: login, namespace: apps}}"),
        ],
        check: missing_secret,
        ..Rule::of(Kind::GitRepository, Severity::Warning)
    },
    Rule {
        id: "GR12",
        title: "GitHub App without its Secret",
        reason: "The controller stalls: provider github has no other source of an App's credentials.",
        examples: &[
            Example::bad(
                "spec: {interval: 5m, url: 'https://github.com/org/repo', provider: github}",
                &["spec.provider github needs spec.secretRef, a Secret with githubAppID, githubAppInstallationID and githubAppPrivateKey."],
            ),
            Example::good(
                "spec: {interval: 5m, url: 'https://github.com/org/repo', provider: github, secretRef: {name: app}}",
            ),
        ],
        check: missing_app,
        ..Rule::of(Kind::GitRepository, Severity::Error)
    },
    Rule {
        id: "GR14",
        title: "service account without a cloud",
        reason: "A service account is exchanged for a token of azure or aws; other providers have no such exchange.",
        shadowed: true,
        examples: &[
            Example::bad(
                "spec: {interval: 5m, url: 'https://github.com/org/repo', serviceAccountName: reader}",
                &["spec.serviceAccountName works only with spec.provider azure or aws. Remove it or set the provider."],
            ),
            Example::good(
                "spec: {interval: 5m, url: 'https://dev.azure.com/o/p/_git/r', provider: azure, serviceAccountName: reader}",
            ),
        ],
        check: service_account,
        ..Rule::of(Kind::GitRepository, Severity::Error)
    },
];

fn embedded(subject: Subject<'_>, _: &Context, report: &mut Report<'_>) {
    if let Some(Parts {
        scheme: "http" | "https",
        userinfo: Some(_),
        ..
    }) = subject.text(URL).and_then(parts)
    {
        report.warning(
            URL,
            "spec.url holds credentials, which kubectl get shows to everybody. Move them to a \
             Secret (keys username and password) and set spec.secretRef.",
        );
    }
}

fn plain_http(subject: Subject<'_>, _: &Context, report: &mut Report<'_>) {
    if !subject
        .text(URL)
        .is_some_and(|url| url.starts_with("http://"))
    {
        return;
    }
    let what = if subject.has(SECRET) {
        "the content and the credentials of spec.secretRef travel"
    } else {
        "the content travels"
    };
    report.warning(
        URL,
        format!("spec.url is plain http: {what} unencrypted. Use https://."),
    );
}

fn missing_key(subject: Subject<'_>, _: &Context, report: &mut Report<'_>) {
    let Some(Parts {
        scheme: "ssh",
        userinfo,
        host,
        path,
    }) = subject.text(URL).and_then(parts)
    else {
        return;
    };
    if !subject.has(SECRET) {
        // A password must not be repeated in an answer that is logged and shown.
        let user = userinfo.and_then(|userinfo| userinfo.split(':').next());
        let user = user.map(|user| format!("{user}@")).unwrap_or_default();
        report.error(
            SECRET,
            format!(
                "ssh needs spec.secretRef, a Secret with the keys identity and known_hosts. \
                 Create one with: kubectl flux create secret git {} --url=ssh://{user}{host}{path}",
                subject.name()
            ),
        );
    }
}

fn missing_secret(subject: Subject<'_>, context: &Context, report: &mut Report<'_>) {
    for field in ["secretRef", "verify/secretRef", "proxySecretRef"] {
        let pointer = format!("/spec/{field}/name");
        let Some(name) = subject.text(&pointer) else {
            continue;
        };
        let namespace = subject.namespace();
        if context.facts().secret(namespace, name) == crate::Fact::Absent {
            report.warning(
                &pointer,
                format!(
                    "Secret \"{name}\" (spec.{}) does not exist yet in namespace {namespace}; \
                     Flux retries until it does.",
                    field.replace('/', ".")
                ),
            );
        }
    }
}

fn missing_app(subject: Subject<'_>, _: &Context, report: &mut Report<'_>) {
    if subject.text("/spec/provider") == Some("github") && !subject.has(SECRET) {
        report.error(
            "/spec/provider",
            "spec.provider github needs spec.secretRef, a Secret with githubAppID, \
             githubAppInstallationID and githubAppPrivateKey.",
        );
    }
}

fn service_account(subject: Subject<'_>, _: &Context, report: &mut Report<'_>) {
    const FIELD: &str = "/spec/serviceAccountName";
    if !subject.has(FIELD) {
        return;
    }
    let provider = subject
        .get("/spec/provider")
        .and_then(serde_json::Value::as_str);
    match provider {
        Some("azure" | "aws") => {}
        Some(unknown) if unknown.contains("${") => {}
        _ => report.error(
            FIELD,
            "spec.serviceAccountName works only with spec.provider azure or aws. Remove it or set \
             the provider.",
        ),
    }
}
