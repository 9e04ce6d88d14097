//! What is known of the live objects: their metadata as a watch shows it, and which of them are
//! exactly as we left them.
//!
//! This is the base of everything that is *not* done: an object that is as it was applied needs no
//! request, and a change of a field that we own is seen at once. Each kind that is applied is
//! followed by one watch of metadata over all namespaces, selected by the owner label
//! ([`crate::follow`]); what the API server answers to our own writes goes into the same table.

mod expiry;
mod shown;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use flux_api::inventory::ObjectId;
use kube::Client;
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::sync::{mpsc, watch};

use crate::fields;
use crate::follow;
use crate::managers::Manager;
use crate::mapper::Resource;
use crate::object::{Gvk, Owner};
use crate::seen::Seen;

pub(crate) use expiry::expires;

/// How long the first list of a kind may take before objects are read one by one.
const FIRST_LIST: Duration = Duration::from_secs(15);

/// How long a broken watch is believed.
const STALE: Duration = Duration::from_secs(60);

/// A field that we own was changed, or an object that we applied was deleted, by somebody else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drift {
    /// Who applies the object.
    pub owner: Owner,
    /// The object.
    pub id: ObjectId,
}

/// What is known of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Look {
    /// Its kind cannot be watched: it must be read.
    Blind,
    /// There is none that carries owner labels.
    Absent {
        /// It was applied, and is gone or has lost its labels since.
        lost: bool,
    },
    /// It is there.
    There {
        /// Its metadata.
        seen: Seen,
        /// Whether it is exactly what the owner applied with this hash.
        settled: bool,
        /// Whether a field of ours was changed since it was applied.
        drifted: bool,
    },
}

/// Where the watch of a kind stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Since then.
    Listing(Instant),
    Watched,
    /// Watched until a moment ago.
    Broken(Instant),
    /// It cannot be watched, for want of rights or because the kind does not allow it.
    Blind,
}

impl State {
    fn is_trusted(self) -> bool {
        match self {
            Self::Watched => true,
            Self::Broken(since) => since.elapsed() < STALE,
            Self::Listing(_) | Self::Blind => false,
        }
    }
}

pub(crate) type GroupKind = (String, String);
type Name = (Box<str>, Box<str>);

struct Kind {
    state: watch::Sender<State>,
    /// Whether there is a watch, working or not.
    followed: bool,
    objects: HashMap<Name, Entry>,
}

impl Default for Kind {
    fn default() -> Self {
        Self {
            state: watch::Sender::new(State::Blind),
            followed: false,
            objects: HashMap::new(),
        }
    }
}

#[derive(Default)]
struct Entry {
    seen: Option<Seen>,
    /// The field set as it was read, until it is known to be as applied.
    raw: Option<Box<RawValue>>,
    /// Who applied it, and the hash of what they applied.
    applied: Vec<(Arc<Owner>, u64)>,
    /// Hash of our field set as we left it; 0 while that is not known.
    expected: u64,
    /// When we changed it last.
    written: Option<Instant>,
    /// The version at which it was healthy.
    healthy: u64,
    /// Whether it may go of itself.
    expires: bool,
}

impl Entry {
    fn drifted(&self) -> bool {
        self.expected != 0 && self.seen.as_ref().map_or(0, |seen| seen.fields) != self.expected
    }

    fn is_applied(&self, owner: &Owner, hash: u64) -> bool {
        self.applied
            .iter()
            .any(|(o, h)| **o == *owner && *h == hash)
    }

    fn settled(&self) -> bool {
        let fine = |seen: &Seen| {
            seen.fields == self.expected
                && !seen.terminating
                && (!seen.predecessors || seen.marks.merge)
        };
        self.expected != 0 && self.seen.as_ref().is_some_and(fine)
    }
}

/// The table, shared by everybody who applies.
#[derive(Clone)]
pub struct Live(Arc<Inner>);

pub(crate) struct Inner {
    client: Client,
    pub(crate) manager: Manager,
    kinds: Mutex<HashMap<GroupKind, Kind>>,
    owners: Mutex<HashSet<Arc<Owner>>>,
    drifts: mpsc::UnboundedSender<Drift>,
}

impl Live {
    /// An empty table for what `manager` applies, and the end from which changes by others are
    /// read. `client` watches; it may have other rights than the one that applies.
    pub fn new(
        client: Client,
        manager: impl Into<Manager>,
    ) -> (Self, mpsc::UnboundedReceiver<Drift>) {
        let (drifts, receiver) = mpsc::unbounded_channel();
        let inner = Inner {
            client,
            manager: manager.into(),
            kinds: Mutex::default(),
            owners: Mutex::default(),
            drifts,
        };
        (Self(Arc::new(inner)), receiver)
    }

    /// The field manager whose objects are followed.
    pub fn manager(&self) -> &Manager {
        &self.0.manager
    }

    /// Follows a kind from now on; returns when its objects are known, or cannot be.
    pub async fn follow(&self, gvk: &Gvk, resource: &Resource) {
        let key = (gvk.group.clone(), gvk.kind.clone());
        let mut state = {
            let mut kinds = self.0.kinds();
            let kind = kinds.entry(key.clone()).or_default();
            if !kind.followed {
                kind.followed = true;
                kind.state.send_replace(State::Listing(Instant::now()));
                let task = follow::run(
                    Arc::downgrade(&self.0),
                    self.0.client.clone(),
                    key,
                    crate::request::collection(gvk, resource),
                );
                tokio::spawn(task);
            }
            kind.state.subscribe()
        };
        let State::Listing(since) = *state.borrow() else {
            return;
        };
        let listed = state.wait_for(|state| !matches!(state, State::Listing(_)));
        // In time or not: a kind that is not listed by then is read object by object.
        let _ = tokio::time::timeout_at((since + FIRST_LIST).into(), listed).await;
    }

    /// What is known of an object that `owner` wants to be as `desired` hashes.
    pub fn look(&self, id: &ObjectId, owner: &Owner, desired: u64) -> Look {
        let kinds = self.0.kinds();
        let Some(kind) = kinds.get(&group_kind(id)) else {
            return Look::Blind;
        };
        if !kind.state.borrow().is_trusted() {
            return Look::Blind;
        }
        match kind.objects.get(&name(id)) {
            None => Look::Absent { lost: false },
            Some(entry) => match &entry.seen {
                None => Look::Absent {
                    lost: entry.expected != 0,
                },
                Some(seen) => Look::There {
                    seen: seen.clone(),
                    settled: entry.settled() && entry.is_applied(owner, desired),
                    drifted: entry.drifted(),
                },
            },
        }
    }

    /// Whether all objects are exactly as `owner` applied them, with its labels or those of
    /// another owner with whom it shares them.
    pub fn is_settled(
        &self,
        owner: &Owner,
        ids: &[ObjectId],
        shared: &dyn Fn(&ObjectId, &Owner) -> bool,
    ) -> bool {
        let kinds = self.0.kinds();
        ids.iter().all(|id| {
            let kind = kinds.get(&group_kind(id));
            let kind = kind.filter(|kind| kind.state.borrow().is_trusted());
            let entry = kind.and_then(|kind| kind.objects.get(&name(id)));
            entry.is_some_and(|entry| {
                let first = entry.seen.as_ref().and_then(|seen| seen.owner.as_ref());
                entry.settled()
                    && entry.applied.iter().any(|(o, _)| **o == *owner)
                    && first.is_some_and(|first| first == owner || shared(id, first))
            })
        })
    }

    /// Takes an object for applied that was so before this process began: what it should be is
    /// known to be what was applied last, and all of it still is ours. Whether that is so.
    pub fn trust(&self, id: &ObjectId, owner: &Owner, desired: &Value, hash: u64) -> bool {
        let owner = self.0.intern(owner);
        let mut kinds = self.0.kinds();
        let Some(entry) = kinds
            .get_mut(&group_kind(id))
            .and_then(|kind| kind.objects.get_mut(&name(id)))
        else {
            return false;
        };
        let (Some(seen), Some(raw)) = (&entry.seen, &entry.raw) else {
            return false;
        };
        let fields: Value = serde_json::from_str(raw.get()).unwrap_or_default();
        if !fields::covers(&fields, desired) {
            return false;
        }
        entry.expected = seen.fields;
        entry.raw = None;
        entry.settle(owner, hash);
        entry.settled()
    }

    /// An object is about to be written: what the watch shows of it from now on may be our own
    /// doing. The time at which we wrote it last.
    pub(crate) fn begin(&self, id: &ObjectId) -> Option<Instant> {
        let mut kinds = self.0.kinds();
        let kind = kinds.get_mut(&group_kind(id))?;
        let entry = kind.objects.get_mut(&name(id))?;
        entry.expected = 0;
        entry.written
    }

    /// What the API server answered to an apply.
    pub(crate) fn applied(&self, id: &ObjectId, owner: &Owner, hash: u64, answer: &Seen) {
        let owner = self.0.intern(owner);
        let mut kinds = self.0.kinds();
        let kind = kinds.entry(group_kind(id)).or_default();
        let entry = kind.objects.entry(name(id)).or_default();
        entry.expected = answer.fields;
        entry.raw = None;
        entry.written = Some(Instant::now());
        let older = |seen: &Seen| seen.version < answer.version;
        if entry.seen.as_ref().is_none_or(older) {
            entry.seen = Some(answer.clone());
        }
        entry.settle(owner, hash);
        self.0.report(id, entry);
    }

    /// The owner does not apply an object any more.
    pub fn release(&self, id: &ObjectId, owner: &Owner) {
        let mut kinds = self.0.kinds();
        let Some(kind) = kinds.get_mut(&group_kind(id)) else {
            return;
        };
        if let Some(entry) = kind.objects.get_mut(&name(id)) {
            entry.applied.retain(|(o, _)| **o != *owner);
            if entry.applied.is_empty() {
                entry.expected = 0;
                if entry.seen.is_none() {
                    kind.objects.remove(&name(id));
                }
            }
        }
    }

    /// The metadata of an object, if it is watched and there.
    pub(crate) fn seen(&self, id: &ObjectId) -> Option<Seen> {
        let kinds = self.0.kinds();
        let kind = kinds.get(&group_kind(id))?;
        let entry = kind.state.borrow().is_trusted();
        entry.then(|| kind.objects.get(&name(id))?.seen.clone())?
    }

    /// Whether an object was healthy at its version.
    pub(crate) fn is_healthy(&self, id: &ObjectId) -> bool {
        let kinds = self.0.kinds();
        kinds.get(&group_kind(id)).is_some_and(|kind| {
            kind.state.borrow().is_trusted()
                && kind.objects.get(&name(id)).is_some_and(|entry| {
                    let seen = entry.seen.as_ref();
                    seen.is_some_and(|seen| seen.version == entry.healthy)
                })
        })
    }

    /// Notes that an object was healthy at a version.
    pub(crate) fn healthy(&self, id: &ObjectId, version: u64) {
        let mut kinds = self.0.kinds();
        if let Some(entry) = kinds
            .get_mut(&group_kind(id))
            .and_then(|kind| kind.objects.get_mut(&name(id)))
        {
            entry.healthy = version;
        }
    }
}

impl Entry {
    fn settle(&mut self, owner: Arc<Owner>, hash: u64) {
        self.applied.retain(|(o, _)| *o != owner);
        self.applied.push((owner, hash));
    }
}

impl Inner {
    fn kinds(&self) -> MutexGuard<'_, HashMap<GroupKind, Kind>> {
        self.kinds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Owners repeat by the thousand; each is held once.
    fn intern(&self, owner: &Owner) -> Arc<Owner> {
        let mut owners = self.owners.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = owners.get(owner) {
            return known.clone();
        }
        let owner = Arc::new(owner.clone());
        owners.insert(owner.clone());
        owner
    }

    /// Tells that an object is not as it was left. One that several apply is left to their
    /// intervals: two who disagree would write it for ever. One that asks to be left alone is.
    fn report(&self, id: &ObjectId, entry: &Entry) {
        let marks = entry.seen.as_ref().map(|seen| seen.marks);
        let left_alone = marks.is_some_and(|marks| marks.reconcile_disabled || marks.ignore);
        let news = entry.drifted() && !entry.goes() && !left_alone;
        if let ([(owner, _)], true) = (entry.applied.as_slice(), news) {
            // The receiver is gone only while the process stops.
            let _ = self.drifts.send(Drift {
                owner: (**owner).clone(),
                id: id.clone(),
            });
        }
    }
}

fn group_kind(id: &ObjectId) -> GroupKind {
    (id.group.clone(), id.kind.clone())
}

fn name(id: &ObjectId) -> Name {
    (id.namespace.as_str().into(), id.name.as_str().into())
}

fn object_id(key: &GroupKind, name: &Name) -> ObjectId {
    ObjectId {
        namespace: name.0.to_string(),
        name: name.1.to_string(),
        group: key.0.clone(),
        kind: key.1.clone(),
    }
}

#[cfg(test)]
#[path = "live_tests.rs"]
mod tests;
