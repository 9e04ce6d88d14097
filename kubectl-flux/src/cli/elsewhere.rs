//! Words of Flux that mean something this program does not do. Whoever types one should learn that,
//! not that the word is unknown.

/// Word, and what it is about.
const WORDS: &[(&[&str], &str)] = &[
    (
        &["helmrelease", "helmreleases", "hr", "helm", "chart"],
        "Helm",
    ),
    (&["oci", "bucket", "external"], "other sources than Git"),
    (
        &[
            "alert",
            "alerts",
            "alert-provider",
            "alert-providers",
            "receiver",
            "receivers",
            "trigger",
        ],
        "notifications",
    ),
    (
        &["artifact", "artifacts", "list", "pull", "push", "tag"],
        "OCI artifacts",
    ),
    (
        &["gitlab", "gitea", "bitbucket-server"],
        "this forge; bootstrap git works with any Git server",
    ),
    (&["githubapp"], "GitHub Apps"),
    (&["notation"], "signatures of OCI artifacts"),
    (&["plugin"], "plugins of the Flux command line"),
];

/// What to say about a word of Flux that has no command here.
pub(super) fn explain(word: &str) -> Option<String> {
    let (_, about) = WORDS.iter().find(|(words, _)| words.contains(&word))?;
    Some(format!(
        "{word:?} is not supported: this program is about Git sources, Kustomizations and image updates, not about {about}"
    ))
}

#[cfg(test)]
mod tests {
    use super::explain;

    #[test]
    fn words_of_flux_are_known() {
        let text = explain("hr").unwrap();
        assert!(text.ends_with("not about Helm"), "{text}");
        assert_eq!(explain("kustomisation"), None);
    }
}
