//! Where what is being read has arrived, for values that belong to a node: clients.

use std::cell::Cell;

use crate::actor_id::Instance;

thread_local! {
    /// Not the node itself: reading what has no clients in it costs no counting of references.
    static ARRIVING: Cell<Option<Instance>> = const { Cell::new(None) };
}

/// Runs code that reads what has arrived at this node. Where that is not known, it stays the one of the code around.
pub(crate) fn arriving_at<T>(node: Option<Instance>, read: impl FnOnce() -> T) -> T {
    /// Also if the code panics.
    struct Before(Option<Instance>);
    impl Drop for Before {
        fn drop(&mut self) {
            ARRIVING.set(self.0);
        }
    }
    let before = Before(ARRIVING.get());
    ARRIVING.set(node.or(before.0));
    let read = read();
    drop(before);
    read
}

/// The node at which what this thread is reading has arrived, if somebody has said so.
pub(crate) fn arriving() -> Option<Instance> {
    ARRIVING.get()
}
