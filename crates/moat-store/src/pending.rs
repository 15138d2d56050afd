//! Answers that are to come: for tasks and for threads.
//!
//! Not tokio's channel: its receiver counts as work of the task it is polled in, and a thread that waits inside a task which has worked
//! enough would never be woken.

use crate::write::{Outcome, TransactionError, WriteError};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

/// A transaction that is under way: a future, or something to [`Pending::wait`] for. It happens even when this is dropped.
#[derive(Debug)]
pub struct Pending(Arc<Mutex<Slot>>);

/// The side that answers. Dropped without an answer, it answers that the store is closed.
#[derive(Debug)]
pub(crate) struct Reply(Arc<Mutex<Slot>>);

#[derive(Debug)]
enum Slot {
    Waiting(Option<Waker>),
    Answered(Outcome),
    /// The answer was taken.
    Empty,
}

fn lock(slot: &Mutex<Slot>) -> MutexGuard<'_, Slot> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn pending() -> (Reply, Pending) {
    let slot = Arc::new(Mutex::new(Slot::Waiting(None)));
    (Reply(Arc::clone(&slot)), Pending(slot))
}

impl Reply {
    pub(crate) fn send(self, outcome: Outcome) {
        self.answer(outcome);
    }

    fn answer(&self, outcome: Outcome) {
        let waker = {
            let mut slot = lock(&self.0);
            let Slot::Waiting(waker) = &mut *slot else { return };
            let waker = waker.take();
            *slot = Slot::Answered(outcome);
            waker
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        self.answer(Err(TransactionError { at: 0, error: WriteError::Closed }));
    }
}

impl Pending {
    /// Stops this thread until the answer is there, which takes as long as the disk. Not for threads that serve other tasks.
    pub fn wait(mut self) -> Outcome {
        let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
        let mut context = Context::from_waker(&waker);
        loop {
            match Pin::new(&mut self).poll(&mut context) {
                Poll::Ready(outcome) => return outcome,
                Poll::Pending => std::thread::park(),
            }
        }
    }

    /// The answer if it is there already, once.
    pub fn try_now(&mut self) -> Option<Outcome> {
        let mut slot = lock(&self.0);
        match std::mem::replace(&mut *slot, Slot::Empty) {
            Slot::Answered(outcome) => Some(outcome),
            other => {
                *slot = other;
                None
            }
        }
    }
}

impl Future for Pending {
    type Output = Outcome;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Outcome> {
        let mut slot = lock(&self.0);
        match std::mem::replace(&mut *slot, Slot::Empty) {
            Slot::Answered(outcome) => Poll::Ready(outcome),
            Slot::Waiting(_) => {
                *slot = Slot::Waiting(Some(context.waker().clone()));
                Poll::Pending
            }
            // Polled after its end, which no well-made caller does.
            Slot::Empty => Poll::Pending,
        }
    }
}

struct Unpark(std::thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
