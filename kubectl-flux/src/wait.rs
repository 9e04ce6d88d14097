//! Waiting for controllers: what one state of an object means, and the watch that feeds it.
//!
//! A wait ends as soon as the outcome is known. That a controller will retry does not change the
//! outcome of what was asked for: the person learns the reason now, not after the timeout.

mod assess;
pub(crate) mod explain;

use std::time::Duration;

use futures::{Stream, StreamExt, pin_mut};
use kube::ResourceExt;
use kube::api::DynamicObject;
use kube::runtime::{WatchStreamExt, watcher};
use tokio::time::{Instant, sleep, sleep_until};

pub(crate) use assess::Goal;
use assess::{Verdict, assess};

use crate::cluster::{self, Cluster, Scope, View};
use crate::error::Error;
use crate::kind::Kind;
use crate::output;
use crate::output::progress::Progress;

/// How long a controller that runs may take to pick something up; after that, the person is told
/// that perhaps none does.
const PICK_UP: Duration = Duration::from_secs(10);
/// Watches that are open at once when many objects are waited for.
const AT_ONCE: usize = 64;
/// Time for the state of an object that is asked for once.
const LOOK: Duration = Duration::from_secs(2);
/// Pause between reads for those who may read an object but not watch it.
const POLL: Duration = Duration::from_secs(2);

/// An object that is waited for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target<'a> {
    /// Its kind.
    pub(crate) kind: Kind,
    /// Its namespace.
    pub(crate) namespace: &'a str,
    /// Its name.
    pub(crate) name: &'a str,
}

impl std::fmt::Display for Target<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            formatter,
            "{} {}/{}",
            self.kind.name(),
            self.namespace,
            self.name
        )
    }
}

/// Watches the object until `goal` is reached, and returns the state that reached it. `before` is
/// the object as it was when the wait began: a status that changes since is a sign of life.
///
/// # Errors
/// If a controller reports that it failed, if the object is deleted, or if nothing is decided
/// within `timeout`; then with the last thing known.
pub(crate) async fn until(
    cluster: &Cluster,
    target: Target<'_>,
    goal: &Goal<'_>,
    before: &DynamicObject,
    timeout: Duration,
) -> Result<DynamicObject, Error> {
    let progress = Progress::start();
    let limit = Limit::starting_now(timeout);
    watch(cluster, target, goal, before, limit, &progress).await
}

/// How long a wait may take, all of it together.
#[derive(Clone, Copy, Debug)]
struct Limit {
    timeout: Duration,
    deadline: Instant,
}

impl Limit {
    fn starting_now(timeout: Duration) -> Self {
        Self {
            timeout,
            deadline: Instant::now() + timeout,
        }
    }

    /// When an object whose turn comes at `now` is given up. One of so many that its turn comes too
    /// late gets a look, for it may have become ready meanwhile.
    fn of_a_turn(self, now: Instant) -> Instant {
        match now < self.deadline {
            true => self.deadline,
            false => now + LOOK,
        }
    }
}

/// One of several objects that are waited for.
pub(crate) struct Awaited {
    /// Its kind.
    pub(crate) kind: Kind,
    /// The object as it was when the wait began.
    pub(crate) before: DynamicObject,
}

/// Waits for all objects at once, calls `report` with each outcome as soon as it is known, and
/// returns when all are. `timeout` is for all of them together.
pub(crate) async fn each<'a>(
    cluster: &Cluster,
    awaited: &'a [Awaited],
    goal: &Goal<'_>,
    timeout: Duration,
    mut report: impl FnMut(&'a Awaited, Result<DynamicObject, Error>),
) {
    let progress = Progress::start();
    let limit = Limit::starting_now(timeout);
    let mut outcomes = futures::stream::iter(awaited)
        .map(|one| {
            let progress = &progress;
            async move {
                let (namespace, name) = (one.before.namespace(), one.before.name_any());
                let target = Target {
                    kind: one.kind,
                    namespace: namespace.as_deref().unwrap_or_default(),
                    name: &name,
                };
                let outcome = watch(cluster, target, goal, &one.before, limit, progress).await;
                (one, outcome)
            }
        })
        .buffer_unordered(AT_ONCE);
    while let Some((one, outcome)) = outcomes.next().await {
        progress.interrupt(|| report(one, outcome));
    }
}

async fn watch(
    cluster: &Cluster,
    target: Target<'_>,
    goal: &Goal<'_>,
    before: &DynamicObject,
    limit: Limit,
    progress: &Progress,
) -> Result<DynamicObject, Error> {
    let states = states(cluster, target);
    pin_mut!(states);
    let pick_up = sleep(PICK_UP);
    pin_mut!(pick_up);
    let deadline = limit.of_a_turn(Instant::now());
    let mut told = false;
    let mut picked_up = false;
    let mut last = match assess(before, goal) {
        Verdict::Pending { state, .. } => Last::Seen(state),
        Verdict::Reached | Verdict::Failed { .. } => Last::Unasked,
    };
    loop {
        let state = tokio::select! {
            () = sleep_until(deadline) => return Err(Error::Timeout {
                waited: flux_api::go_string(limit.timeout),
                what: target.to_string(),
                last: last.told(target, picked_up),
            }),
            () = &mut pick_up, if !told => {
                told = true;
                if !picked_up {
                    progress.interrupt(|| output::warning(format!("{target}: {}", unattended(target))));
                }
                continue;
            }
            state = states.next() => state,
        };
        match state {
            None => return Err(Error::Deleted(target.to_string())),
            Some(State::Gone) => return Err(Error::Deleted(target.to_string())),
            Some(State::Unknown(reason)) => last = Last::Unknown(reason),
            Some(State::Seen(object)) => match assess(&object, goal) {
                Verdict::Reached => return Ok(*object),
                Verdict::Failed { reason, message } => {
                    return Err(Error::Reconciliation {
                        subject: target.kind.subject().to_owned(),
                        reason,
                        message,
                    });
                }
                Verdict::Pending { attended, state } => {
                    picked_up |= attended || object.at("/status") != before.at("/status");
                    progress.show(&format!("{target}: {state}"));
                    last = Last::Seen(state);
                }
            },
        }
    }
}

/// A new value for the annotation that asks for a reconciliation: like Flux's, the time, which
/// differs from request to request.
pub(crate) fn token() -> String {
    jiff::Timestamp::now().to_string()
}

fn unattended(target: Target<'_>) -> String {
    format!(
        "no controller has picked it up yet: is the one for {} running?",
        target.kind.group()
    )
}

/// The last thing known about an object.
enum Last {
    /// Nothing: its turn did not come.
    Unasked,
    /// What went on.
    Seen(String),
    /// Why the API server did not tell.
    Unknown(String),
}

impl Last {
    /// The cause of a wait that was too short. That no controller works is a guess; it does not
    /// hide what is known.
    fn told(self, target: Target<'_>, picked_up: bool) -> String {
        match self {
            Self::Unasked => "its state is not known yet".to_owned(),
            Self::Unknown(reason) => reason,
            Self::Seen(state) if picked_up => state,
            Self::Seen(state) if state == assess::UNTOUCHED => unattended(target),
            Self::Seen(state) => format!("{} Its last state: {state}", unattended(target)),
        }
    }
}

/// What is learned about the object over time.
enum State {
    Seen(Box<DynamicObject>),
    Gone,
    /// The API server could not be asked just now.
    Unknown(String),
}

/// States of the object: by a watch, or by reading again and again where watching is forbidden.
fn states<'a>(cluster: &'a Cluster, target: Target<'a>) -> impl Stream<Item = State> + 'a {
    let api = cluster.objects(target.kind, Scope::Namespace(target.namespace));
    let config = watcher::Config::default().fields(&format!("metadata.name={}", target.name));
    let mut seen = false;
    let watched = watcher(api, config)
        .default_backoff()
        .filter_map(move |event| {
            let state = match event {
                Ok(watcher::Event::Apply(object) | watcher::Event::InitApply(object)) => {
                    seen = true;
                    Some(Ok(State::Seen(Box::new(object))))
                }
                // A first list without the object means that it is gone already.
                Ok(watcher::Event::InitDone) if !seen => Some(Ok(State::Gone)),
                Ok(watcher::Event::Delete(_)) => Some(Ok(State::Gone)),
                Ok(watcher::Event::Init | watcher::Event::InitDone) => None,
                Err(error) if is_forbidden(&error) => Some(Err(())),
                Err(error) => Some(Ok(State::Unknown(cluster::chain(&error)))),
            };
            futures::future::ready(state)
        });
    // The first refusal ends the watch; what follows are plain reads.
    watched
        .scan((), |(), state| futures::future::ready(state.ok()))
        .chain(polled(cluster, target))
}

fn polled<'a>(cluster: &'a Cluster, target: Target<'a>) -> impl Stream<Item = State> + 'a {
    futures::stream::unfold(Duration::ZERO, move |pause| async move {
        sleep(pause).await;
        let state = match cluster
            .find(target.kind, target.namespace, target.name)
            .await
        {
            Ok(Some(object)) => State::Seen(Box::new(object)),
            Ok(None) => State::Gone,
            Err(error) => State::Unknown(error.to_string()),
        };
        Some((state, POLL))
    })
}

fn is_forbidden(error: &watcher::Error) -> bool {
    let status = match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchFailed(kube::Error::Api(status)) => status,
        watcher::Error::WatchError(status) => status,
        _ => return false,
    };
    status.is_forbidden()
}

#[cfg(test)]
mod tests {
    use super::{Duration, Kind, LOOK, Last, Limit, Target, assess};

    #[test]
    fn one_timeout_is_for_all() {
        let limit = Limit::starting_now(Duration::from_secs(60));
        let soon = limit.deadline - Duration::from_secs(1);
        assert_eq!(limit.of_a_turn(soon), limit.deadline);
        let late = limit.deadline + Duration::from_secs(1);
        assert_eq!(limit.of_a_turn(late), late + LOOK);
    }

    #[test]
    fn a_timeout_tells_what_is_known() {
        let target = Target {
            kind: Kind::Kustomization,
            namespace: "apps",
            name: "web",
        };
        let unattended = "no controller has picked it up yet: is the one for \
                          kustomize.toolkit.fluxcd.io running?";
        let seen = || Last::Seen("BuildFailed: no such file".to_owned());
        for (last, picked_up, told) in [
            (
                Last::Unknown("cannot talk to the API server".to_owned()),
                false,
                "cannot talk to the API server".to_owned(),
            ),
            (seen(), true, "BuildFailed: no such file".to_owned()),
            (
                seen(),
                false,
                format!("{unattended} Its last state: BuildFailed: no such file"),
            ),
            (
                Last::Seen(assess::UNTOUCHED.to_owned()),
                false,
                unattended.to_owned(),
            ),
            (
                Last::Unasked,
                false,
                "its state is not known yet".to_owned(),
            ),
        ] {
            assert_eq!(last.told(target, picked_up), told);
        }
    }
}
