//! Which requests the API server answered, and whom: from its audit log, since its metrics do not
//! tell one client from another.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use serde::Deserialize;

/// A kind of request: `patch kustomizations/status`.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Kind {
    /// Name of the user whose credentials were shown.
    pub user: String,
    /// As RBAC has it: `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`.
    pub verb: String,
    /// Resource and subresource, `deployments/status`; the path of what is no resource.
    pub resource: String,
}

/// How many requests of each kind.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Requests(pub BTreeMap<Kind, u64>);

impl Requests {
    /// Those of one user.
    pub fn of(&self, user: &str) -> Self {
        let kinds = self.0.iter().filter(|(kind, _)| kind.user == user);
        Self(kinds.map(|(kind, count)| (kind.clone(), *count)).collect())
    }

    /// All together, without watches, which are opened again every few minutes by themselves.
    pub fn total(&self) -> u64 {
        let counted = self.0.iter().filter(|(kind, _)| kind.verb != "watch");
        counted.map(|(_, count)| count).sum()
    }

    /// One line a kind, the most frequent first.
    pub fn lines(&self) -> Vec<String> {
        let mut kinds: Vec<_> = self.0.iter().collect();
        kinds.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        kinds
            .into_iter()
            .map(|(kind, count)| format!("{count:>7} {} {}", kind.verb, kind.resource))
            .collect()
    }
}

/// Follows an audit log.
#[derive(Debug)]
pub struct RequestLog {
    path: PathBuf,
    read: u64,
}

impl RequestLog {
    /// From what is written after now.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn open(path: &Path) -> io::Result<Self> {
        let read = std::fs::metadata(path)?.len();
        let path = path.to_owned();
        Ok(Self { path, read })
    }

    /// What has been answered since the last call.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn take(&mut self) -> io::Result<Requests> {
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(self.read))?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        // A line that is still being written is left for the next time.
        let complete = text.rfind('\n').map_or(0, |end| end + 1);
        self.read += complete as u64;
        Ok(count(text.get(..complete).unwrap_or_default()))
    }
}

/// A line of the log, audit.k8s.io/v1.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    stage: String,
    verb: String,
    #[serde(rename = "requestURI")]
    request_uri: String,
    user: User,
    object_ref: Option<ObjectRef>,
}

#[derive(Deserialize)]
struct User {
    #[serde(default)]
    username: String,
}

#[derive(Deserialize)]
struct ObjectRef {
    #[serde(default)]
    resource: String,
    subresource: Option<String>,
}

fn count(text: &str) -> Requests {
    let mut counts = BTreeMap::new();
    for line in text.lines() {
        let Ok(event) = serde_json::from_str::<Event>(line) else {
            continue;
        };
        // A watch is answered when it begins; what ends is counted when it has.
        let answered = match event.verb.as_str() {
            "watch" => "ResponseStarted",
            _ => "ResponseComplete",
        };
        if event.stage != answered {
            continue;
        }
        let path = || {
            let path = event.request_uri.split('?').next();
            path.unwrap_or_default().to_owned()
        };
        let resource = match event.object_ref {
            Some(ObjectRef {
                resource,
                subresource: Some(sub),
            }) => format!("{resource}/{sub}"),
            Some(ObjectRef { resource, .. }) if !resource.is_empty() => resource,
            _ => path(),
        };
        let kind = Kind {
            user: event.user.username,
            verb: event.verb,
            resource,
        };
        *counts.entry(kind).or_default() += 1;
    }
    Requests(counts)
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write};

    use super::*;

    fn line(stage: &str, verb: &str, user: &str, object: &str) -> String {
        format!(
            "{{\"stage\":\"{stage}\",\"verb\":\"{verb}\",\"requestURI\":\"/healthz?verbose\",\
             \"user\":{{\"username\":\"{user}\"}}{object}}}\n"
        )
    }

    #[test]
    fn counts_answers_by_user() {
        let status = ",\"objectRef\":{\"resource\":\"kustomizations\",\"subresource\":\"status\"}";
        let text = [
            line("ResponseComplete", "patch", "operator", status),
            line("ResponseComplete", "patch", "operator", status),
            line("ResponseComplete", "get", "other", ""),
            line("ResponseStarted", "watch", "operator", status),
            line("ResponseComplete", "watch", "operator", status),
        ]
        .concat();
        let requests = count(&text);
        assert_eq!(requests.total(), 3);
        let ours = requests.of("operator");
        assert_eq!(ours.total(), 2);
        assert_eq!(
            ours.lines(),
            [
                "      2 patch kustomizations/status",
                "      1 watch kustomizations/status"
            ]
        );
        assert_eq!(requests.of("other").lines(), ["      1 get /healthz"]);
    }

    #[test]
    fn waits_for_the_end_of_a_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        let one = line("ResponseComplete", "get", "a", "");
        fs::write(&path, &one).unwrap();
        let mut log = RequestLog::open(&path).unwrap();
        assert_eq!(log.take().unwrap().total(), 0, "before it was opened");

        let mut file = fs::OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(format!("{one}{}", &one[..20]).as_bytes())
            .unwrap();
        assert_eq!(log.take().unwrap().total(), 1);
        file.write_all(&one.as_bytes()[20..]).unwrap();
        assert_eq!(log.take().unwrap().total(), 1);
        assert_eq!(log.take().unwrap().total(), 0);
    }
}
