//! The messages to and from `git-receive-pack`, protocol versions 0 and 1. Pure: values in, bytes
//! out, and frames in, verdict out. The conversation itself is [`crate::sendpack`]'s.

use std::collections::BTreeMap;

use bytes::Bytes;
use git2::Oid;

use crate::listing::AGENT;
use crate::pktline::{self, Decoder, Packet, PktError};
use crate::said::tidy;

/// The answer says what became of each ref. We insist on it.
pub(crate) const REPORT_STATUS: &str = "report-status";
/// The answer comes with what hooks print, in frames of its own.
pub(crate) const SIDE_BAND: &str = "side-band-64k";
/// All refs or none.
pub(crate) const ATOMIC: &str = "atomic";
/// `git push -o`.
pub(crate) const PUSH_OPTIONS: &str = "push-options";
/// No progress, which would only hide what hooks say.
const QUIET: &str = "quiet";

/// A ref that is to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Update {
    /// Full name.
    pub(crate) name: String,
    /// What it is now; none if it does not exist.
    pub(crate) old: Option<Oid>,
    pub(crate) new: Oid,
}

/// What comes before the pack: commands, and options if there are any. `offers` tells the
/// server's capabilities.
pub(crate) fn request(
    updates: &[Update],
    options: &[String],
    offers: impl Fn(&str) -> bool,
) -> Vec<u8> {
    let mut capabilities = REPORT_STATUS.to_owned();
    let wanted = [
        (SIDE_BAND, true),
        (QUIET, true),
        (ATOMIC, updates.len() > 1),
        (PUSH_OPTIONS, !options.is_empty()),
    ];
    let agent = offers("agent").then_some(AGENT);
    let wanted = wanted
        .iter()
        .filter(|(name, wanted)| *wanted && offers(name))
        .map(|(name, _)| *name);
    for capability in wanted.chain(agent) {
        capabilities.push(' ');
        capabilities.push_str(capability);
    }
    let mut out = Vec::new();
    for (index, Update { name, old, new }) in updates.iter().enumerate() {
        let old = old.unwrap_or(Oid::ZERO_SHA1);
        let more = if index == 0 {
            format!("\0 {capabilities}")
        } else {
            String::new()
        };
        out.extend(pktline::data(&format!("{old} {new} {name}{more}")));
    }
    out.extend_from_slice(pktline::FLUSH);
    if !options.is_empty() {
        for option in options {
            out.extend(pktline::data(option));
        }
        out.extend_from_slice(pktline::FLUSH);
    }
    out
}

/// What a frame of the answer was.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A part of the report, or nothing.
    More,
    /// What the server or its hooks print.
    Progress(Bytes),
    /// The server gives up, with these words.
    Fatal(String),
    /// The end of the answer.
    End,
}

/// The answer to a push.
#[derive(Debug)]
pub(crate) struct Report {
    side_band: bool,
    inner: Decoder,
    unpack: Option<String>,
    /// By ref: nothing, or why it did not change.
    statuses: BTreeMap<String, Option<String>>,
    complete: bool,
}

impl Report {
    pub(crate) fn new(side_band: bool) -> Self {
        Self {
            side_band,
            inner: Decoder::default(),
            unpack: None,
            statuses: BTreeMap::new(),
            complete: false,
        }
    }

    /// Whether the server has said all about the refs. With a side band its hooks may still run.
    pub(crate) fn is_complete(&self) -> bool {
        self.complete
    }

    /// Takes the next frame.
    pub(crate) fn feed(&mut self, packet: &Packet) -> Result<Event, PktError> {
        if !self.side_band {
            self.line(packet);
            return Ok(if self.complete {
                Event::End
            } else {
                Event::More
            });
        }
        let Packet::Data(data) = packet else {
            return Ok(Event::End);
        };
        match data.split_first() {
            Some((1, _)) => {
                self.inner.push(data.get(1..).unwrap_or_default());
                while let Some(packet) = self.inner.next()? {
                    self.line(&packet);
                }
                Ok(Event::More)
            }
            Some((2, _)) => Ok(Event::Progress(data.slice(1..))),
            Some((3, text)) => Ok(Event::Fatal(String::from_utf8_lossy(text).into_owned())),
            Some(_) => Err(PktError(tidy(&String::from_utf8_lossy(data)))),
            None => Ok(Event::More),
        }
    }

    fn line(&mut self, packet: &Packet) {
        let Some(line) = packet.line() else {
            self.complete = self.unpack.is_some();
            return;
        };
        let (word, rest) = line.split_once(' ').unwrap_or((&line, ""));
        match word {
            "unpack" => self.unpack = Some(rest.to_owned()),
            "ok" => {
                self.statuses.insert(rest.to_owned(), None);
            }
            "ng" => {
                let (name, why) = rest.split_once(' ').unwrap_or((rest, "no reason given"));
                self.statuses.insert(name.to_owned(), Some(why.to_owned()));
            }
            _ => {}
        }
    }

    /// What became of the updates. `said` is what the server printed.
    pub(crate) fn verdict(&self, updates: &[Update], said: &str) -> Verdict {
        let refusals: Vec<&str> = updates
            .iter()
            .filter_map(|update| match self.statuses.get(&update.name) {
                Some(status) => status.as_deref(),
                None => Some("the server does not say what became of it"),
            })
            .collect();
        // When one ref fails, the status of the others is only a consequence; or of all, and the
        // reason is among what the server prints.
        let consequence = |status: &&str| status.starts_with(ATOMIC);
        let overtaken = |status: &str| {
            let lower = status.to_lowercase();
            OVERTAKEN.iter().any(|text| lower.contains(text))
        };
        let cause = refusals.iter().find(|status| !consequence(status));
        if refusals.iter().any(|status| overtaken(status))
            || (cause.is_none() && !refusals.is_empty() && overtaken(said))
        {
            return Verdict::Overtaken;
        }
        match self.unpack.as_deref() {
            Some("ok") => {}
            problem => {
                let problem = problem.unwrap_or("it does not say why");
                return Verdict::Refused(format!("the server cannot store it: {problem}"));
            }
        }
        match cause.or(refusals.first()) {
            Some(status) => Verdict::Refused((*status).to_owned()),
            None => Verdict::Done,
        }
    }
}

/// What became of a push.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Done,
    /// Others were faster.
    Overtaken,
    /// A hook or a rule says no, for this reason.
    Refused(String),
}

/// Statuses of a server that mean: the ref is not what we thought.
const OVERTAKEN: &[&str] = &[
    "non-fast-forward",
    "fetch first",
    "stale info",
    "cannot lock ref",
    "failed to lock",
    "failed to update ref",
    "incorrect old value",
    "reference already exists",
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn update(name: &str) -> Update {
        let new = Oid::from_str(&"b".repeat(40)).unwrap();
        Update {
            name: name.to_owned(),
            old: None,
            new,
        }
    }

    #[test]
    fn requests() {
        let (zero, new) = ("0".repeat(40), "b".repeat(40));
        let main = update("refs/heads/main");
        let text = |updates: &[Update], options: &[String], offered: &[&str]| {
            String::from_utf8(request(updates, options, |name| offered.contains(&name))).unwrap()
        };
        assert_eq!(
            text(std::slice::from_ref(&main), &[], &[]),
            format!("0074{zero} {new} refs/heads/main\0 report-status0000")
        );
        let everything = [SIDE_BAND, QUIET, ATOMIC, PUSH_OPTIONS, "agent", "ofs-delta"];
        let moved = Update {
            old: Some(main.new),
            ..update("refs/heads/x")
        };
        let long = text(&[main, moved], &["ci.skip".to_owned()], &everything);
        let capabilities =
            format!("\0 report-status side-band-64k quiet atomic push-options {AGENT}");
        assert!(long.contains(&capabilities), "{long}");
        assert!(
            long.ends_with(&format!("0062{new} {new} refs/heads/x0000000bci.skip0000")),
            "{long}"
        );
    }

    /// A report in frames: the lines themselves, or in a side band.
    fn report(side_band: bool, lines: &[&str], extra: &[(u8, &str)]) -> (Report, Vec<Event>) {
        let mut inner: Vec<u8> = lines.iter().flat_map(|line| pktline::line(line)).collect();
        inner.extend_from_slice(pktline::FLUSH);
        let mut decoder = Decoder::default();
        if side_band {
            let mut band = |band: u8, text: &[u8]| {
                let text = String::from_utf8([&[band], text].concat()).unwrap();
                decoder.push(&pktline::data(&text));
            };
            for (number, text) in extra {
                band(*number, text.as_bytes());
            }
            // Frames of the bands need not end where the lines do.
            for part in inner.chunks(7) {
                band(1, part);
            }
            band(1, b"");
            decoder.push(pktline::FLUSH);
        } else {
            decoder.push(&inner);
        }
        let mut report = Report::new(side_band);
        let mut events = Vec::new();
        while let Some(packet) = decoder.next().unwrap() {
            events.push(report.feed(&packet).unwrap());
        }
        (report, events)
    }

    #[test]
    fn verdicts() {
        let updates = [update("refs/heads/main"), update("refs/heads/review")];
        let refused = |why: &str| Verdict::Refused(why.to_owned());
        let ok = "ok refs/heads/main";
        // lines, words, verdict
        let cases: &[(&[&str], &str, Verdict)] = &[
            (
                &["unpack ok", ok, "ok refs/heads/review"],
                "",
                Verdict::Done,
            ),
            (
                &[
                    "unpack ok",
                    ok,
                    "ng refs/heads/review pre-receive hook declined",
                ],
                "",
                refused("pre-receive hook declined"),
            ),
            (
                &[
                    "unpack ok",
                    "ng refs/heads/main Non-Fast-Forward",
                    "ok refs/heads/review",
                ],
                "",
                Verdict::Overtaken,
            ),
            (
                &[
                    "unpack ok",
                    "ng refs/heads/main atomic push failure",
                    "ng refs/heads/review hook declined",
                ],
                "error: cannot lock ref",
                refused("hook declined"),
            ),
            (
                &[
                    "unpack ok",
                    "ng refs/heads/main atomic transaction failed",
                    "ng refs/heads/review atomic transaction failed",
                ],
                "error: cannot lock ref 'refs/heads/main'",
                Verdict::Overtaken,
            ),
            (
                &[
                    "unpack index-pack abnormal exit",
                    "ng refs/heads/main unpacker error",
                    "ng refs/heads/review unpacker error",
                ],
                "",
                refused("the server cannot store it: index-pack abnormal exit"),
            ),
            (
                &["unpack ok", ok],
                "",
                refused("the server does not say what became of it"),
            ),
            (
                &["unpack ok", ok, "ng refs/heads/review"],
                "",
                refused("no reason given"),
            ),
        ];
        for (lines, said, expected) in cases {
            for side_band in [false, true] {
                let (report, events) = report(side_band, lines, &[]);
                assert!(report.is_complete(), "{lines:?}");
                assert_eq!(events.last(), Some(&Event::End), "{lines:?}");
                assert_eq!(&report.verdict(&updates, said), expected, "{lines:?}");
            }
        }
    }

    #[test]
    fn bands() {
        let (report, events) = report(true, &["unpack ok"], &[(2, "hello"), (3, "no")]);
        assert!(report.is_complete());
        assert_eq!(events[0], Event::Progress(Bytes::from_static(b"hello")));
        assert_eq!(events[1], Event::Fatal("no".to_owned()));
        let mut report = Report::new(true);
        let odd = Packet::Data(Bytes::from_static(b"unpack ok"));
        assert!(report.feed(&odd).is_err());
        assert_eq!(report.feed(&Packet::Flush).unwrap(), Event::End);
        assert!(!report.is_complete());
        assert_ne!(report.verdict(&[update("x")], ""), Verdict::Done);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn nothing_makes_it_panic_or_succeed(frames in proptest::collection::vec(
            proptest::collection::vec(any::<u8>(), 0..40), 0..6), side_band in any::<bool>()) {
            let mut report = Report::new(side_band);
            for frame in frames {
                report.feed(&Packet::Data(frame.into())).ok();
            }
            prop_assert_ne!(report.verdict(&[update("refs/heads/main")], ""), Verdict::Done);
        }
    }
}
