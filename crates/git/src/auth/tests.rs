use super::*;
use crate::keys::Algorithm;

fn secret(pairs: &[(&str, &str)]) -> BTreeMap<String, Vec<u8>> {
    pairs
        .iter()
        .map(|(k, v)| ((*k).to_owned(), v.as_bytes().to_vec()))
        .collect()
}

fn error(url: &str, pairs: &[(&str, &str)]) -> String {
    let url = GitUrl::parse(url).unwrap();
    Auth::from_secret(&url, &secret(pairs))
        .unwrap_err()
        .to_string()
}

#[test]
fn refuses() {
    let ssh = "ssh://git@h/r";
    let https = "https://h/r";
    assert_eq!(
        error(ssh, &[]),
        "invalid 'ssh' auth option: 'identity' is required"
    );
    assert_eq!(
        error(ssh, &[("identity", "x")]),
        "invalid 'ssh' auth option: 'known_hosts' is required"
    );
    assert!(error(ssh, &[("identity", "x"), ("known_hosts", "")]).contains("invalid 'identity'"));
    assert!(error(ssh, &[("username", "x")]).contains("the URL is for ssh"));
    assert!(error(https, &[("password", "x")]).contains("'username' is required"));
    assert!(error("https://u@h/r", &[("bearerToken", "x")]).contains("exclude each other"));
    assert!(error(https, &[("identity", "x")]).contains("not ssh://"));
    assert!(error(https, &[("ca.crt", "x")]).contains("'ca.crt'"));
    assert!(error(https, &[("caFile", "x")]).contains("'caFile'"));
    assert!(error(https, &[("tls.crt", "x")]).contains("'tls.key' is required"));
    for url in [ssh, https] {
        let app = [("githubAppID", "1"), ("githubAppPrivateKey", "s3cret")];
        assert!(error(url, &app).contains("spec.provider: github"));
    }
    assert_eq!(
        AuthError::GithubApp.reason(),
        "InvalidProviderConfiguration"
    );
}

#[test]
fn the_url_brings_what_the_secret_lacks() {
    let ca = rcgen::generate_simple_self_signed(vec!["h".to_owned()]).unwrap();
    let ca = ca.cert.pem();
    for (url, pairs, user, password) in [
        (
            "https://oauth2@h/r",
            &[("password", "p")][..],
            "oauth2",
            "p",
        ),
        ("https://u:p@h/r", &[("username", "v")], "v", "p"),
        (
            "http://u:p@h/r",
            &[("username", "v"), ("password", "q")],
            "v",
            "q",
        ),
        ("http://h/r", &[("username", "v")], "v", ""),
        ("https://u:p@h/r", &[("ca.crt", &ca)], "u", "p"),
    ] {
        let parsed = GitUrl::parse(url).unwrap();
        let auth = Auth::from_secret(&parsed, &secret(pairs)).unwrap();
        let Method::Http(http) = &*auth.method else {
            panic!("{url}");
        };
        let Login::Basic {
            user: u,
            password: p,
        } = &http.login
        else {
            panic!("{url}");
        };
        assert_eq!((u.as_str(), p.as_str()), (user, password), "{url}");
    }
    let url = GitUrl::parse("https://h/r").unwrap();
    for (pairs, trusted) in [
        (&[("ca.crt", ca.as_str()), ("caFile", "old")][..], true),
        (&[("ca.crt", ""), ("caFile", &ca)], true),
        (&[("caFile", "")], false),
    ] {
        let auth = Auth::from_secret(&url, &secret(pairs)).unwrap();
        let Method::Http(http) = &*auth.method else {
            panic!("{pairs:?}");
        };
        assert_eq!(http.ca.as_deref(), trusted.then_some(ca.as_bytes()));
    }
}

#[test]
fn precedence_and_identity() {
    let url = GitUrl::parse("https://h/r").unwrap();
    let of = |pairs: &[(&str, &str)]| Auth::from_secret(&url, &secret(pairs)).unwrap();
    let bearer = of(&[
        ("bearerToken", "t0ken\n"),
        ("username", "u"),
        ("password", "p"),
    ]);
    assert!(
        matches!(&*bearer.method, Method::Http(Http { login: Login::Bearer(t), .. }) if **t == "t0ken")
    );
    let basic = of(&[("username", "u"), ("password", "s3cret")]);
    assert!(!format!("{basic:?}").contains("s3cret"));
    assert_ne!(bearer.identity(), basic.identity());
    assert_eq!(
        basic.identity(),
        of(&[("username", "u"), ("password", "s3cret ")]).identity()
    );
    let in_url = Auth::none(&GitUrl::parse("https://u:s3cret@h/r").unwrap());
    assert_eq!(basic.identity(), in_url.identity());
}

#[test]
fn ssh_shows_only_the_fingerprint() {
    let pair = keys::generate(Algorithm::Ed25519).unwrap();
    let url = GitUrl::parse("ssh://git@h/r").unwrap();
    let data = secret(&[("identity", &pair.private_pem), ("known_hosts", "")]);
    let auth = Auth::from_secret(&url, &data).unwrap();
    let shown = format!("{auth:?}");
    assert!(shown.starts_with("Auth(the key SHA256:"), "{shown}");
    assert_eq!(auth.fingerprint(), Some(pair.fingerprint));
}
