//! Bugs that tests plant on purpose, to see that the simulation notices them. In a build that is not a test none is ever planted, and the
//! compiler removes the question.

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bug {
    /// Writes are acknowledged before the disk has them.
    AcknowledgesBeforeSync,
    /// A write that the disk refused is shown to readers.
    ShowsFailedWrites,
    /// Writes that are committed together do not see each other's preconditions broken: an update is lost.
    IgnoresBatch,
    /// What a failed write left on the disk stays there.
    LeavesFailedWrites,
    /// A watch begins with the event at its revision, not after it.
    CursorInclusive,
    /// History is dropped without telling the cursors that point into it.
    ForgetsSilently,
    /// The log is deleted before the snapshot that replaces it is in place.
    DeletesLogFirst,
    /// A torn end of the log is taken for its regular end, and written after.
    KeepsTornEnd,
}

#[cfg(not(test))]
pub(crate) const fn planted(_: Bug) -> bool {
    false
}

#[cfg(test)]
thread_local! {
    static PLANTED: std::cell::Cell<Option<Bug>> = const { std::cell::Cell::new(None) };
}

#[cfg(test)]
pub(crate) fn planted(bug: Bug) -> bool {
    PLANTED.with(|planted| planted.get() == Some(bug))
}

#[cfg(test)]
pub(crate) fn plant(bug: Option<Bug>) {
    PLANTED.with(|planted| planted.set(bug));
}
