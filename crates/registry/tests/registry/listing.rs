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
async fn endless_pages_are_cut() {
    // Each page has a next one that was never seen.
    let server = Server::start(|asked: Asked| match asked.target.as_str() {
        "/v2/" => status(200),
        target => {
            let last = target.rsplit("last=").next().unwrap_or_default();
            let next = last.parse::<u64>().unwrap_or_default() + 1;
            let link = format!("</v2/a/b/tags/list?n=1000&last={next}>; rel=next");
            let page = format!(r#"{{"tags": ["{next}"]}}"#);
            with_headers(200, &[("link", &link)], &page)
        }
    })
    .await;
    let error = client(Credentials::anonymous())
        .tags(&server.image("a/b"))
        .await
        .unwrap_err();
    assert!(matches!(error, RegistryError::TooLarge { .. }), "{error}");
    assert!(error.to_string().contains("5000 pages of tags"), "{error}");
    assert_eq!(server.count("GET /v2/a/b"), 5_000);
}

#[tokio::test]
async fn a_hundred_thousand_tags_take_their_bytes() {
    const TAGS: usize = 100_000;
    let name = |number: usize| format!("v1.{}.{}-build.{number:07}", number / 1000, number % 1000);
    let server = Server::start(move |asked: Asked| match asked.target.as_str() {
        "/v2/" => status(200),
        target => {
            let last = target.rsplit("last=").next().unwrap_or_default();
            let start = last.parse::<usize>().unwrap_or_default();
            let page: Vec<String> = (start..start + 1000).map(name).collect();
            let body = serde_json::json!({"name": "a/b", "tags": page}).to_string();
            let link = format!("</v2/a/b/tags/list?n=1000&last={}>; rel=next", start + 1000);
            let headers = [("link", link.as_str())];
            let count = usize::from(start + 1000 < TAGS);
            with_headers(200, &headers[..count], &body)
        }
    })
    .await;
    let client = client(Credentials::anonymous());
    let tags = client.tags(&server.image("a/b")).await.unwrap();
    assert_eq!(tags.len(), TAGS);
    assert_eq!(tags.get(99_999), Some(&*name(99_999)));
    let sorted = tags.sorted(|_| true);
    assert_eq!(sorted.len(), TAGS);
    // What a list takes: its text and four bytes for each tag, with room to grow while it is read.
    let exact = sorted.bytes() + TAGS * 4;
    assert!(sorted.allocated() <= exact, "{}", sorted.allocated());
    assert!(tags.allocated() <= exact * 2, "{}", tags.allocated());
}

#[tokio::test]
async fn tags_of_every_legal_character() {
    let first = ('a'..='z').chain('A'..='Z').chain('0'..='9').chain(['_']);
    let legal: String = first.clone().chain(['.', '-']).collect();
    let mut tags: Vec<String> = first.map(|c| c.to_string()).collect();
    tags.extend(legal.chars().map(|c| format!("x{c}")));
    tags.push(legal.clone());
    tags.push(format!("{legal}{}", &legal[..128 - legal.len()]));
    let answer = serde_json::json!({ "tags": tags }).to_string();
    let server = Server::start(move |asked: Asked| match asked.target.as_str() {
        "/v2/" => status(200),
        target if target.starts_with("/v2/a/b/tags/list") => json(&answer),
        // The tag comes as it is, without an escape.
        target if !target.contains('%') => {
            with_headers(200, &[("docker-content-digest", DIGEST)], "")
        }
        _ => status(404),
    })
    .await;
    let (client, image) = (client(Credentials::anonymous()), server.image("a/b"));
    let listed = client.tags(&image).await.unwrap();
    assert!(listed.iter().eq(tags.iter().map(String::as_str)));
    for tag in tags.iter().rev().take(3) {
        assert_eq!(client.digest(&image, tag).await.unwrap(), DIGEST, "{tag}");
        let asked = format!("HEAD /v2/a/b/manifests/{tag}");
        assert!(server.log().contains(&asked), "{tag}");
    }
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
