//! When to ask again, and how long to wait before.

use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822;
use reqwest::StatusCode;

/// How often one request is sent at most.
pub(crate) const ATTEMPTS: u32 = 4;
/// Wait before the second attempt; it doubles: 0.3 + 0.6 + 1.2 s in all.
const FIRST_WAIT: Duration = Duration::from_millis(300);
/// Longest wait that a server may ask for; past it the scan fails and the next one asks again.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Whether a status may be different a moment later.
pub(crate) fn is_transient(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 429 | 500 | 502 | 503 | 504)
}

/// The wait before the attempt after `attempt` (counted from 1); `None` to give up.
pub(crate) fn wait(attempt: u32, asked: Option<Duration>, left: Duration) -> Option<Duration> {
    if attempt >= ATTEMPTS {
        return None;
    }
    let own = FIRST_WAIT.saturating_mul(1 << (attempt - 1).min(8));
    let wait = asked.unwrap_or(own);
    (wait <= LONGEST_WAIT && wait < left).then_some(wait)
}

/// The value of a `Retry-After` header: seconds, or a date.
pub(crate) fn retry_after(value: &str, now: Timestamp) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse::<u64>() {
        // Some servers send the time of day here, in seconds since 1970.
        let now = u64::try_from(now.as_second()).unwrap_or_default();
        let since_epoch = seconds > 1_000_000_000;
        return Some(Duration::from_secs(if since_epoch {
            seconds.saturating_sub(now)
        } else {
            seconds
        }));
    }
    let then = rfc2822::parse(value).ok()?.timestamp();
    Some(Duration::try_from(then.duration_since(now)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits() {
        let (long, second) = (Duration::from_secs(100), Duration::from_secs(1));
        assert_eq!(wait(1, None, long), Some(FIRST_WAIT));
        assert_eq!(wait(3, None, long), Some(FIRST_WAIT * 4));
        assert_eq!(wait(4, None, long), None);
        assert_eq!(wait(1, Some(second), long), Some(second));
        assert_eq!(wait(1, Some(second), second), None, "no time left");
        assert_eq!(wait(1, Some(long), long * 2), None, "longer than we wait");
    }

    #[test]
    fn retry_after_forms() {
        let now: Timestamp = "2015-10-21T07:27:50Z".parse().unwrap();
        let read = |text| retry_after(text, now).map(|wait| wait.as_secs());
        assert_eq!(read("120"), Some(120));
        assert_eq!(read("Wed, 21 Oct 2015 07:28:00 GMT"), Some(10));
        assert_eq!(read("Wed, 21 Oct 2015 07:00:00 GMT"), Some(0));
        assert_eq!(read("1445412475"), Some(5));
        assert_eq!(read("soon"), None);
        assert_eq!(read("-1"), None);
    }
}
