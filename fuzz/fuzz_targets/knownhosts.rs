//! known_hosts: an error names its line, a line for a host is found for that host, and patterns
//! match as their definition says.

#![no_main]

use flux_fuzz::assert_line_of;
use flux_lang::knownhosts::{self, KnownHosts, Verdict};
use libfuzzer_sys::fuzz_target;

const KEY: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";

fuzz_target!(|text: &str| {
    let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
    patterns(first);
    match KnownHosts::parse(rest) {
        Ok(file) => known(&file, rest, first),
        Err(error) => assert_line_of(rest, error.line),
    }
});

fn known(file: &KnownHosts, text: &str, host: &str) {
    for port in [22, 2222] {
        let mut lines = 0;
        for entry in file.host_keys(host, port) {
            lines += 1;
            assert_line_of(text, entry.line);
            match file.check(host, port, &entry.key) {
                Verdict::Trusted => assert!(file.revoked(&entry.key).is_none()),
                Verdict::Revoked(revoked) => assert_eq!(revoked.key, entry.key),
                other => panic!("{other:?} for a key of the host"),
            }
        }
        assert!(file.key_types(host, port).len() <= lines);
        match file.check(host, port, b"no key") {
            Verdict::Unknown => assert_eq!(lines, 0),
            Verdict::Mismatch(others) => assert_eq!(others.len(), lines),
            other => panic!("{other:?} for no key"),
        }
        // A line with the name itself is enough, whatever else is there.
        let name = knownhosts::host_name(host, port);
        let special = |c: char| c.is_whitespace() || c.is_control() || "*?!,|@#[".contains(c);
        if host.is_empty() || host.contains(special) {
            continue;
        }
        let line = format!("{text}\n{name} ssh-ed25519 {KEY}\n");
        let longer = KnownHosts::parse(&line).expect("one more line");
        assert_eq!(longer.host_keys(host, port).count(), lines + 1, "{name}");
    }
}

fn patterns(text: &str) {
    let Some((pattern, name)) = text.split_once(' ') else {
        return;
    };
    // The definition takes exponential time.
    if pattern.matches('*').count() < 5 && name.len() < 20 {
        let expected = wildcard(pattern.as_bytes(), name.as_bytes());
        assert_eq!(knownhosts::wildcard(pattern, name), expected, "{text}");
    }
    assert!(knownhosts::wildcard(name, name));
}

fn wildcard(pattern: &[u8], name: &[u8]) -> bool {
    match (pattern, name) {
        ([], name) => name.is_empty(),
        ([b'*', rest @ ..], _) => (0..=name.len()).any(|skip| wildcard(rest, &name[skip..])),
        ([b'?', pattern @ ..], [_, name @ ..]) => wildcard(pattern, name),
        ([want, pattern @ ..], [have, name @ ..]) => want == have && wildcard(pattern, name),
        _ => false,
    }
}
