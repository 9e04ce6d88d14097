//! Logging in: basic, bearer tokens, identity tokens.

use axum::http::Method;
use flux_registry::{Credentials, RegistryError};

use crate::server::{Asked, Server, client, json, status, with_headers};

/// `me:secret`
const BASIC: &str = "Basic bWU6c2VjcmV0";

fn wants_basic(asked: &Asked) -> bool {
    asked.authorization.as_deref() != Some(BASIC)
}

#[tokio::test]
async fn basic_login() {
    let server = Server::start(|asked: Asked| {
        if wants_basic(&asked) {
            return with_headers(
                401,
                &[("www-authenticate", "Basic realm=\"registry\"")],
                r#"{"errors": [{"code": "UNAUTHORIZED", "message": "no: bWU6d3Jvbmc= wrong"}]}"#,
            );
        }
        json(r#"{"tags": ["1"]}"#)
    })
    .await;
    let image = server.image("a/b");
    assert_eq!(
        client(server.login("me", "secret"))
            .tags(&image)
            .await
            .unwrap(),
        ["1"]
    );

    let refused = client(server.login("me", "wrong"))
        .tags(&image)
        .await
        .unwrap_err();
    assert!(
        matches!(refused, RegistryError::LoginRefused { .. }),
        "{refused}"
    );
    assert_eq!(refused.reason(), "AuthenticationFailed");
    assert!(
        refused
            .to_string()
            .contains("HTTP 401, UNAUTHORIZED: no: *** ***"),
        "{refused}"
    );

    let required = client(Credentials::anonymous())
        .tags(&image)
        .await
        .unwrap_err();
    assert!(
        matches!(required, RegistryError::LoginRequired { .. }),
        "{required}"
    );
    let host = server.address;
    assert!(
        required.to_string().contains(&format!(
            "with an entry for {host} and name it in spec.secretRef"
        )),
        "{required}"
    );

    let elsewhere = client(Credentials::basic("ghcr.io", "me", "secret"));
    assert!(
        elsewhere.tags(&image).await.is_err(),
        "a login goes to its own registry only"
    );
}

/// A registry with a token service at `/token`. Tokens are `T<n>`; only the newest counts.
async fn token_registry(life: u64) -> Server {
    use std::sync::atomic::{AtomicUsize, Ordering};
    let issued = AtomicUsize::new(0);
    let address = std::sync::Arc::new(std::sync::OnceLock::<String>::new());
    let own = std::sync::Arc::clone(&address);
    let server = Server::start(move |asked: Asked| {
        if asked.target.starts_with("/token") {
            let known = match asked.method {
                Method::POST => asked.body.contains("refresh_token=identity"),
                _ => !wants_basic(&asked),
            };
            if !known {
                return with_headers(401, &[], r#"{"details": "incorrect username or password"}"#);
            }
            let number = issued.fetch_add(1, Ordering::SeqCst) + 1;
            return json(&format!(
                r#"{{"access_token": "T{number}", "expires_in": {life}}}"#
            ));
        }
        let newest = format!("Bearer T{}", issued.load(Ordering::SeqCst));
        if asked.authorization == Some(newest) {
            return json(r#"{"tags": ["1"]}"#);
        }
        let scope = match asked.target.as_str() {
            "/v2/" => "",
            _ => ",scope=\"repository:a/b:pull\"",
        };
        let realm = own.get().cloned().unwrap_or_default();
        let challenge =
            format!("Bearer realm=\"http://{realm}/token?x=1\",service=\"registry\"{scope}");
        with_headers(401, &[("www-authenticate", &challenge)], "")
    })
    .await;
    address.set(server.address.to_string()).unwrap();
    server
}

const TOKEN_REQUEST: &str = "GET /token?x=1&service=registry&scope=repository%3Aa%2Fb%3Apull";

#[tokio::test]
async fn tokens_are_kept_per_scope_until_they_expire() {
    let server = token_registry(300).await;
    let client = client(server.login("me", "secret"));
    for _ in 0..3 {
        assert_eq!(client.tags(&server.image("a/b")).await.unwrap(), ["1"]);
    }
    assert_eq!(
        server
            .log()
            .iter()
            .filter(|line| *line == TOKEN_REQUEST)
            .count(),
        1
    );
    client.tags(&server.image("c/d")).await.unwrap();
    assert_eq!(
        server.count("GET /token"),
        2,
        "another repository, another token"
    );
    // The registry now only takes the second token: the first is renewed after a refusal.
    client.tags(&server.image("a/b")).await.unwrap();
    assert_eq!(server.count("GET /token"), 3);

    let short = token_registry(0).await;
    let client = crate::server::client(short.login("me", "secret"));
    for _ in 0..2 {
        client.tags(&short.image("a/b")).await.unwrap();
    }
    assert_eq!(short.count("GET /token"), 2, "an expired token is not sent");
}

#[tokio::test]
async fn refused_by_the_token_service() {
    let server = token_registry(300).await;
    let image = server.image("a/b");
    let error = client(server.login("me", "hunter2"))
        .tags(&image)
        .await
        .unwrap_err();
    assert!(
        matches!(error, RegistryError::LoginRefused { .. }),
        "{error}"
    );
    assert!(
        error.to_string().contains("incorrect username or password"),
        "{error}"
    );
    assert!(!error.to_string().contains("hunter2"), "{error}");
    let error = client(Credentials::anonymous())
        .tags(&image)
        .await
        .unwrap_err();
    assert!(
        matches!(error, RegistryError::LoginRequired { .. }),
        "{error}"
    );
}

#[tokio::test]
async fn identity_tokens_are_exchanged() {
    let server = token_registry(300).await;
    let image = server.image("a/b");
    let config = |entry: &str| {
        let json = format!(r#"{{"auths": {{"{}": {entry}}}}}"#, server.address);
        Credentials::from_docker_config(json.as_bytes(), &image).unwrap()
    };
    let identity = config(r#"{"identitytoken": "identity"}"#);
    assert_eq!(client(identity).tags(&image).await.unwrap(), ["1"]);
    assert_eq!(server.count("POST /token"), 1);
    let token = config(r#"{"registrytoken": "T1"}"#);
    assert_eq!(
        client(token).tags(&image).await.unwrap(),
        ["1"],
        "sent as it is"
    );
}

#[tokio::test]
async fn unknown_ways_of_login_are_named() {
    let server =
        Server::start(|_: Asked| with_headers(401, &[("www-authenticate", "Negotiate")], "")).await;
    let error = client(Credentials::anonymous())
        .tags(&server.image("a/b"))
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("neither Basic nor Bearer authentication"),
        "{error}"
    );
    let open = Server::start(|_: Asked| status(403)).await;
    let error = client(Credentials::anonymous())
        .tags(&open.image("a/b"))
        .await
        .unwrap_err();
    assert!(
        matches!(error, RegistryError::LoginRequired { .. }),
        "{error}"
    );
}
