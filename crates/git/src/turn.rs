//! One at a time: who pushes to a branch waits for the others of this process that do.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

use crate::error::GitError;
use crate::git::{Git, blocking};
use crate::push::{self, Push, Pushed};
use crate::reference::Reference;
use crate::remote::Remote;
use crate::session::Session;

/// How often a push is tried when others push in between.
const ATTEMPTS: usize = 5;

/// Mean pause before the second attempt; it doubles with each further one.
const PAUSE: Duration = Duration::from_millis(100);

/// Those who push, by repository and branch, whatever their credentials.
#[derive(Default)]
pub(crate) struct Queues(Mutex<HashMap<String, Weak<AsyncMutex<()>>>>);

impl Queues {
    fn of(&self, remote: &Remote, branch: &str) -> Arc<AsyncMutex<()>> {
        let key = format!("{}\0{branch}", remote.url.without_user());
        let mut queues = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(queue) = queues.get(&key).and_then(Weak::upgrade) {
            return queue;
        }
        queues.retain(|_, queue| queue.strong_count() > 0);
        let queue = Arc::default();
        queues.insert(key, Arc::downgrade(&queue));
        queue
    }
}

/// The right to push to a branch, which one has at a time.
pub struct Turn {
    git: Git,
    remote: Remote,
    branch: String,
    _held: OwnedMutexGuard<()>,
}

impl std::fmt::Debug for Turn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Turn({} of {})", self.branch, self.remote.url)
    }
}

impl Git {
    /// Waits until nobody else of this process pushes to a branch.
    pub async fn turn(&self, remote: &Remote, branch: &str) -> Turn {
        let queue = self.queues().of(remote, branch);
        Turn {
            git: self.clone(),
            remote: remote.clone(),
            branch: branch.to_owned(),
            _held: queue.lock_owned().await,
        }
    }

    /// Waits for its turn, and takes it: see [`Turn::commit_and_push`].
    ///
    /// # Errors
    /// Those of [`Turn::commit_and_push`].
    pub async fn commit_and_push(&self, remote: &Remote, push: Push) -> Result<Pushed, GitError> {
        let turn = self.turn(remote, &push.branch).await;
        turn.commit_and_push(push).await
    }
}

impl Turn {
    /// Lets the edit change files of the base, commits and pushes. When others push in between, all
    /// of it is done again on what they pushed, a few times.
    ///
    /// # Errors
    /// When fetch or push fail, the server refuses, or the edit fails. Nothing is left on disk.
    pub async fn commit_and_push(self, push: Push) -> Result<Pushed, GitError> {
        push.base.validate()?;
        Reference::Branch(push.branch.clone()).validate()?;
        if push.branch != self.branch {
            return Err(GitError::Internal(format!(
                "the turn of branch '{}' was taken for branch '{}'",
                self.branch, push.branch
            )));
        }
        let remote = &self.remote;
        let mirror = self.git.mirror(remote);
        let link = mirror.links.to(remote)?;
        let (mut push, mut waited) = (push, Duration::ZERO);
        for number in 0..ATTEMPTS {
            if number > 0 {
                tokio::time::sleep(pause(number)).await;
            }
            let writer = mirror.writer.clone().lock_owned().await;
            let (session, _alive) = Session::new(remote, link.clone());
            let mirror = mirror.clone();
            let session = Arc::new(session);
            let own = session.clone();
            let (pushed, again) = blocking(move || {
                let _writer = writer;
                let pushed = push::attempt(&mirror, &own, &mut push, number == 0)?;
                Ok((pushed, push))
            })
            .await?;
            waited += session.waited();
            if let Some(pushed) = pushed {
                return Ok(Pushed { waited, ..pushed });
            }
            push = again;
        }
        Err(GitError::Conflict {
            branch: self.branch,
            url: remote.url.to_string(),
            attempts: ATTEMPTS,
        })
    }
}

/// A pause between half and one and a half of the mean, so that two who collided do not collide
/// again. The clock's nanoseconds are random enough for that.
fn pause(attempt: usize) -> Duration {
    let mean = PAUSE * 2_u32.saturating_pow(u32::try_from(attempt).unwrap_or(1) - 1);
    let noise = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .subsec_nanos();
    mean.mul_f64(0.5 + f64::from(noise % 1_000_000) / 1e6)
}
