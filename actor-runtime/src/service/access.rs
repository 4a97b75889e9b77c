use std::{marker::PhantomData, ptr::NonNull};

/// A `&A` that may be carried to any thread, and read only where `A` is [`Sync`].
///
/// The loop of turns is written once for all actors. It holds this across its awaits, also for an actor that is only
/// `Send` because all its methods take `&mut self`; such an actor has no code that could call [`get`](Self::get).
#[derive(Debug)]
pub struct SharedRef<'a, A> {
    actor: NonNull<A>,
    borrow: PhantomData<&'a A>,
}

impl<'a, A> SharedRef<'a, A> {
    /// Borrows the actor.
    pub fn new(actor: &'a A) -> Self {
        Self { actor: NonNull::from(actor), borrow: PhantomData }
    }

    /// The actor.
    pub fn get(self) -> &'a A
    where
        A: Sync,
    {
        // SAFETY: the pointer comes from a `&'a A`, and `borrow` keeps that borrow alive for `'a`.
        unsafe { self.actor.as_ref() }
    }

    /// The actor, also one that is not [`Sync`].
    ///
    /// # Safety
    /// As long as the reference is in use, nobody on another thread may use the actor, unless it is [`Sync`].
    pub(crate) unsafe fn get_here(self) -> &'a A {
        // SAFETY: as in `get`, and the caller promises that no two threads share an actor that is not `Sync`.
        unsafe { self.actor.as_ref() }
    }
}

impl<A> Clone for SharedRef<'_, A> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<A> Copy for SharedRef<'_, A> {}

// SAFETY: on another thread the pointer can only be copied and dropped, which touches no `A`, or turned into a `&A`
// by `get`, which asks for `A: Sync`; and a `&A` may be sent exactly if `A: Sync`.
unsafe impl<A> Send for SharedRef<'_, A> {}

// SAFETY: as for `Send`: all that a `&SharedRef` gives is a copy of it.
unsafe impl<A> Sync for SharedRef<'_, A> {}

#[cfg(test)]
mod tests {
    use super::*;

    /// An actor that is `Sync`, as everyone with a `&self` method is, and one that is only `Send`.
    struct Table(Vec<String>);
    struct Tally(std::cell::Cell<u64>);

    #[test]
    fn copies_on_other_threads_read_the_same_actor() {
        let mut table = Table((0..100).map(|n| n.to_string()).collect());
        for round in 0..10 {
            let shared = SharedRef::new(&table);
            std::thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(move || {
                        let Table(rows) = shared.get();
                        assert_eq!(rows.len(), 100 + round);
                        assert!(rows.iter().all(|row| !row.is_empty()));
                    });
                }
            });
            // All turns have ended; the borrow with them.
            table.0.push(round.to_string());
        }
    }

    #[test]
    fn one_that_is_only_send_can_be_carried_and_not_read() {
        let tally = Tally(std::cell::Cell::new(1));
        let carried = SharedRef::new(&tally);
        std::thread::scope(|scope| {
            let copies = scope.spawn(move || [carried, carried]).join();
            assert!(copies.is_ok());
        });
        assert_eq!(tally.0.get(), 1);
    }
}
