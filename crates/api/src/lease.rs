//! The rules of a Lease, without I/O: whose it is, and what it says when one of our processes takes,
//! renews or gives it back. They are those of client-go, so that Flux's controllers understand us and
//! we them.

use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;

use crate::names::LEASE_HOLDER;

/// A Lease that was not renewed for so long is free whatever one has seen oneself: clocks of one
/// cluster do not differ by that much, and nobody should wait for a process that died yesterday.
const ABANDONED: Duration = Duration::from_secs(120);

/// Who holds a Lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// Nobody, or somebody who does not renew it.
    Free,
    /// We do.
    Ours,
    /// Somebody else.
    Held(String),
}

/// What a candidate has seen of a Lease. Expiry is counted by the candidate's own clock from when
/// it saw the last change: clocks of two machines are not compared.
#[derive(Debug)]
pub struct Observation {
    spec: LeaseSpec,
    since: Instant,
}

impl Observation {
    /// Takes note of what a Lease says at a moment.
    pub fn update(known: &mut Option<Self>, spec: &LeaseSpec, now: Instant) {
        match known {
            Some(known) if known.spec == *spec => {}
            _ => {
                *known = Some(Self {
                    spec: spec.clone(),
                    since: now,
                });
            }
        }
    }

    /// Who holds it.
    pub fn claim(&self, identity: &str, now: Instant, clock: Timestamp) -> Claim {
        let holder = self.spec.holder_identity.as_deref().unwrap_or_default();
        if holder.is_empty() {
            return Claim::Free;
        }
        if holder == identity {
            return Claim::Ours;
        }
        let duration = duration(&self.spec);
        let unseen = now.saturating_duration_since(self.since);
        if unseen > duration || age(&self.spec, clock).is_some_and(|a| a > duration + ABANDONED) {
            Claim::Free
        } else {
            Claim::Held(holder.to_owned())
        }
    }
}

/// How long the holder may be silent.
fn duration(spec: &LeaseSpec) -> Duration {
    let seconds = spec.lease_duration_seconds.unwrap_or_default();
    Duration::from_secs(u64::try_from(seconds).unwrap_or_default())
}

/// How long ago it was renewed by the holder's clock; none when that is ahead of ours.
fn age(spec: &LeaseSpec, clock: Timestamp) -> Option<Duration> {
    let renewed = spec.renew_time.as_ref()?.0;
    clock.duration_since(renewed).try_into().ok()
}

/// Whether somebody renewed it within its duration, judged by the clocks alone.
pub fn is_live(spec: &LeaseSpec, clock: Timestamp) -> bool {
    let held = spec.holder_identity.as_ref().is_some_and(|h| !h.is_empty());
    held && age(spec, clock).is_none_or(|age| age <= duration(spec))
}

/// Whether the holder is one of our processes.
pub fn is_held_by_us(lease: &Lease) -> bool {
    let holder = lease.spec.as_ref().and_then(|s| s.holder_identity.as_ref());
    let marked = lease
        .metadata
        .annotations
        .as_ref()
        .and_then(|a| a.get(LEASE_HOLDER));
    holder.is_some() && holder == marked
}

/// The Lease as it is to be written by its new or old holder.
pub fn held(mut lease: Lease, identity: &str, lasts: Duration, clock: Timestamp) -> Lease {
    let spec = lease.spec.get_or_insert_default();
    let mine = spec.holder_identity.as_deref() == Some(identity);
    if !mine {
        spec.acquire_time = Some(MicroTime(clock));
        // The first holder of a new Lease changes nothing.
        let taken = spec.holder_identity.is_some();
        let transitions = spec.lease_transitions.unwrap_or_default();
        spec.lease_transitions = Some(transitions + i32::from(taken));
    }
    spec.holder_identity = Some(identity.to_owned());
    spec.renew_time = Some(MicroTime(clock));
    spec.lease_duration_seconds = Some(i32::try_from(lasts.as_secs()).unwrap_or(i32::MAX));
    lease
        .metadata
        .annotations
        .get_or_insert_default()
        .insert(LEASE_HOLDER.to_owned(), identity.to_owned());
    lease
}

/// The Lease as it is to be written when it is given back, so that nobody waits for its end. Who
/// had it last stays readable in the annotation.
pub fn released(mut lease: Lease, clock: Timestamp) -> Lease {
    let spec = lease.spec.get_or_insert_default();
    spec.holder_identity = Some(String::new());
    spec.lease_duration_seconds = Some(1);
    spec.renew_time = Some(MicroTime(clock));
    lease
}

#[cfg(test)]
mod tests {
    use super::*;

    const LASTS: Duration = Duration::from_secs(15);

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn observe(known: &mut Option<Observation>, lease: &Lease, now: Instant) {
        Observation::update(known, lease.spec.as_ref().unwrap(), now);
    }

    #[test]
    fn a_holder_is_believed_as_long_as_it_renews() {
        let start = Instant::now();
        let mut lease = held(Lease::default(), "a", LASTS, at(100));
        let mut seen = None;
        observe(&mut seen, &lease, start);
        let claim = |seen: &Option<Observation>, who: &str, after: u64, clock| {
            let now = start + Duration::from_secs(after);
            seen.as_ref().unwrap().claim(who, now, at(clock))
        };
        assert_eq!(claim(&seen, "a", 99, 199), Claim::Ours);
        // Its clock may be wrong: only what was seen counts.
        assert_eq!(claim(&seen, "b", 15, 200), Claim::Held("a".into()));
        assert_eq!(claim(&seen, "b", 16, 116), Claim::Free);
        lease = held(lease, "a", LASTS, at(110));
        observe(&mut seen, &lease, start + Duration::from_secs(10));
        assert_eq!(claim(&seen, "b", 16, 116), Claim::Held("a".into()));
        // Dead since long before anybody looked.
        assert_eq!(claim(&seen, "b", 10, 110 + 136), Claim::Free);
        lease = released(lease, at(111));
        observe(&mut seen, &lease, start);
        assert_eq!(claim(&seen, "b", 0, 111), Claim::Free);
    }

    #[test]
    fn what_is_written() {
        let first = held(Lease::default(), "a", LASTS, at(1));
        let spec = first.spec.clone().unwrap();
        assert_eq!(spec.lease_transitions, Some(0));
        assert_eq!(spec.lease_duration_seconds, Some(15));
        let renewed = held(first.clone(), "a", LASTS, at(2)).spec.unwrap();
        assert_eq!(renewed.acquire_time, spec.acquire_time);
        assert_eq!(renewed.renew_time, Some(MicroTime(at(2))));
        let taken = held(first, "b", LASTS, at(3)).spec.unwrap();
        assert_eq!(taken.lease_transitions, Some(1));
        assert_eq!(taken.acquire_time, Some(MicroTime(at(3))));
    }

    #[test]
    fn ours_and_those_of_flux_are_told_apart() {
        let mut lease = held(Lease::default(), "pod_1", LASTS, at(100));
        assert!(is_held_by_us(&lease));
        assert!(is_live(lease.spec.as_ref().unwrap(), at(115)));
        assert!(!is_live(lease.spec.as_ref().unwrap(), at(116)));
        // Flux takes it and keeps the annotation.
        lease.spec.as_mut().unwrap().holder_identity = Some("source-controller-x_2".into());
        assert!(!is_held_by_us(&lease));
        assert!(!is_live(
            released(lease, at(100)).spec.as_ref().unwrap(),
            at(100)
        ));
    }
}
