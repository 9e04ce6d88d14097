//! Both transports through a proxy.

use std::sync::atomic::Ordering;

use flux_git::keys::{self, Algorithm};
use flux_git::{Auth, GitError, GitUrl, Proxy as Settings, Reference, Remote};

use crate::support::httpd::{Httpd, LOGIN, certificate};
use crate::support::proxy::Proxy;
use crate::support::sshd::{Access, Sshd};
use crate::support::{Client, Repo, TIMEOUT, secret};

#[tokio::test]
async fn ssh_and_https_go_through_all_kinds_of_proxies() {
    let client = Client::new();
    let repo = Repo::new();
    let main = Reference::Branch("main".to_owned());
    let key = keys::generate(Algorithm::Ed25519).unwrap();
    let web = Httpd::start(repo.bare(), true).await;
    let url = GitUrl::parse(&web.url()).unwrap();
    let ca = web.ca.clone().unwrap();
    let login = secret(&[
        ("username", LOGIN.0),
        ("password", LOGIN.1),
        ("ca.crt", &ca),
    ]);
    let mut remotes = vec![Remote::new(
        url.clone(),
        Auth::from_secret(&url, &login).unwrap(),
        TIMEOUT,
    )];
    let server = Sshd::start(&repo, &[(&key, Access::Read)]);
    remotes.extend(server.iter().map(|server| server.remote(&key)));

    for mut remote in remotes {
        for scheme in ["http", "https", "socks5"] {
            let (tls, trust) = match scheme {
                "https" => certificate(),
                _ => (None, None),
            };
            let proxy = Proxy::start(tls).await;
            let trust = trust.unwrap_or_default();
            let address = format!("{scheme}://127.0.0.1:{}", proxy.port);
            let good = [
                ("address", address.as_str()),
                ("ca.crt", trust.as_str()),
                ("username", "u"),
                ("password", "p"),
            ];
            remote.proxy = Some(Settings::from_secret(&secret(&good)).unwrap());
            client.git.resolve(&remote, &main).await.unwrap();
            client.git.fetch(&remote, &main).await.unwrap();
            assert!(proxy.passed.load(Ordering::SeqCst) >= 1, "{remote:?}");

            remote.proxy = Some(Settings::from_secret(&secret(&good[..2])).unwrap());
            let error = client.git.resolve(&remote, &main).await.unwrap_err();
            let text = error.to_string();
            if remote.url.is_ssh() {
                assert!(
                    matches!(error, GitError::Proxy { .. }) && text.contains(&address[6..]),
                    "{text}"
                );
            }
            if scheme == "https" {
                let untrusted = [good[0], good[2], good[3]];
                remote.proxy = Some(Settings::from_secret(&secret(&untrusted)).unwrap());
                let error = client.git.resolve(&remote, &main).await.unwrap_err();
                assert!(error.to_string().contains("certificate"), "{error}");
            }
        }
    }
}
