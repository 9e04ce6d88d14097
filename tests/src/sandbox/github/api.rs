//! The API's state and answers. Answers are GitHub's own examples with the facts of this server.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, Method, Response, StatusCode, header},
};
use serde_json::{Value, json};

use super::{
    super::git::{Access, GitServer},
    TOKEN, USER,
};

/// The largest body of a request.
const BODY_LIMIT: usize = 1 << 20;

/// A repository.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RepositoryState {
    /// Whether it is private.
    pub private: bool,
    /// Permissions by team.
    pub teams: BTreeMap<String, String>,
    /// Deploy keys.
    pub keys: Vec<KeyState>,
}

/// A deploy key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyState {
    /// Number in paths.
    pub id: u64,
    /// Title.
    pub title: String,
    /// The public key.
    pub key: String,
    /// Whether it cannot write.
    pub read_only: bool,
}

pub(super) struct Api {
    git: &'static GitServer,
    examples: Value,
    port: u16,
    state: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    repositories: BTreeMap<String, RepositoryState>,
    changes: Vec<String>,
    last_id: u64,
}

impl std::fmt::Debug for Api {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Api")
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

pub(super) fn router(api: Arc<Api>) -> Router {
    Router::new().fallback(serve).with_state(api)
}

async fn serve(State(api): State<Arc<Api>>, request: Request) -> Response<Body> {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, BODY_LIMIT).await.unwrap_or_default();
    let body = serde_json::from_slice(&body).unwrap_or_default();
    let (status, answer) = match is_accepted(&head.headers) {
        true => api.answer(&head.method, head.uri.path(), &body),
        false => refusal(401, "Bad credentials"),
    };
    let response = Response::builder()
        .status(status)
        .header("x-oauth-scopes", "admin:org, repo");
    let response = match answer {
        Value::Null => response.body(Body::empty()),
        answer => response
            .header(header::CONTENT_TYPE, "application/json; charset=utf-8")
            .body(Body::from(answer.to_string())),
    };
    response.unwrap_or_else(|_| {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        response
    })
}

fn is_accepted(headers: &HeaderMap) -> bool {
    let given = headers.get(header::AUTHORIZATION);
    given.is_some_and(|value| value.as_bytes() == format!("Bearer {TOKEN}").as_bytes())
}

fn refusal(status: u16, message: &str) -> (u16, Value) {
    let url = "https://docs.github.com/rest";
    (
        status,
        json!({"message": message, "documentation_url": url, "status": status.to_string()}),
    )
}

impl Api {
    pub(super) fn new(git: &'static GitServer, examples: &Value, port: u16) -> Self {
        Self {
            git,
            examples: examples.clone(),
            port,
            state: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, Inner> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn repositories(&self) -> BTreeMap<String, RepositoryState> {
        self.state().repositories.clone()
    }

    pub(super) fn take_changes(&self) -> Vec<String> {
        std::mem::take(&mut self.state().changes)
    }

    fn answer(&self, method: &Method, path: &str, body: &Value) -> (u16, Value) {
        if method != Method::GET {
            self.state().changes.push(format!("{method} {path}"));
        }
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        match (method.as_str(), parts.as_slice()) {
            ("GET", ["user"]) => {
                let mut user =
                    self.example("private-user-response-with-public-profile-information");
                user["login"] = json!(USER);
                (200, user)
            }
            ("POST", ["user", "repos"]) => self.create(USER, body),
            ("POST", ["orgs", USER, "repos"]) => refusal(404, "Not Found"),
            ("POST", ["orgs", owner, "repos"]) => self.create(owner, body),
            ("GET", ["repos", owner, name]) => self.repository(owner, name, 200),
            ("PATCH", ["repos", owner, name]) => {
                if let Some(found) = self
                    .state()
                    .repositories
                    .get_mut(&format!("{owner}/{name}"))
                {
                    found.private = body["private"].as_bool().unwrap_or(found.private);
                }
                self.repository(owner, name, 200)
            }
            ("GET", ["repos", owner, name, "branches", branch]) => {
                self.branch(&format!("{owner}/{name}"), branch)
            }
            ("PUT", ["orgs", _, "teams", team, "repos", owner, name]) => {
                let permission = body["permission"].as_str().unwrap_or("push");
                let mut state = self.state();
                let Some(found) = state.repositories.get_mut(&format!("{owner}/{name}")) else {
                    return refusal(404, "Not Found");
                };
                found
                    .teams
                    .insert((*team).to_owned(), permission.to_owned());
                (204, Value::Null)
            }
            ("GET", ["repos", owner, name, "keys"]) => self.keys(&format!("{owner}/{name}")),
            ("POST", ["repos", owner, name, "keys"]) => {
                self.add_key(&format!("{owner}/{name}"), body)
            }
            ("DELETE", ["repos", owner, name, "keys", id]) => {
                self.remove_key(&format!("{owner}/{name}"), id)
            }
            _ => refusal(404, "Not Found"),
        }
    }

    fn example(&self, name: &str) -> Value {
        self.examples[name]["value"].clone()
    }

    fn create(&self, owner: &str, body: &Value) -> (u16, Value) {
        let name = body["name"].as_str().unwrap_or_default();
        let private = body["private"].as_bool().unwrap_or_default();
        match self.make(&format!("{owner}/{name}"), private) {
            true => self.repository(owner, name, 201),
            false => refusal(422, "Repository creation failed."),
        }
    }

    /// Says whether there was none of that name.
    pub(super) fn make(&self, repository: &str, private: bool) -> bool {
        let is_new = self.git.create_repository(repository).is_ok();
        if is_new {
            let made = RepositoryState {
                private,
                ..RepositoryState::default()
            };
            self.state()
                .repositories
                .insert(repository.to_owned(), made);
        }
        is_new
    }

    fn repository(&self, owner: &str, name: &str, status: u16) -> (u16, Value) {
        let full = format!("{owner}/{name}");
        let state = self.state();
        let Some(found) = state.repositories.get(&full) else {
            return refusal(404, "Not Found");
        };
        let mut answer = self.example("full-repository");
        answer["name"] = json!(name);
        answer["full_name"] = json!(full);
        answer["owner"]["login"] = json!(owner);
        answer["private"] = json!(found.private);
        answer["html_url"] = json!(format!("https://127.0.0.1:{}/{full}", self.port));
        answer["clone_url"] = json!(format!("https://127.0.0.1:{}/{full}.git", self.port));
        // The description requires it, and its own example has not got it.
        answer["has_discussions"] = json!(false);
        (status, answer)
    }

    fn branch(&self, repository: &str, branch: &str) -> (u16, Value) {
        let path = self.git.repository_path(repository);
        let is_there = path.join("refs/heads").join(branch).exists();
        if !is_there {
            return refusal(404, "Branch not found");
        }
        let mut answer = self.example("branch-get");
        answer["name"] = json!(branch);
        answer["protected"] = json!(branch == "protected");
        (200, answer)
    }

    fn keys(&self, repository: &str) -> (u16, Value) {
        let state = self.state();
        let Some(found) = state.repositories.get(repository) else {
            return refusal(404, "Not Found");
        };
        let keys = found.keys.iter().map(|key| self.key(key)).collect();
        (200, Value::Array(keys))
    }

    fn key(&self, key: &KeyState) -> Value {
        let mut answer = self.example("deploy-key");
        answer["id"] = json!(key.id);
        answer["title"] = json!(key.title);
        answer["key"] = json!(key.key);
        answer["read_only"] = json!(key.read_only);
        answer
    }

    fn add_key(&self, repository: &str, body: &Value) -> (u16, Value) {
        let text = |field: &str| body[field].as_str().unwrap_or_default().to_owned();
        let read_only = body["read_only"].as_bool().unwrap_or_default();
        let access = match read_only {
            true => Access::ReadOnly,
            false => Access::ReadWrite,
        };
        if self
            .git
            .add_deploy_key(repository, &text("key"), access)
            .is_err()
        {
            return refusal(422, "key is already in use");
        }
        let mut state = self.state();
        state.last_id += 1;
        let key = KeyState {
            id: state.last_id,
            title: text("title"),
            key: text("key"),
            read_only,
        };
        let answer = self.key(&key);
        if let Some(found) = state.repositories.get_mut(repository) {
            found.keys.push(key);
        }
        (201, answer)
    }

    fn remove_key(&self, repository: &str, id: &str) -> (u16, Value) {
        let mut state = self.state();
        let keys = state
            .repositories
            .get_mut(repository)
            .map(|found| &mut found.keys);
        let Some(keys) = keys else {
            return refusal(404, "Not Found");
        };
        let Some(at) = keys.iter().position(|key| key.id.to_string() == id) else {
            return refusal(404, "Not Found");
        };
        let key = keys.remove(at);
        match self.git.remove_key(&key.key) {
            Ok(()) => (204, Value::Null),
            Err(error) => refusal(500, &error.to_string()),
        }
    }
}
