//! Computation beside everything else.

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::Semaphore;
use tokio::task::block_in_place;

/// Computations at once, in the whole process: each may hold a large source, decoded.
const AT_ONCE: usize = 2;

static ROOM: Semaphore = Semaphore::const_new(AT_ONCE);

/// Computes something that may take long. Other tasks of the thread go on elsewhere meanwhile, but for
/// those that are part of the calling one.
pub(crate) async fn aside<T>(work: impl FnOnce() -> T) -> T {
    // An error means that the semaphore is closed, which nobody does.
    let _room = ROOM.acquire().await.ok();
    let others = Handle::try_current()
        .is_ok_and(|handle| handle.runtime_flavor() == RuntimeFlavor::MultiThread);
    if others { block_in_place(work) } else { work() }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn others_go_on() {
        let (tell, told) = mpsc::channel();
        let computing = tokio::spawn(aside(move || told.recv()));
        let other = tokio::spawn(async move { tell.send(()) });
        other.await.unwrap().unwrap();
        computing.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn where_nothing_else_can_run_it_is_done_here() {
        assert_eq!(aside(|| 1).await, 1);
    }
}
