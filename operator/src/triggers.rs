//! Waking objects because something they depend on changed.
//!
//! All controllers live in one process, so a new commit, a new tag or a dependency that became
//! ready reaches its dependants at once, without a detour over the API server.

use kube::Resource;
use kube_runtime::reflector::ObjectRef;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::key::Key;

/// Wakes objects of one kind.
pub struct Trigger<K: Resource<DynamicType = ()>> {
    sender: UnboundedSender<ObjectRef<K>>,
}

impl<K: Resource<DynamicType = ()>> Clone for Trigger<K> {
    fn clone(&self) -> Self {
        Self {
            sender: self.sender.clone(),
        }
    }
}

/// The end from which a controller reads who is to be reconciled.
pub type Wakeups<K> = UnboundedReceiver<ObjectRef<K>>;

impl<K: Resource<DynamicType = ()>> Trigger<K> {
    /// A trigger and its receiving end.
    pub fn new() -> (Self, Wakeups<K>) {
        let (sender, receiver) = unbounded_channel();
        (Self { sender }, receiver)
    }

    /// Has the object reconciled soon. The queue merges repetitions.
    pub fn wake(&self, key: &Key) {
        // The receiver is gone only while the process stops.
        let _ = self
            .sender
            .send(ObjectRef::new(&key.name).within(&key.namespace));
    }
}
