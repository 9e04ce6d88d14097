use proptest::prelude::*;

use super::*;

#[test]
fn patterns() {
    // pattern, domain, path, is_dir, expected: None no match, Some(true) excluded
    let cases: &[(&str, &str, &str, bool, bool)] = &[
        ("!vul?ano", "", "value/vulkano/tail", false, true),
        ("value", "head/middle/tail", "head/middle", false, false),
        (
            "value",
            "head/middle/tail",
            "head/middle/tail",
            false,
            false,
        ),
        (
            "value",
            "head/middle/tail",
            "head/middle/_tail_/value",
            false,
            false,
        ),
        (
            "middle/",
            "value/volcano",
            "value/volcano/middle/tail",
            false,
            true,
        ),
        (
            "volcano/",
            "value/volcano",
            "value/volcano/tail",
            true,
            false,
        ),
        ("value", "", "value/tail", false, true),
        ("value", "", "head/value", false, true),
        ("value/", "", "head/value/tail", false, true),
        ("value/", "", "head/value", true, true),
        ("value/", "", "head/value", false, false),
        ("val", "", "head/value", false, false),
        ("v*o", "", "value/vulkano/tail", false, true),
        ("v[ou]l[kc]ano", "", "value/volcano", false, true),
        ("v[ou]l[", "", "value/vol[", false, false),
        ("/value/vul?ano", "", "value/vulkano/tail", false, true),
        (
            "middle/tail/",
            "value/volcano",
            "value/volcano/middle/tail",
            true,
            true,
        ),
        (
            "volcano/tail",
            "value/volcano",
            "value/volcano/tail",
            false,
            false,
        ),
        ("value/vul?ano", "", "value", false, false),
        ("/value/volcano", "", "value/value/volcano", false, false),
        ("**/*lue/vol?ano", "", "value/volcano/tail", false, true),
        (
            "**/*lue/vol?ano",
            "",
            "head/value/volcano/tail",
            false,
            true,
        ),
        (
            "**/*lue/vol?ano",
            "",
            "head/value/Volcano/tail",
            false,
            false,
        ),
        ("**/*lue/vol?ano/", "", "head/value/volcano", false, false),
        ("**/*lue/vol?ano/", "", "head/value/volcano", true, true),
        (
            "/*lue/vol?ano/**",
            "",
            "value/volcano/tail/more",
            false,
            true,
        ),
        ("/*lue/vol?ano/**", "", "value/volcano", false, true),
        ("/*lue/**/vol?ano", "", "value/volcano", false, true),
        ("/*lue/**/vol?ano", "", "value/a/b/volcano", false, true),
        (
            "/*lue/**foo/vol?ano",
            "",
            "value/foo/volcano/tail",
            false,
            false,
        ),
        (
            "**/android/**/G.java",
            "",
            "p/lib/android/gradle.dart",
            false,
            false,
        ),
        ("/**", "", "a/b", false, false),
        ("a b ", "", "a b", false, true),
        ("a\\ ", "", "a ", false, true),
        ("[^a]b", "", "cb", false, true),
        ("[^a]b", "", "ab", false, false),
        ("[a-c]x", "", "bx", false, true),
        ("[]a]", "", "]", false, false),
        ("a\\*", "", "a*", false, true),
        ("a\\*", "", "ab", false, false),
        ("*.tar.gz", "", "x/y.tar.gz", false, true),
    ];
    for &(pattern, domain, path, is_dir, expected) in cases {
        let domain: Vec<&str> = domain.split('/').filter(|d| !d.is_empty()).collect();
        let path: Vec<&str> = path.split('/').collect();
        let got = Pattern::parse(pattern, &domain).matches(&path, is_dir);
        assert_eq!(got, expected, "{pattern} in {domain:?} on {path:?}");
    }
}

#[test]
fn last_match_wins_also_below_excluded_directories() {
    let list = IgnoreList::parse("# all but deploy\n\n/*\n!/deploy\n", &[]);
    assert!(list.ignores("README.md", false));
    assert!(!list.ignores("deploy/a/b.yaml", false));
    assert!(list.ignores("other/b.yaml", false));
    assert!(!IgnoreList::new().ignores("anything", false));
}

#[test]
fn built_in_patterns() {
    let none = IgnoreList::effective(IgnoreList::new(), &IgnoreList::parse("# nothing", &[]));
    for path in [
        ".git/config",
        ".gitignore",
        "a/logo.png",
        ".github/x.yml",
        "a/.sops.yaml",
    ] {
        assert!(none.ignores(path, false), "{path}");
    }
    assert!(!none.ignores("apps/a.yaml", false));
    // One pattern is enough to lose all but Git's own.
    let spec = IgnoreList::effective(IgnoreList::new(), &IgnoreList::parse("*.md", &[]));
    assert!(spec.ignores("README.md", false) && spec.ignores(".git/config", false));
    assert!(!spec.ignores("a/logo.png", false) && !spec.ignores(".github/x.yml", false));
    let tree = IgnoreList::parse("*.txt", &["sub"]);
    let both = IgnoreList::effective(tree, &IgnoreList::parse("!sub/keep.txt", &[]));
    assert!(both.ignores("sub/a.txt", false) && !both.ignores("sub/keep.txt", false));
    assert!(!both.ignores("a.txt", false));
    // Git's own stay out unless somebody asks for them.
    let git = IgnoreList::effective(IgnoreList::new(), &IgnoreList::parse("!.gitignore", &[]));
    assert!(!git.ignores(".gitignore", false) && git.ignores(".gitmodules", false));
}

#[test]
fn patterns_of_a_directory_come_before_those_below_it() {
    // As Git lists a tree: `.deploy` stands before `.sourceignore`.
    let mut tree = IgnoreList::parse("!keep.txt\n*.tmp\n!a.tmp", &[".deploy"]);
    tree.extend(IgnoreList::parse("*.txt", &[]));
    tree.extend(IgnoreList::parse("*.md", &["apps", "deep"]));
    let list = IgnoreList::effective(tree.clone(), &IgnoreList::new());
    for (path, ignored) in [
        (".deploy/keep.txt", false),
        (".deploy/other.txt", true),
        (".deploy/a.tmp", false),
        (".deploy/b.tmp", true),
        ("apps/deep/x.md", true),
        ("apps/x.md", false),
    ] {
        assert_eq!(list.ignores(path, false), ignored, "{path}");
    }
    tree.retain_files(|path| path == "apps/deep/.sourceignore");
    assert_eq!(tree, IgnoreList::parse("*.md", &["apps", "deep"]));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn never_panics(pattern in "[a-b*?/!\\[\\]^\\\\ -]{0,12}", path in "[ab/]{1,10}", dir: bool) {
        IgnoreList::parse(&pattern, &[]).ignores(&path, dir);
    }

    #[test]
    fn a_literal_matches_itself(name in "[a-z.]{1,8}") {
        let list = IgnoreList::parse(&format!("/{name}"), &[]);
        prop_assert!(list.ignores(&name, false));
    }
}
