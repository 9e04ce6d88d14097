//! Refs that a server lists, in protocol versions 0, 1 and 2. Pure: frames in, refs out.

use git2::Oid;

use crate::error::GitError;
use crate::pktline::{self, Packet};
use crate::reference::full_id;
use crate::remote::Remote;
use crate::said;

/// One ref.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RemoteRef {
    /// Full name.
    pub(crate) name: String,
    /// What it points to.
    pub(crate) id: Oid,
    /// For annotated tags: the object behind the tag.
    pub(crate) peeled: Option<Oid>,
}

/// Refs, possibly only those with certain prefixes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Listing {
    pub(crate) refs: Vec<RemoteRef>,
    /// What `HEAD` is a symbolic ref to.
    pub(crate) head: Option<String>,
}

impl Listing {
    /// The ref of exactly this name.
    pub(crate) fn find(&self, name: &str) -> Option<&RemoteRef> {
        self.refs.iter().find(|found| found.name == name)
    }

    /// The default branch, without `refs/heads/`.
    pub(crate) fn default_branch(&self) -> Option<&str> {
        let name = match &self.head {
            Some(name) => name.as_str(),
            // Old servers do not tell the target: a branch with the same commit is it.
            None => {
                let head = self.find("HEAD")?;
                let same = |found: &&RemoteRef| {
                    found.id == head.id && found.name.starts_with("refs/heads/")
                };
                self.refs.iter().find(same)?.name.as_str()
            }
        };
        name.strip_prefix("refs/heads/")
    }

    /// Adds one line of a version 0 listing (without capabilities). `name^{}` lines peel the
    /// ref before them.
    pub(crate) fn add_v0(&mut self, id: Oid, name: &str) {
        match (name.strip_suffix("^{}"), self.refs.last_mut()) {
            (Some(tag), Some(last)) if last.name == tag => last.peeled = Some(id),
            (Some(_), _) => {}
            (None, _) => {
                self.refs.push(RemoteRef {
                    name: name.to_owned(),
                    id,
                    peeled: None,
                });
            }
        }
    }
}

/// What a server sent so far.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    prefixes: Vec<String>,
    listing: Listing,
    version: Option<u8>,
    format: Option<String>,
    /// Of versions 0 and 1, separated by spaces.
    capabilities: String,
    ls_refs: bool,
}

/// What the reader knows after a frame.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// More frames are needed.
    More,
    /// The server speaks version 2: send [`request`], then read with [`Reader::answer`].
    Ask,
    /// All refs are there.
    Done,
    /// The server sent an error line.
    Error(String),
    /// The frame makes no sense here.
    Garbage(String),
}

impl Reader {
    /// Keeps only refs with one of these prefixes, or all if there are none.
    pub(crate) fn new(prefixes: &[String]) -> Self {
        Self {
            prefixes: prefixes.to_vec(),
            ..Self::default()
        }
    }

    /// The refs.
    pub(crate) fn into_listing(self) -> Listing {
        self.listing
    }

    /// The id of a ref that was kept.
    pub(crate) fn tip(&self, name: &str) -> Option<Oid> {
        self.listing.find(name).map(|found| found.id)
    }

    /// Whether a server of version 0 or 1 has a capability, with or without a value.
    pub(crate) fn offers(&self, capability: &str) -> bool {
        self.capabilities
            .split(' ')
            .any(|offered| offered.split('=').next() == Some(capability))
    }

    /// Only repositories with SHA-1 names are supported.
    pub(crate) fn check_format(&self, remote: &Remote) -> Result<(), GitError> {
        match self.format() {
            "sha1" => Ok(()),
            format => Err(GitError::ObjectFormat {
                url: remote.url.to_string(),
                format: said::tidy(format),
            }),
        }
    }

    /// `sha1` unless the server says otherwise.
    fn format(&self) -> &str {
        self.format.as_deref().unwrap_or("sha1")
    }

    /// A frame of the server's greeting: a list of capabilities, or the refs themselves.
    pub(crate) fn greeting(&mut self, packet: &Packet) -> Step {
        let Some(line) = packet.line() else {
            return match (packet, self.version) {
                (Packet::Flush, Some(2)) if self.ls_refs => Step::Ask,
                (Packet::Flush, Some(2)) => {
                    Step::Garbage("version 2 without the command ls-refs".to_owned())
                }
                // Over HTTP the service line has a flush of its own.
                (Packet::Flush, None) => Step::More,
                (Packet::Flush, Some(_)) => Step::Done,
                _ => Step::Garbage("a delimiter in the greeting".to_owned()),
            };
        };
        if let Some(problem) = line.strip_prefix("ERR ") {
            return Step::Error(problem.to_owned());
        }
        if self.version.is_none() && line.starts_with("# service=") {
            return Step::More;
        }
        if let Some(version) = line.strip_prefix("version ") {
            self.version = version.parse().ok();
            return Step::More;
        }
        if self.version == Some(2) {
            match line.split_once('=').unwrap_or((&line, "")) {
                ("ls-refs", _) => self.ls_refs = true,
                ("object-format", format) => self.format = Some(format.to_owned()),
                _ => {}
            }
            return Step::More;
        }
        self.version.get_or_insert(0);
        self.v0(&line)
    }

    /// A frame of the answer to [`request`].
    pub(crate) fn answer(&mut self, packet: &Packet) -> Step {
        let Some(line) = packet.line() else {
            return match packet {
                Packet::Flush => Step::Done,
                _ => Step::More,
            };
        };
        if let Some(problem) = line.strip_prefix("ERR ") {
            return Step::Error(problem.to_owned());
        }
        let mut words = line.split(' ');
        let (Some(id), Some(name)) = (words.next(), words.next()) else {
            return Step::Garbage(line);
        };
        // "unborn HEAD": the default branch has no commit.
        let Some(id) = full_id(id) else {
            return if id == "unborn" {
                Step::More
            } else {
                Step::Garbage(line)
            };
        };
        let mut found = RemoteRef {
            name: name.to_owned(),
            id,
            peeled: None,
        };
        for word in words {
            match word.split_once(':') {
                Some(("peeled", id)) => found.peeled = full_id(id),
                Some(("symref-target", target)) if name == "HEAD" => {
                    self.listing.head = Some(target.to_owned());
                }
                _ => {}
            }
        }
        if self.wanted(name) {
            self.listing.refs.push(found);
        }
        Step::More
    }

    fn v0(&mut self, line: &str) -> Step {
        let (line, capabilities) = line.split_once('\0').unwrap_or((line, ""));
        if !capabilities.is_empty() {
            capabilities.clone_into(&mut self.capabilities);
        }
        for capability in capabilities.split(' ') {
            match capability.split_once('=') {
                Some(("symref", target)) => {
                    if let Some(target) = target.strip_prefix("HEAD:") {
                        self.listing.head = Some(target.to_owned());
                    }
                }
                Some(("object-format", format)) => self.format = Some(format.to_owned()),
                _ => {}
            }
        }
        let Some((id, name)) = line.split_once(' ') else {
            return Step::Garbage(line.to_owned());
        };
        if id == "shallow" || name == "capabilities^{}" {
            return Step::More;
        }
        let Some(id) = full_id(id) else {
            // A repository with longer ids is reported as such, not as garbage.
            return if self.format() == "sha1" {
                Step::Garbage(line.to_owned())
            } else {
                Step::More
            };
        };
        if self.wanted(name) {
            self.listing.add_v0(id, name);
        }
        Step::More
    }

    fn wanted(&self, name: &str) -> bool {
        self.prefixes.is_empty()
            || self
                .prefixes
                .iter()
                .any(|prefix| name.starts_with(prefix.as_str()))
    }
}

/// How we introduce ourselves.
pub(crate) const AGENT: &str = concat!("agent=flux-git/", env!("CARGO_PKG_VERSION"));

/// The version 2 request for refs with certain prefixes.
pub(crate) fn request(prefixes: &[String]) -> Vec<u8> {
    let mut out = pktline::line("command=ls-refs");
    out.extend(pktline::line(AGENT));
    out.extend_from_slice(pktline::DELIMITER);
    out.extend(pktline::line("peel"));
    out.extend(pktline::line("symrefs"));
    for prefix in prefixes {
        out.extend(pktline::line(&format!("ref-prefix {prefix}")));
    }
    out.extend_from_slice(pktline::FLUSH);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pktline::Decoder;

    const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

    /// Frames from lines; "-" is a flush.
    fn packets(lines: &[String]) -> Vec<Packet> {
        let mut decoder = Decoder::default();
        for text in lines {
            decoder.push(&if text == "-" {
                pktline::FLUSH.to_vec()
            } else {
                pktline::line(text)
            });
        }
        std::iter::from_fn(|| decoder.next().unwrap()).collect()
    }

    fn greet(reader: &mut Reader, lines: &[String]) -> Step {
        packets(lines)
            .iter()
            .map(|packet| reader.greeting(packet))
            .last()
            .unwrap()
    }

    #[test]
    fn version_0() {
        let lines = [
            "# service=git-upload-pack".to_owned(),
            "-".to_owned(),
            format!("{A} HEAD\0multi_ack symref=HEAD:refs/heads/main object-format=sha1"),
            format!("{A} refs/heads/main"),
            format!("{A} refs/heads/other"),
            format!("{A} refs/tags/v1"),
            format!("{B} refs/tags/v1^{{}}"),
            "-".to_owned(),
        ];
        let mut reader =
            Reader::new(&["HEAD".into(), "refs/heads/main".into(), "refs/tags/".into()]);
        assert_eq!(greet(&mut reader, &lines), Step::Done);
        assert!(reader.offers("multi_ack") && reader.offers("object-format"));
        assert!(!reader.offers("multi") && !reader.offers("sha1"));
        assert_eq!(reader.tip("refs/heads/main").unwrap().to_string(), A);
        let listing = reader.into_listing();
        assert_eq!(listing.default_branch(), Some("main"));
        let names: Vec<_> = listing.refs.iter().map(|r| r.name.as_str()).collect();
        assert_eq!(names, ["HEAD", "refs/heads/main", "refs/tags/v1"]);
        assert_eq!(
            listing
                .find("refs/tags/v1")
                .unwrap()
                .peeled
                .unwrap()
                .to_string(),
            B
        );
    }

    #[test]
    fn version_2() {
        let mut reader = Reader::new(&[]);
        let caps = [
            "version 2",
            "agent=git/2",
            "ls-refs=unborn",
            "fetch=shallow",
            "object-format=sha1",
            "-",
        ];
        assert_eq!(greet(&mut reader, &caps.map(str::to_owned)), Step::Ask);
        let lines = [
            format!("{A} HEAD symref-target:refs/heads/main"),
            format!("{A} refs/tags/v1 peeled:{B}"),
            "-".to_owned(),
        ];
        let last = packets(&lines)
            .iter()
            .map(|packet| reader.answer(packet))
            .last();
        assert_eq!(last, Some(Step::Done));
        let listing = reader.into_listing();
        assert_eq!(listing.default_branch(), Some("main"));
        assert_eq!(
            listing
                .find("refs/tags/v1")
                .unwrap()
                .peeled
                .unwrap()
                .to_string(),
            B
        );
    }

    #[test]
    fn oddities() {
        let one = |line: String| greet(&mut Reader::new(&[]), &[line]);
        assert_eq!(
            one("ERR no such repository".into()),
            Step::Error("no such repository".into())
        );
        assert!(matches!(one("hello".into()), Step::Garbage(_)));
        assert!(matches!(
            one("xyz refs/heads/main".into()),
            Step::Garbage(_)
        ));
        let mut reader = Reader::new(&[]);
        let zero = format!("{} capabilities^{{}}\0agent=x", "0".repeat(40));
        assert_eq!(greet(&mut reader, &[zero, "-".into()]), Step::Done);
        assert!(reader.into_listing().refs.is_empty());
        let mut reader = Reader::new(&[]);
        let long = format!("{} HEAD\0object-format=sha256", "a".repeat(64));
        assert_eq!(greet(&mut reader, &[long, "-".into()]), Step::Done);
        assert_eq!(reader.format(), "sha256");
    }

    #[test]
    fn requests() {
        let text = String::from_utf8(request(&["refs/heads/main".into()])).unwrap();
        assert!(text.starts_with("0014command=ls-refs\n"), "{text}");
        assert!(
            text.ends_with("00010009peel\n000csymrefs\n001fref-prefix refs/heads/main\n0000"),
            "{text}"
        );
    }
}
