//! `spec.git.commit.messageTemplate`.

use flux_lang::gotmpl::Template;

use crate::context::Context;
use crate::finding::Severity;
use crate::kind::Kind;
use crate::rule::{Example, Report, Rule};
use crate::subject::Subject;

const TEMPLATE: &str = "/spec/git/commit/messageTemplate";
const VALUES: &str = "/spec/git/commit/messageTemplateValues";

pub(crate) const RULES: &[Rule] = &[
    Rule {
        id: "IU04",
        title: "template that cannot be read",
        reason: "It is read at the first commit only, so the mistake shows up much later.",
        examples: &[
            Example::bad(
                "spec: {git: {commit: {author: {email: a@b.c}, messageTemplate: '{{range .Changed.Changes}}'}}}",
                &[
                    "spec.git.commit.messageTemplate, line 1: `{{range}}` is not closed by `{{end}}`. It is a Go template: {{ range .Changed.Changes }}{{ .NewValue }}{{ end }}.",
                ],
            ),
            Example::good(
                "spec: {git: {commit: {author: {email: a@b.c}, messageTemplate: '{{range .Changed.Changes}}{{println .NewValue}}{{end}}'}}}",
            ),
        ],
        check: unreadable,
        ..Rule::of(Kind::ImageUpdateAutomation, Severity::Error)
    },
    Rule {
        id: "IU05",
        title: "fields that newer Flux refuses",
        reason: "Flux 2.7 removed .Updated and .Changed.ImageResult and stalls on templates that use them; this operator knows them.",
        examples: &[
            Example::bad(
                "spec: {git: {commit: {author: {email: a@b.c}, messageTemplate: '{{range .Updated.Images}}{{println .}}{{end}}'}}}",
                &[
                    r#".Updated in spec.git.commit.messageTemplate works with this operator; Flux 2.7 and newer refuse it. Works with both: {{ range .Changed.Changes }}{{ println .NewValue }}{{ end }}"#,
                ],
            ),
            Example::good(
                "spec: {git: {commit: {author: {email: a@b.c}, messageTemplate: '{{range .Changed.Changes}}{{println .NewValue}}{{end}}'}}}",
            ),
        ],
        check: removed,
        ..Rule::of(Kind::ImageUpdateAutomation, Severity::Warning)
    },
    Rule {
        id: "IU06",
        title: "data that a template does not have",
        reason: "Only .AutomationObject, .Changed and .Values are there; the commit fails on anything else.",
        examples: &[
            Example::bad(
                "spec: {git: {commit: {author: {email: a@b.c}, messageTemplate: '{{ .Images }}'}}}",
                &[
                    "spec.git.commit.messageTemplate uses .Images, which does not exist. There are .AutomationObject, .Changed and .Values.",
                ],
            ),
            Example::good(
                "spec: {git: {commit: {author: {email: a@b.c}, messageTemplate: '{{ .AutomationObject }} {{ .Values.x }}', messageTemplateValues: {x: z}}}}",
            ),
        ],
        check: unknown,
        ..Rule::of(Kind::ImageUpdateAutomation, Severity::Error)
    },
    Rule {
        id: "IU07",
        title: "value that is not defined",
        reason: "The message says \"<no value>\" in its place.",
        examples: &[
            Example::bad(
                "spec: {git: {commit: {author: {email: a@b.c}, messageTemplate: '{{ .Values.cluster }}'}}}",
                &[
                    r#".Values.cluster is not defined in spec.git.commit.messageTemplateValues: the message will say "<no value>"."#,
                ],
            ),
            Example::good(
                "spec: {git: {commit: {author: {email: a@b.c}, messageTemplate: '{{ .Values.cluster }}', messageTemplateValues: {cluster: prod}}}}",
            ),
        ],
        check: undefined_value,
        ..Rule::of(Kind::ImageUpdateAutomation, Severity::Warning)
    },
];

/// The first two names of every field chain that a template takes from its data.
fn roots(subject: Subject<'_>) -> Vec<(String, String)> {
    let template = subject
        .text(TEMPLATE)
        .and_then(|text| Template::parse(text).ok());
    let mut roots: Vec<_> = template
        .map(|template| template.roots())
        .unwrap_or_default()
        .iter()
        .map(|chain| {
            let mut names = chain.trim_start_matches('.').split('.');
            let mut next = || names.next().unwrap_or_default().to_owned();
            (next(), next())
        })
        .filter(|(root, _)| !root.is_empty())
        .collect();
    roots.sort();
    roots.dedup();
    roots
}

/// Whether a chain begins with what newer Flux removed.
fn is_removed(root: &str, next: &str) -> bool {
    root == "Updated" || (root == "Changed" && next == "ImageResult")
}

fn unreadable(subject: Subject<'_>, _: &Context, report: &mut Report<'_>) {
    let Some(text) = subject.text(TEMPLATE) else {
        return;
    };
    if let Err(error) = Template::parse(text) {
        report.error(
            TEMPLATE,
            format!(
                "spec.git.commit.messageTemplate, line {}: {}. It is a Go template: {{{{ range \
                 .Changed.Changes }}}}{{{{ .NewValue }}}}{{{{ end }}}}.",
                error.line, error.message
            ),
        );
    }
}

fn removed(subject: Subject<'_>, _: &Context, report: &mut Report<'_>) {
    let Some((root, _)) = roots(subject)
        .into_iter()
        .find(|(root, next)| is_removed(root, next))
    else {
        return;
    };
    let field = if root == "Updated" {
        ".Updated"
    } else {
        ".Changed.ImageResult"
    };
    report.warning(
        TEMPLATE,
        format!(
            "{field} in spec.git.commit.messageTemplate works with this operator; Flux 2.7 and \
             newer refuse it. Works with both: {{{{ range .Changed.Changes }}}}{{{{ println \
             .NewValue }}}}{{{{ end }}}}"
        ),
    );
}

fn unknown(subject: Subject<'_>, _: &Context, report: &mut Report<'_>) {
    let mut reported = String::new();
    for (root, next) in roots(subject) {
        let known = matches!(root.as_str(), "AutomationObject" | "Changed" | "Values");
        if known || is_removed(&root, &next) || root == reported {
            continue;
        }
        report.error(
            TEMPLATE,
            format!(
                "spec.git.commit.messageTemplate uses .{root}, which does not exist. There are \
                 .AutomationObject, .Changed and .Values."
            ),
        );
        reported = root;
    }
}

fn undefined_value(subject: Subject<'_>, _: &Context, report: &mut Report<'_>) {
    for (root, key) in roots(subject) {
        let defined = subject
            .get(VALUES)
            .is_some_and(|values| values.get(&key).is_some());
        if root == "Values" && !key.is_empty() && !defined {
            report.warning(
                TEMPLATE,
                format!(
                    ".Values.{key} is not defined in spec.git.commit.messageTemplateValues: the \
                     message will say \"<no value>\"."
                ),
            );
        }
    }
}
