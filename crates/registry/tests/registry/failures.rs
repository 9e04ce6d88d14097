//! Registries that are not there, slow, busy or wrong.

use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::Response;
use flux_registry::{ClientOptions, Credentials, Proxy, Reference, RegistryError};

use crate::server::{Asked, Server, client, client_with, json, options, status, with_headers};

#[tokio::test]
async fn passing_failures_are_retried() {
    let server = Server::start(|asked: Asked| match (asked.target.as_str(), asked.before) {
        ("/v2/", 0) => status(503),
        ("/v2/", _) => status(200),
        (_, 0) => with_headers(429, &[("retry-after", "1")], ""),
        // The connection ends in the middle of the body.
        (_, 1) => Response::builder()
            .header("content-length", "100")
            .body(Body::from("{"))
            .unwrap(),
        _ => json(r#"{"tags": ["1"]}"#),
    })
    .await;
    let start = Instant::now();
    let tags = client(Credentials::anonymous())
        .tags(&server.image("a/b"))
        .await
        .unwrap();
    assert_eq!(tags, ["1"]);
    assert!(
        start.elapsed() >= Duration::from_secs(1),
        "the registry's wait is kept"
    );
    assert_eq!(server.count("GET /v2/a/b"), 3);
}

#[tokio::test]
async fn long_waits_are_left_to_the_next_scan() {
    let server = Server::start(|asked: Asked| match asked.target.as_str() {
        "/v2/" => status(200),
        _ => with_headers(
            429,
            &[("retry-after", "3600")],
            r#"{"errors": [{"code": "TOOMANYREQUESTS", "message": "pull rate limit"}]}"#,
        ),
    })
    .await;
    let start = Instant::now();
    let error = client(Credentials::anonymous())
        .tags(&server.image("a/b"))
        .await
        .unwrap_err();
    assert!(start.elapsed() < Duration::from_secs(1));
    assert!(
        error
            .to_string()
            .contains("TOOMANYREQUESTS: pull rate limit); it asks to wait 3600s"),
        "{error}"
    );
}

#[tokio::test]
async fn a_failing_registry_is_given_up() {
    let server = Server::start(|asked: Asked| match asked.target.as_str() {
        "/v2/" => status(200),
        _ => status(500),
    })
    .await;
    let error = client(Credentials::anonymous())
        .tags(&server.image("a/b"))
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "registry {} failed to answer for a/b (HTTP 500)",
            server.address
        )
    );
    assert_eq!(server.count("GET /v2/a/b"), 4);
}

#[tokio::test]
async fn missing_repository() {
    let server = Server::start(|asked: Asked| match asked.target.as_str() {
        "/v2/" => status(200),
        _ => with_headers(
            404,
            &[],
            r#"{"errors":[{"code":"NAME_UNKNOWN","message":"repository name not known to registry"}]}"#,
        ),
    })
    .await;
    let error = client(Credentials::anonymous())
        .tags(&server.image("a/b"))
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "registry {} has no repository a/b (HTTP 404, NAME_UNKNOWN: repository name not known \
             to registry): check spec.image",
            server.address
        )
    );
}

#[tokio::test]
async fn not_a_registry() {
    let server = Server::start(|_: Asked| json("<html>")).await;
    let error = client(Credentials::anonymous())
        .tags(&server.image("a/b"))
        .await
        .unwrap_err();
    assert!(matches!(error, RegistryError::Protocol { .. }), "{error}");
}

#[tokio::test]
async fn slow_answers_end_at_the_timeout() {
    let server = Server::start(|asked: Asked| match asked.target.as_str() {
        "/v2/" => status(200),
        _ => Response::new(Body::from_stream(futures::stream::pending::<
            Result<axum::body::Bytes, std::io::Error>,
        >())),
    })
    .await;
    let client = client_with(ClientOptions {
        timeout: Duration::from_millis(500),
        ..options()
    });
    let error = client.tags(&server.image("a/b")).await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("did not answer for a/b within 0.5s"),
        "{error}"
    );
}

#[tokio::test]
async fn bodies_that_trickle_end_at_the_timeout() {
    let server = Server::start(|asked: Asked| match asked.target.as_str() {
        "/v2/" => status(200),
        _ => {
            // Always something, never the end: no wait for a single byte is long.
            let drops = futures::stream::unfold((), |()| async {
                tokio::time::sleep(Duration::from_millis(50)).await;
                Some((Ok::<_, std::io::Error>("\"1\","), ()))
            });
            Response::new(Body::from_stream(drops))
        }
    })
    .await;
    let client = client_with(ClientOptions {
        timeout: Duration::from_millis(500),
        ..options()
    });
    let error = client.tags(&server.image("a/b")).await.unwrap_err();
    assert!(matches!(error, RegistryError::Timeout { .. }), "{error}");
}

#[tokio::test]
async fn nobody_there() {
    let port = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let client = client(Credentials::anonymous());
    let image = Reference::parse(&format!("127.0.0.1:{port}/a/b")).unwrap();
    let error = client.tags(&image).await.unwrap_err();
    let start = format!("registry 127.0.0.1:{port} cannot be reached for a/b: Connection refused");
    assert!(error.to_string().starts_with(&start), "{error}");

    let image = Reference::parse("registry.invalid:5000/a/b").unwrap();
    let error = client.tags(&image).await.unwrap_err();
    assert!(
        matches!(error, RegistryError::UnknownHost { .. }),
        "{error}"
    );
}

#[tokio::test]
async fn proxies_carry_the_requests() {
    let proxy = Server::start(|asked: Asked| match asked.target.as_str() {
        "http://registry.local/v2/" => status(200),
        _ => json(r#"{"tags": ["through"]}"#),
    })
    .await;
    let client = client_with(ClientOptions {
        proxy: Some(Proxy {
            address: format!("http://{}", proxy.address),
            login: None,
        }),
        ..options()
    });
    let image = Reference::parse("registry.local/a/b").unwrap();
    assert_eq!(client.tags(&image).await.unwrap(), ["through"]);

    let bad = Proxy {
        address: "http://user:hunter2@:x".into(),
        login: None,
    };
    crate::install_crypto_provider();
    let error = flux_registry::Client::new(ClientOptions {
        proxy: Some(bad),
        ..options()
    })
    .unwrap_err();
    assert!(!error.to_string().contains("hunter2"), "{error}");
    assert_eq!(error.reason(), "AuthenticationFailed");
}
