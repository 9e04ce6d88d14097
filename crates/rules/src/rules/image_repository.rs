//! Rules for ImageRepository.

use std::time::Duration;

use serde_json::json;

use crate::context::Context;
use crate::duration::{self, Units};
use crate::finding::{Default, Severity};
use crate::kind::Kind;
use crate::rule::{Example, Report, Rule};
use crate::subject::{Subject, judgeable};
use crate::text::{quote, regex_error};

use super::image_policy::pattern::compile;

const IMAGE: &str = "/spec/image";
const INTERVAL: &str = "/spec/interval";
const TIMEOUT: &str = "/spec/timeout";
const EXCLUSIONS: &str = "/spec/exclusionList";

pub(crate) const RULES: &[Rule] = &[
    Rule {
        id: "IR01",
        title: "image with a scheme",
        reason: "spec.image is an image name, not a URL; the controller stalls.",
        examples: &[
            Example::bad(
                "spec: {image: 'https://registry.k8s.io/e2e-test-images/agnhost', interval: 5m}",
                &[
                    r#"spec.image must not contain a scheme. Write "registry.k8s.io/e2e-test-images/agnhost"."#,
                ],
            ),
            Example::good("spec: {image: registry.k8s.io/e2e-test-images/agnhost, interval: 5m}"),
        ],
        check: scheme,
        ..Rule::of(Kind::ImageRepository, Severity::Error)
    },
    Rule {
        id: "IR02",
        title: "image with a tag or digest",
        reason: "An ImageRepository stands for all tags of an image; an ImagePolicy selects among them.",
        examples: &[
            Example::bad(
                "spec: {image: 'ghcr.io/org/app:1.0', interval: 5m}",
                &[
                    r#"spec.image must not contain a tag or digest. Write "ghcr.io/org/app" and select tags with an ImagePolicy."#,
                ],
            ),
            Example::bad(
                "spec: {image: 'ghcr.io/org/app@sha256:abc', interval: 5m}",
                &[
                    r#"spec.image must not contain a tag or digest. Write "ghcr.io/org/app" and select tags with an ImagePolicy."#,
                ],
            ),
            Example::good("spec: {image: 'localhost:5000/app', interval: 5m}"),
        ],
        check: tag,
        ..Rule::of(Kind::ImageRepository, Severity::Error)
    },
    Rule {
        id: "IR03",
        title: "not an image name",
        reason: "Registries know lower-case names only; the controller stalls.",
        examples: &[
            Example::bad(
                "spec: {image: 'ghcr.io/Org/App', interval: 5m}",
                &[
                    r#"spec.image "ghcr.io/Org/App" is not an image name: after the host only lower-case letters, digits and . _ - / may follow."#,
                ],
            ),
            Example::good("spec: {image: 'GHCR.io/org/app', interval: 5m}"),
            Example::good("spec: {image: 'nginx', interval: 5m}"),
        ],
        check: name,
        ..Rule::of(Kind::ImageRepository, Severity::Error)
    },
    Rule {
        id: "IR04",
        title: "unreadable exclusion",
        reason: "One bad expression makes every scan fail.",
        examples: &[
            Example::bad(
                r"spec: {image: nginx, interval: 10m, exclusionList: ['^.*\.sig$', '(']}",
                &[
                    r#"spec.exclusionList[1] "(" is not a regular expression of Go (RE2): missing closing ): "(" at position 0"#,
                ],
            ),
            Example::good(r"spec: {image: nginx, interval: 10m, exclusionList: ['^.*\.sig$']}"),
        ],
        check: exclusions,
        ..Rule::of(Kind::ImageRepository, Severity::Error)
    },
    Rule {
        id: "IR05",
        title: "signatures become candidates",
        reason: "A list of one's own replaces the default exclusion of cosign's .sig tags.",
        examples: &[
            Example::bad(
                "spec: {image: nginx, interval: 10m, exclusionList: ['-rc']}",
                &[
                    r#"spec.exclusionList replaces the default "^.*\.sig$": tags of cosign signatures become candidates. Add it."#,
                ],
            ),
            Example::good(
                r"spec: {image: nginx, interval: 10m, exclusionList: ['-rc', '^.*\.sig$']}",
            ),
            Example::good("spec: {image: nginx, interval: 10m}"),
        ],
        check: signatures,
        ..Rule::of(Kind::ImageRepository, Severity::Warning)
    },
    Rule {
        id: "IR07",
        title: "provider of another cloud",
        reason: "The provider's token is of no use at a registry of somebody else.",
        examples: &[
            Example::bad(
                "spec: {image: ghcr.io/org/app, interval: 5m, provider: aws}",
                &[
                    r#"spec.provider aws does not belong to the registry "ghcr.io". Remove it, or use the provider of that registry."#,
                ],
            ),
            Example::good(
                "spec: {image: 123456789012.dkr.ecr.eu-west-1.amazonaws.com/app, interval: 5m, provider: aws}",
            ),
            Example::good("spec: {image: registry.example.com/app, interval: 5m, provider: azure}"),
        ],
        check: provider,
        ..Rule::of(Kind::ImageRepository, Severity::Warning)
    },
    Rule {
        id: "IR08",
        title: "credentials over plain http",
        reason: "Whoever sits on the path may read them.",
        examples: &[
            Example::bad(
                "spec: {image: 'registry.local:5000/app', interval: 5m, insecure: true, secretRef: {name: login}}",
                &[
                    "spec.insecure sends the credentials of spec.secretRef over plain http. Give the registry a certificate and use spec.certSecretRef.",
                ],
            ),
            Example::good("spec: {image: 'registry.local:5000/app', interval: 5m, insecure: true}"),
        ],
        check: insecure,
        ..Rule::of(Kind::ImageRepository, Severity::Warning)
    },
    Rule {
        id: "IR09",
        title: "no interval",
        reason: "The schema requires spec.interval.",
        shadowed: true,
        examples: &[
            Example::bad(
                "spec: {image: nginx}",
                &["spec.interval is required and missing: 10m is used. Set it."],
            ),
            Example::good("spec: {image: nginx, interval: 10m}"),
        ],
        check: missing_interval,
        fill: Some(fill),
        ..Rule::of(Kind::ImageRepository, Severity::Warning)
    },
    Rule {
        id: "IR12",
        title: "not a duration",
        reason: "The schema refuses it and shows only its pattern. There are no days, and a timeout has no hours.",
        shadowed: true,
        examples: &[
            Example::bad(
                "spec: {image: nginx, interval: 5 min}",
                &[
                    r#"spec.interval "5 min" is not a duration. Write numbers with the units ms, s, m and h: "5m"."#,
                ],
            ),
            Example::good("spec: {image: nginx, interval: 5m0s, timeout: 90s}"),
        ],
        check: format,
        ..Rule::of(Kind::ImageRepository, Severity::Error)
    },
    Rule {
        id: "IR13",
        title: "interval of zero",
        reason: "The controller never scans again after the first time.",
        examples: &[
            Example::bad(
                "spec: {image: nginx, interval: 0h}",
                &["spec.interval 0 switches polling off for ever. Set at least 1m; 10m is usual."],
            ),
            Example::good("spec: {image: nginx, interval: 10m}"),
        ],
        check: zero,
        ..Rule::of(Kind::ImageRepository, Severity::Error)
    },
    Rule {
        id: "IR14",
        title: "Docker Hub asked too often",
        reason: "Docker Hub limits anonymous requests per address, and the whole cluster shares one.",
        examples: &[
            Example::bad(
                "spec: {image: nginx, interval: 30s}",
                &[
                    "Docker Hub limits anonymous requests: spec.interval 30s is too short. Use 10m or more, or set spec.secretRef.",
                ],
            ),
            Example::good("spec: {image: nginx, interval: 30s, secretRef: {name: login}}"),
            Example::good("spec: {image: registry.k8s.io/pause, interval: 30s}"),
        ],
        check: docker_hub,
        ..Rule::of(Kind::ImageRepository, Severity::Warning)
    },
];

/// The image and what follows a scheme, if there is one.
fn image(subject: Subject<'_>) -> Option<(&str, Option<&str>)> {
    let image = subject.text(IMAGE)?;
    Some((image, image.split_once("://").map(|(_, rest)| rest)))
}

/// Splits off `:tag` and `@digest`; the colon of a port stands before a slash.
fn without_tag(image: &str) -> &str {
    let image = image.split_once('@').map_or(image, |(name, _)| name);
    match image.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => name,
        _ => image,
    }
}

fn scheme(subject: Subject<'_>, _: &Context, report: &mut Report<'_>) {
    if let Some((_, Some(rest))) = image(subject) {
        report.error(
            IMAGE,
            format!(
                "spec.image must not contain a scheme. Write {}.",
                quote(without_tag(rest))
            ),
        );
    }
}

fn tag(subject: Subject<'_>, _: &Context, report: &mut Report<'_>) {
    let Some((image, None)) = image(subject) else {
        return;
    };
    let name = without_tag(image);
    if name != image {
        report.error(
            IMAGE,
            format!(
                "spec.image must not contain a tag or digest. Write {} and select tags with an \
                 ImagePolicy.",
                quote(name)
            ),
        );
    }
}

fn name(subject: Subject<'_>, _: &Context, report: &mut Report<'_>) {
    let Some((image, None)) = image(subject) else {
        return;
    };
    let name = without_tag(image);
    // The first component is a host if it looks like one; a host may be upper-case.
    let path = match name.split_once('/') {
        Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => path,
        _ => name,
    };
    if !path.split('/').all(is_component) {
        report.error(
            IMAGE,
            format!(
                "spec.image {} is not an image name: after the host only lower-case letters, \
                 digits and . _ - / may follow.",
                quote(image)
            ),
        );
    }
}

/// One part of a repository's path: letters and digits, separators only between them.
fn is_component(part: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    !part.is_empty()
        && part.starts_with(plain)
        && part.ends_with(plain)
        && part
            .chars()
            .all(|c| plain(c) || matches!(c, '.' | '_' | '-'))
}

fn exclusions(subject: Subject<'_>, _: &Context, report: &mut Report<'_>) {
    for (index, entry) in subject.list(EXCLUSIONS).iter().enumerate() {
        let Some(expression) = judgeable(entry) else {
            continue;
        };
        // A limit of ours is no mistake.
        if let Err(error) = compile(expression)
            && !error.is_limit()
        {
            report.error(
                &format!("{EXCLUSIONS}/{index}"),
                format!(
                    "spec.exclusionList[{index}] {} is not a regular expression of Go (RE2): {}",
                    quote(expression),
                    regex_error(&error)
                ),
            );
        }
    }
}

fn signatures(subject: Subject<'_>, _: &Context, report: &mut Report<'_>) {
    const SIGNATURE: &str =
        "sha256-0000000000000000000000000000000000000000000000000000000000000000.sig";
    let list = subject.list(EXCLUSIONS);
    let excludes = |entry: &serde_json::Value| {
        // An expression that nobody can judge may well be the right one.
        judgeable(entry)
            .and_then(|expression| compile(expression).ok())
            .is_none_or(|regex| regex.is_match(SIGNATURE))
    };
    if !list.is_empty() && !list.iter().any(excludes) {
        report.warning(
            EXCLUSIONS,
            "spec.exclusionList replaces the default \"^.*\\.sig$\": tags of cosign signatures \
             become candidates. Add it.",
        );
    }
}

/// Registries that certainly belong to somebody, and to whom.
const REGISTRIES: [(&str, &str); 9] = [
    ("amazonaws.com", "aws"),
    ("amazonaws.com.cn", "aws"),
    ("azurecr.io", "azure"),
    ("gcr.io", "gcp"),
    ("pkg.dev", "gcp"),
    ("ghcr.io", "generic"),
    ("docker.io", "generic"),
    ("quay.io", "generic"),
    ("registry.k8s.io", "generic"),
];

fn provider(subject: Subject<'_>, _: &Context, report: &mut Report<'_>) {
    const FIELD: &str = "/spec/provider";
    let Some(provider @ ("aws" | "azure" | "gcp")) = subject.text(FIELD) else {
        return;
    };
    let Some((host, _)) = image(subject).and_then(|(image, _)| image.split_once('/')) else {
        return;
    };
    // A name of one's own in front of a registry says nothing about who runs it.
    let belongs = |suffix: &str| host == suffix || host.ends_with(&format!(".{suffix}"));
    let owner = REGISTRIES.iter().find(|(suffix, _)| belongs(suffix));
    if owner.is_some_and(|(_, owner)| *owner != provider) {
        report.warning(
            FIELD,
            format!(
                "spec.provider {provider} does not belong to the registry {}. Remove it, or use \
                 the provider of that registry.",
                quote(host)
            ),
        );
    }
}

fn insecure(subject: Subject<'_>, _: &Context, report: &mut Report<'_>) {
    let insecure = subject
        .get("/spec/insecure")
        .and_then(serde_json::Value::as_bool);
    if insecure == Some(true) && subject.has("/spec/secretRef") {
        report.warning(
            "/spec/insecure",
            "spec.insecure sends the credentials of spec.secretRef over plain http. Give the \
             registry a certificate and use spec.certSecretRef.",
        );
    }
}

fn missing_interval(subject: Subject<'_>, _: &Context, report: &mut Report<'_>) {
    if !fill(subject).is_empty() {
        report.warning(
            INTERVAL,
            "spec.interval is required and missing: 10m is used. Set it.",
        );
    }
}

fn fill(subject: Subject<'_>) -> Vec<Default> {
    Default::absent(subject, INTERVAL, json!("10m"))
}

fn format(subject: Subject<'_>, _: &Context, report: &mut Report<'_>) {
    duration::check_format(subject, INTERVAL, Units::UpToHours, report);
    duration::check_format(subject, TIMEOUT, Units::UpToMinutes, report);
}

fn zero(subject: Subject<'_>, _: &Context, report: &mut Report<'_>) {
    duration::check_zero(subject, INTERVAL, "1m; 10m is usual", report);
}

fn docker_hub(subject: Subject<'_>, _: &Context, report: &mut Report<'_>) {
    let Some((image, None)) = image(subject) else {
        return;
    };
    let Some(interval) = duration::field(subject, INTERVAL, Units::UpToHours) else {
        return;
    };
    let host = image.split_once('/').map_or("", |(first, _)| first);
    let elsewhere = host.contains(['.', ':']) || host == "localhost";
    let hub = !elsewhere || matches!(host, "docker.io" | "index.docker.io");
    let short = !interval.is_zero() && interval < Duration::from_secs(60);
    if hub && short && !subject.has("/spec/secretRef") {
        report.warning(
            INTERVAL,
            format!(
                "Docker Hub limits anonymous requests: spec.interval {} is too short. Use 10m or \
                 more, or set spec.secretRef.",
                subject.text(INTERVAL).unwrap_or_default()
            ),
        );
    }
}
