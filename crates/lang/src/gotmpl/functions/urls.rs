//! Sprig's `urlParse` and `urlJoin`: the parts of an address as Go's `net/url` tells them. (The
//! `url` crate is for browsers: it corrects what it reads.)

use std::net::Ipv6Addr;

use super::super::value::{Map, Value};
use super::{Call, Function, Result, exact};

pub(super) static FUNCTIONS: [Function; 2] = [
    exact("urlParse", 1, |call| {
        // The parts, escapes among them.
        let room = call.text(0)?.len().saturating_mul(4);
        call.meter.memory(room)?;
        let text = call.text(0)?;
        parse(text).map_err(|reason| format!("unable to parse url {text:?}: {reason}"))
    }),
    exact("urlJoin", 1, join),
];

/// Where a character stands, which decides whether it has to be escaped.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    User,
    Host,
    Path,
    Fragment,
}

#[derive(Default)]
struct Address {
    scheme: String,
    opaque: String,
    user: String,
    host: String,
    path: String,
    query: String,
    fragment: String,
}

fn parse(text: &str) -> Result {
    let address = read(text)?;
    let hostname = hostname(&address.host).to_owned();
    let entries = [
        ("scheme", address.scheme),
        ("userinfo", address.user),
        ("host", address.host),
        ("hostname", hostname),
        ("opaque", address.opaque),
        ("path", address.path),
        ("query", address.query),
        ("fragment", address.fragment),
    ];
    let entries = entries.map(|(key, value)| (key.into(), value.into()));
    Ok(Map::new(entries).into())
}

fn read(text: &str) -> Result<Address> {
    let mut address = Address::default();
    let (text, fragment) = text.split_once('#').unwrap_or((text, ""));
    address.fragment = unescaped(fragment, Part::Fragment)?;
    if text.contains(|c: char| c.is_ascii_control()) {
        return Err("it has a control character".to_owned());
    }
    let (scheme, rest) = scheme(text)?;
    address.scheme = scheme.to_ascii_lowercase();
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    query.clone_into(&mut address.query);
    if !rest.starts_with('/') {
        if !address.scheme.is_empty() {
            rest.clone_into(&mut address.opaque);
            return Ok(address);
        }
        if rest.split('/').next().unwrap_or_default().contains(':') {
            return Err("the first part of a path cannot contain a colon".to_owned());
        }
    }
    let has_authority = !address.scheme.is_empty() || !rest.starts_with("///");
    let path = match rest.strip_prefix("//").filter(|_| has_authority) {
        None => rest,
        Some(rest) => {
            let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            let (user, host) = match authority.rsplit_once('@') {
                Some((user, host)) => (Some(user), host),
                None => (None, authority),
            };
            address.host = read_host(&address.scheme, host)?;
            address.user = user.map_or(Ok(String::new()), userinfo)?;
            path
        }
    };
    address.path = unescaped(path, Part::Path)?;
    Ok(address)
}

/// The scheme, empty if there is none, and what follows it.
fn scheme(text: &str) -> Result<(&str, &str)> {
    let is_inner = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
    let end = text.find(|c| !is_inner(c)).unwrap_or(text.len());
    let (scheme, rest) = text.split_at(end);
    match rest.strip_prefix(':') {
        Some(_) if scheme.is_empty() => Err("there is no scheme before the colon".to_owned()),
        Some(rest) if scheme.starts_with(|c: char| c.is_ascii_alphabetic()) => Ok((scheme, rest)),
        _ => Ok(("", text)),
    }
}

/// Name and password, escaped as they have to be.
fn userinfo(text: &str) -> Result<String> {
    let is_valid = |c: char| c.is_ascii_alphanumeric() || "-._:~!$&'()*+,;=%@".contains(c);
    if !text.chars().all(is_valid) {
        return Err("the user information is invalid".to_owned());
    }
    let again = |text| Ok::<_, String>(escaped(&unescaped(text, Part::User)?, Part::User));
    match text.split_once(':') {
        None => again(text),
        Some((name, password)) => Ok(format!("{}:{}", again(name)?, again(password)?)),
    }
}

fn read_host(scheme: &str, host: &str) -> Result<String> {
    let (address, port) = match host.rfind('[') {
        Some(0) => {
            let (address, port) = host.rsplit_once(']').ok_or("']' is missing in the host")?;
            (Some(address.trim_start_matches('[')), port)
        }
        Some(_) => return Err("'[' is in the middle of the host".to_owned()),
        None => {
            // Some databases take lists of hosts with ports.
            let colon = match scheme {
                "http" | "https" => host.find(':'),
                _ => host.rfind(':'),
            };
            (None, host.split_at(colon.unwrap_or(host.len())).1)
        }
    };
    if !is_port(port) {
        return Err(format!("{port:?} after the host is not a port"));
    }
    let host = unescaped(host, Part::Host)?;
    if let Some(address) = address {
        let (number, zone) = match address.split_once("%25") {
            Some((number, zone)) => (number, Some(zone)),
            None => (address, None),
        };
        if number.parse::<Ipv6Addr>().is_err() || zone == Some("") {
            return Err(format!("[{address}] is not an address of IPv6"));
        }
    }
    Ok(host)
}

/// Nothing, or a colon and digits.
fn is_port(text: &str) -> bool {
    let digits = text.strip_prefix(':').unwrap_or(text);
    text.is_empty() || text.starts_with(':') && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// The host without port and brackets.
fn hostname(host: &str) -> &str {
    let colon = host.rfind(':').unwrap_or(host.len());
    let (name, port) = host.split_at(colon);
    let name = if is_port(port) { name } else { host };
    let inner = name
        .strip_prefix('[')
        .and_then(|name| name.strip_suffix(']'));
    inner.unwrap_or(name)
}

fn unescaped(text: &str, part: Part) -> Result<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'%' {
            if part == Part::Host && first.is_ascii() && must_escape(*first, part) {
                let character = char::from(*first);
                return Err(format!("{character:?} is no character of a host"));
            }
            bytes.push(*first);
            continue;
        }
        let digits = after
            .get(..2)
            .and_then(|digits| std::str::from_utf8(digits).ok());
        let digits = digits.filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        let byte = byte.ok_or("a % is not followed by two hexadecimal digits")?;
        if part == Part::Host && byte.is_ascii() && byte != b'%' {
            return Err("a host has an escaped character".to_owned());
        }
        bytes.push(byte);
        rest = after.get(2..).unwrap_or_default();
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn escaped(text: &str, part: Part) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if must_escape(byte, part) {
            out.push_str(&format!("%{byte:02X}"));
        } else {
            out.push(char::from(byte));
        }
    }
    out
}

fn must_escape(byte: u8, part: Part) -> bool {
    let also: &[u8] = match part {
        Part::User => b"$&+,;=",
        Part::Host => b"!$&'()*+,;=:[]<>\"",
        Part::Path => b"$&+,/:;=@",
        Part::Fragment => b"$&+,/:;=?@!()*",
    };
    !(byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) || also.contains(&byte))
}

fn join(call: &mut Call<'_>) -> Result {
    let map = call.map(0)?;
    let part = |name: &str| match map.get(&name.into()) {
        None => Ok(""),
        Some(Value::String(text)) => Ok(&**text),
        Some(other) => Err(format!(
            "{name} must be a string, not {}",
            other.type_name()
        )),
    };
    let (scheme, opaque, host) = (part("scheme")?, part("opaque")?, part("host")?);
    let (path, query, fragment) = (part("path")?, part("query")?, part("fragment")?);
    let user = match part("userinfo")? {
        "" => String::new(),
        given => userinfo(given)?,
    };
    let length: usize = [scheme, opaque, host, path, query, fragment, &user]
        .iter()
        .map(|part| part.len())
        .sum();
    call.meter.room(length.saturating_mul(3))?;
    let mut out = String::new();
    if !scheme.is_empty() {
        out = format!("{scheme}:");
    }
    if opaque.is_empty() {
        if !host.is_empty() || !user.is_empty() || !scheme.is_empty() && !path.is_empty() {
            out.push_str("//");
        }
        if !user.is_empty() {
            out.push_str(&format!("{user}@"));
        }
        out.push_str(&escaped(host, Part::Host));
        let path = match path {
            "*" => path.to_owned(),
            path => escaped(path, Part::Path),
        };
        if !path.is_empty() && !path.starts_with('/') && !host.is_empty() {
            out.push('/');
        }
        if out.is_empty()
            && path
                .split('/')
                .next()
                .is_some_and(|first| first.contains(':'))
        {
            out.push_str("./");
        }
        out.push_str(&path);
    } else {
        out.push_str(opaque);
    }
    if !query.is_empty() {
        out.push_str(&format!("?{query}"));
    }
    if !fragment.is_empty() {
        out.push_str(&format!("#{}", escaped(fragment, Part::Fragment)));
    }
    Ok(out.into())
}
