//! Bodies of watches: what a watch does runs where its lines are sent, so that an event wakes one task for each watcher and no other.

use bytes::Bytes;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

/// Where a watch puts its lines.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sink(Arc<Mutex<Option<Bytes>>>);

impl Sink {
    /// Puts lines, and waits until they were taken.
    pub(crate) async fn send(&self, lines: Bytes) {
        *self.slot() = Some(lines);
        // Whoever takes them polls again when there is room for more.
        poll_fn(|_| if self.slot().is_some() { Poll::Pending } else { Poll::Ready(()) }).await;
    }

    fn slot(&self) -> std::sync::MutexGuard<'_, Option<Bytes>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A stream of lines that ends when the watch does. Dropping it drops the watch.
pub(crate) struct Lines {
    sink: Sink,
    watch: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lines").field("ended", &self.watch.is_none()).finish_non_exhaustive()
    }
}

impl Lines {
    /// The lines that a watch puts into the sink that it is given.
    pub(crate) fn of<F>(watch: impl FnOnce(Sink) -> F) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let sink = Sink::default();
        let watch = watch(sink.clone());
        Self { sink, watch: Some(Box::pin(watch)) }
    }

    /// The next lines.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if let Some(watch) = &mut self.watch
            && watch.as_mut().poll(context).is_ready()
        {
            self.watch = None;
        }
        match self.sink.slot().take() {
            Some(lines) => Poll::Ready(Some(lines)),
            None if self.watch.is_none() => Poll::Ready(None),
            None => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Waker;

    #[test]
    fn lines_come_in_order_one_at_a_time_and_the_end_after_the_last() {
        let mut lines = Lines::of(|sink| async move {
            for text in ["a", "b"] {
                sink.send(text.into()).await;
            }
            // The watch may end while its last lines were not taken.
            *sink.slot() = Some("c".into());
        });
        let mut context = Context::from_waker(Waker::noop());
        for text in ["a", "b", "c"] {
            assert_eq!(lines.poll(&mut context), Poll::Ready(Some(Bytes::from(text))));
        }
        assert_eq!(lines.poll(&mut context), Poll::Ready(None));
        assert_eq!(lines.poll(&mut context), Poll::Ready(None));
    }

    #[test]
    fn a_watch_that_waits_makes_its_reader_wait() {
        let mut lines = Lines::of(|_sink| std::future::pending());
        assert_eq!(lines.poll(&mut Context::from_waker(Waker::noop())), Poll::Pending);
    }
}
