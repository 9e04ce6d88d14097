//! What is queued and not delivered yet, so that the end of the process can wait for it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

/// How many there are.
#[derive(Clone, Default)]
pub(super) struct Pending(Arc<watch::Sender<usize>>);

/// One of them, as long as it lives.
pub(super) struct One(Pending);

impl Pending {
    /// Counts one more.
    pub(super) fn one(&self) -> One {
        self.0.send_modify(|count| *count += 1);
        One(self.clone())
    }

    /// Waits until there are none, but not longer than `limit`; how many are left then.
    pub(super) async fn none(&self, limit: Duration) -> usize {
        let mut count = self.0.subscribe();
        let none = count.wait_for(|count| *count == 0);
        // An error means that the time is over: the sender lives as long as we do.
        let _ = tokio::time::timeout(limit, none).await;
        *self.0.borrow()
    }
}

impl Drop for One {
    fn drop(&mut self) {
        self.0.0.send_modify(|count| *count -= 1);
    }
}
