//! GitHub's OpenAPI description, reduced to what a bootstrap uses: the whole would take Prism half a
//! minute to read.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use serde_json::{Map, Value, json};

use super::super::{
    error::{Error, Result},
    paths,
};

/// Where it is below the packages of npm.
const FILE: &str = "node_modules/@octokit/openapi/generated/api.github.com.json";

/// The operations that are kept.
const PATHS: &[&str] = &[
    "/user",
    "/user/repos",
    "/orgs/{org}/repos",
    "/orgs/{org}/teams/{team_slug}/repos/{owner}/{repo}",
    "/repos/{owner}/{repo}",
    "/repos/{owner}/{repo}/branches/{branch}",
    "/repos/{owner}/{repo}/keys",
    "/repos/{owner}/{repo}/keys/{key_id}",
];

/// The reduced description.
pub(super) struct Description {
    pub(super) file: PathBuf,
    /// GitHub's own examples, by name.
    pub(super) examples: Value,
}

/// Writes the reduced description into a folder.
pub(super) fn of(packages: &Path, folder: &Path) -> Result<Description> {
    let source = packages.join(FILE);
    let all: Value = serde_json::from_str(&paths::read(&source)?)
        .map_err(|error| Error::Conflict(format!("{}: {error}", source.display())))?;
    let reduced = reduce(&all);
    let file = folder.join("github.openapi.json");
    paths::write(&file, &reduced.to_string())?;
    Ok(Description {
        file,
        examples: reduced["components"]["examples"].clone(),
    })
}

fn reduce(all: &Value) -> Value {
    let kept: Map<String, Value> = PATHS
        .iter()
        .map(|path| ((*path).to_owned(), all["paths"][*path].clone()))
        .collect();
    let mut reduced = json!({
        "openapi": all["openapi"],
        "info": all["info"],
        "paths": kept,
        "components": {},
    });
    let mut seen = BTreeSet::new();
    let mut open = Vec::new();
    references(&reduced["paths"], &mut open);
    while let Some(reference) = open.pop() {
        if !seen.insert(reference.clone()) {
            continue;
        }
        let Some((kind, name)) = split(&reference) else {
            continue;
        };
        let part = &all["components"][kind][name];
        references(part, &mut open);
        reduced["components"][kind][name] = part.clone();
    }
    reduced
}

/// `#/components/KIND/NAME`.
fn split(reference: &str) -> Option<(&str, &str)> {
    reference.strip_prefix("#/components/")?.split_once('/')
}

fn references(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) if text.starts_with("#/components/") => found.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        Value::Object(map) => map.values().for_each(|item| references(item, found)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_referred_to_is_kept() {
        let all = json!({
            "openapi": "3.0.3", "info": {},
            "paths": {"/user": {"get": {"$ref": "#/components/responses/user"}}, "/other": {}},
            "components": {
                "responses": {"user": {"schema": {"$ref": "#/components/schemas/user"}}},
                "schemas": {"user": {"self": {"$ref": "#/components/schemas/user"}}, "x": {}},
            },
        });
        let reduced = reduce(&all);
        assert_eq!(
            reduced["components"]["responses"],
            all["components"]["responses"]
        );
        assert_eq!(
            reduced["components"]["schemas"],
            json!({"user": {"self": {"$ref": "#/components/schemas/user"}}})
        );
        assert_eq!(reduced["paths"]["/other"], Value::Null);
    }
}
