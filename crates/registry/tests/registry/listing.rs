//! Lists of tags, page by page, and digests.

use axum::http::Method;
use flux_registry::{Credentials, RegistryError};

use crate::server::{Asked, Server, client, json, status, with_headers};

const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

#[tokio::test]
async fn pages_are_followed_to_the_end() {
    let server = Server::start(|asked: Asked| match asked.target.as_str() {
        "/v2/" => status(200),
        "/v2/a/b/tags/list?n=1000" => with_headers(
            200,
            &[(
                "link",
                r#"</v2/a/b/tags/list?n=1000&last=2.10>; rel="next""#,
            )],
            r#"{"name": "a/b", "tags": ["2.9", "2.10", "no tag\n"]}"#,
        ),
        "/v2/a/b/tags/list?n=1000&last=2.10" => with_headers(
            200,
            &[("link", "<?page=3>; rel=next")],
            r#"{"tags": ["2.51"]}"#,
        ),
        "/v2/a/b/tags/list?page=3" => json(r#"{"name": "a/b", "tags": null}"#),
        _ => status(404),
    })
    .await;
    let client = client(Credentials::anonymous());
    let image = server.image("a/b");
    assert_eq!(client.tags(&image).await.unwrap(), ["2.9", "2.10", "2.51"]);
    client.tags(&image).await.unwrap();
    assert_eq!(server.count("GET /v2/a/b"), 6);
    let pings = server
        .log()
        .iter()
        .filter(|line| *line == "GET /v2/")
        .count();
    assert_eq!(
        pings, 1,
        "the second question does not ask again how to ask"
    );
}

#[tokio::test]
async fn pages_that_lead_away_or_in_circles_are_refused() {
    for (link, text) in [
        (
            "<https://evil.example/v2/>; rel=next",
            "the next page is on another host, 'evil.example'",
        ),
        (
            "</v2/a/b/tags/list?n=1000>; rel=next",
            "its pages of tags form a loop",
        ),
    ] {
        let server = Server::start(move |asked: Asked| match asked.target.as_str() {
            "/v2/" => status(200),
            _ => with_headers(200, &[("link", link)], r#"{"tags": []}"#),
        })
        .await;
        let error = client(Credentials::anonymous())
            .tags(&server.image("a/b"))
            .await
            .unwrap_err();
        assert!(error.to_string().ends_with(text), "{error}");
        assert_eq!(error.reason(), "ReadOperationFailed");
    }
}

#[tokio::test]
async fn endless_lists_are_cut() {
    let server = Server::start(|asked: Asked| match asked.target.as_str() {
        "/v2/" => status(200),
        _ => json(&format!(r#"{{"tags": ["{}"]}}"#, "x".repeat(65 << 20))),
    })
    .await;
    let error = client(Credentials::anonymous())
        .tags(&server.image("a/b"))
        .await
        .unwrap_err();
    assert!(matches!(error, RegistryError::TooLarge { .. }), "{error}");
}

#[tokio::test]
async fn digest_comes_from_the_header_or_from_the_body() {
    let server = Server::start(|asked: Asked| {
        let manifest = |body| with_headers(200, &[("docker-content-digest", DIGEST)], body);
        match (asked.method, asked.target.as_str()) {
            (_, "/v2/") => status(200),
            (Method::HEAD, "/v2/a/b/manifests/stated") => manifest(""),
            (Method::HEAD, "/v2/a/b/manifests/unstated") => status(200),
            (Method::GET, "/v2/a/b/manifests/unstated") => json(""),
            (Method::HEAD, "/v2/a/b/manifests/no-head") => status(405),
            (Method::GET, "/v2/a/b/manifests/no-head") => manifest("{}"),
            _ => with_headers(
                404,
                &[],
                r#"{"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]}"#,
            ),
        }
    })
    .await;
    let (client, image) = (client(Credentials::anonymous()), server.image("a/b"));
    for tag in ["stated", "unstated", "no-head"] {
        assert_eq!(client.digest(&image, tag).await.unwrap(), DIGEST, "{tag}");
    }
    let error = client.digest(&image, "9.9").await.unwrap_err();
    let text = format!(
        "registry {} has no tag 9.9 in repository a/b (HTTP 404)",
        server.address
    );
    assert!(error.to_string().starts_with(&text), "{error}");
    assert!(client.digest(&image, "../../x").await.is_err());
}
