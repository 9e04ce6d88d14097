use super::*;

fn listing() -> Listing {
    let id = |digit: char| Oid::from_str(&digit.to_string().repeat(40)).unwrap();
    let entry = |name: &str, of: char, peeled: Option<char>| RemoteRef {
        name: name.to_owned(),
        id: id(of),
        peeled: peeled.map(id),
    };
    Listing {
        refs: vec![
            entry("HEAD", 'a', None),
            entry("refs/heads/main", 'a', None),
            entry("refs/pull/7/head", 'b', None),
            entry("refs/tags/v1.2.3", 'c', Some('d')),
            entry("refs/tags/v1.10.0", 'e', None),
            entry("refs/tags/v2.0.0-rc.1", 'f', None),
            entry("refs/tags/latest", 'a', None),
            // No version: Flux wants three numbers.
            entry("refs/tags/v1.99", 'a', None),
            entry("refs/tags/2", 'a', None),
        ],
        head: Some("refs/heads/main".to_owned()),
    }
}

#[test]
fn picks() {
    let sha = "9".repeat(40);
    let cases = [
        (Reference::Branch("main".into()), "main@sha1:aaaa"),
        (Reference::Tag("v1.2.3".into()), "v1.2.3@sha1:dddd"),
        (Reference::Semver("1.x".into()), "v1.10.0@sha1:eeee"),
        (
            Reference::Semver(">=1.0.0-0".into()),
            "v2.0.0-rc.1@sha1:ffff",
        ),
        (
            Reference::Name("refs/pull/7/head".into()),
            "refs/pull/7/head@sha1:bbbb",
        ),
        (
            Reference::Name("refs/tags/v1.2.3^{}".into()),
            "refs/tags/v1.2.3^{}@sha1:dddd",
        ),
        (
            Reference::Commit {
                sha: sha.clone(),
                branch: None,
            },
            "sha1:9999",
        ),
        (
            Reference::Commit {
                sha,
                branch: Some("main".into()),
            },
            "main@sha1:9999",
        ),
    ];
    for (reference, revision) in cases {
        reference.validate().unwrap();
        let got = reference.pick(&listing(), "u").unwrap().best.revision();
        assert!(got.starts_with(revision), "{reference:?}: {got}");
    }
}

#[test]
fn misses() {
    let empty = Listing::default();
    let cases = [
        (
            Reference::default(),
            listing(),
            "branch 'master' not found in u; the default branch of the repository is 'main'",
        ),
        (
            Reference::Tag("v9".into()),
            listing(),
            "tag 'v9' not found in u",
        ),
        (
            Reference::Semver(">=3".into()),
            listing(),
            "no match found for semver: >=3 (of 3 version tags in u, the highest is v2.0.0-rc.1)",
        ),
        (Reference::default(), empty, "repository u is empty"),
    ];
    for (reference, listing, part) in cases {
        let error = reference.pick(&listing, "u").unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn revisions_lead_back_to_refs() {
    let sha = "9".repeat(40);
    let commit = |branch: Option<&str>| Reference::Commit {
        sha: sha.clone(),
        branch: branch.map(str::to_owned),
    };
    for (reference, label, refname) in [
        (
            Reference::Branch("a/b".into()),
            "a/b@",
            Some("refs/heads/a/b"),
        ),
        (Reference::Tag("v1".into()), "v1@", Some("refs/tags/v1")),
        (
            Reference::Semver("*".into()),
            "1.2.3@",
            Some("refs/tags/1.2.3"),
        ),
        (
            Reference::Name("refs/pull/7/head".into()),
            "refs/pull/7/head@",
            Some("refs/pull/7/head"),
        ),
        (commit(None), "", Some("")),
        (commit(Some("main")), "main@", Some("refs/heads/main")),
        (Reference::Branch("main".into()), "master@", None),
        (commit(Some("main")), "", None),
    ] {
        let revision = format!("{label}sha1:{sha}");
        let picked = reference.picked_by(&revision).ok();
        assert_eq!(
            picked.as_ref().map(|p| p.refname.as_str()),
            refname,
            "{revision}"
        );
        if let Some(picked) = picked {
            assert_eq!(picked.revision(), revision);
        }
    }
    // As source-controller wrote them before 0.36.
    for (reference, old, new) in [
        (Reference::Branch("a/b".into()), "a/b/", "a/b@sha1:"),
        (Reference::Tag("v1".into()), "v1/", "v1@sha1:"),
        (commit(None), "HEAD/", "sha1:"),
        (commit(None), "", "sha1:"),
    ] {
        let picked = reference.picked_by(&format!("{old}{sha}")).unwrap();
        assert_eq!(picked.revision(), format!("{new}{sha}"));
    }
    let shouted = Reference::Commit {
        sha: "A".repeat(40),
        branch: None,
    };
    assert!(
        shouted
            .picked_by(&format!("sha1:{}", "a".repeat(40)))
            .is_ok()
    );
    for revision in ["", "main@sha1:123", "main/abc"] {
        assert!(
            Reference::Branch("main".into())
                .picked_by(revision)
                .is_err(),
            "{revision}"
        );
    }
}

#[test]
fn invalid_without_asking() {
    for (reference, part) in [
        (Reference::Semver("not a range".into()), "semver range"),
        (Reference::Name("/refs/x".into()), "slash"),
        (Reference::Name("refs/x/".into()), "slash"),
        (Reference::Name("main".into()), "not a valid ref name"),
        (Reference::Name("refs/a..b".into()), "not a valid ref name"),
        (Reference::Branch("a b".into()), "not a valid ref name"),
        (
            Reference::Commit {
                sha: "abc".into(),
                branch: None,
            },
            "40 hexadecimal digits",
        ),
    ] {
        let error = reference.validate().unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn precedence() {
    let all = |commit, name, tag, semver, branch| {
        Reference::from_parts(branch, tag, semver, name, commit)
    };
    let s = Some("x");
    assert!(matches!(
        all(s, s, s, s, s),
        Reference::Commit {
            branch: Some(_),
            ..
        }
    ));
    assert!(matches!(all(None, s, s, s, s), Reference::Name(_)));
    assert!(matches!(all(None, None, s, s, s), Reference::Tag(_)));
    assert!(matches!(
        all(Some(""), None, None, s, s),
        Reference::Semver(_)
    ));
    assert_eq!(
        all(None, None, None, None, s),
        Reference::Branch("x".into())
    );
    assert_eq!(
        all(None, None, None, None, None),
        Reference::Branch("master".into())
    );
}

#[test]
fn equal_versions_are_told() {
    let mut listing = listing();
    for (name, digit) in [("1.10.0+b9", '1'), ("v1.10.0+b10", '2'), ("1.9.0+z", '3')] {
        listing.refs.push(RemoteRef {
            name: format!("refs/tags/{name}"),
            id: Oid::from_str(&digit.to_string().repeat(40)).unwrap(),
            peeled: None,
        });
    }
    let tags = |range: &str| {
        let picks = Reference::Semver(range.into()).pick(&listing, "u").unwrap();
        let ties = picks.ties.into_iter().map(|tie| tie.label);
        [picks.best.label]
            .into_iter()
            .chain(ties)
            .collect::<Vec<_>>()
    };
    assert_eq!(tags("1.x"), ["v1.10.0+b10", "v1.10.0", "1.10.0+b9"]);
    assert_eq!(tags("<1.10"), ["1.9.0+z"]);
}
