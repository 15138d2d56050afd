//! One transaction, when packets allow it.

use super::Keeper;
use super::split::{Batch, Part};
use crate::nft::ApplyError;
use moat_nft::model::Name;
use std::collections::BTreeMap;
use std::time::Instant;

/// How often a step is said again because someone changed another table meanwhile.
const TRIES: usize = 50;

impl Keeper {
    /// Takes away what is left, once no packet meets it.
    pub(super) async fn finish(&mut self) -> core::result::Result<(), Stop> {
        while let Some(batch) = self.late.front().cloned() {
            // Waited for here, so that nothing is lost when this future is dropped meanwhile.
            if batch.waits(&mut self.pace) {
                self.pace.settle().await;
            }
            let (Some((installed, generation)), due) = (self.installed.take(), self.due.take())
            else {
                return Err(Stop::Again);
            };
            match self.commit(&batch, generation, &BTreeMap::new()).await {
                Ok(generation) => {
                    self.installed = Some((installed, generation));
                    self.due = due;
                    self.late.pop_front();
                }
                Err(stop) => {
                    if matches!(stop, Stop::Again) {
                        self.due = due;
                    } else {
                        self.late.clear();
                    }
                    return Err(stop);
                }
            }
        }
        Ok(())
    }

    pub(super) async fn commit(
        &mut self,
        batch: &Batch,
        mut generation: u32,
        aliases: &BTreeMap<Name, Name>,
    ) -> core::result::Result<u32, Stop> {
        let ops = &batch.ops;
        for _ in 0..TRIES {
            // The generation was known before the grace begins, so that nothing else falls between the grace and the change.
            if batch.waits(&mut self.pace) {
                self.pace.settle().await;
            }
            let from = Instant::now();
            self.watch.leave();
            let applied = self.nft.apply(ops, Some(generation)).await;
            self.watch.join().map_err(|error| Stop::Failed(ApplyError::Io(error)))?;
            self.committing += from.elapsed();
            let error = match applied {
                Ok(generation) => {
                    self.pace.note(batch.switches, &batch.touched);
                    return Ok(generation);
                }
                Err(error) => error,
            };
            match error {
                // Nobody else can have changed this table, so it was another.
                ApplyError::Stale if self.owned => {
                    let now = self.nft.generation().await;
                    generation = now.map_err(|error| Stop::Failed(ApplyError::Io(error)))?;
                    self.pace.note_other();
                }
                ApplyError::Stale => return Err(Stop::Again),
                ApplyError::Refused { op, .. } => {
                    let part = op.and_then(|op| ops.get(op)).and_then(Part::of);
                    return Err(Stop::Refused {
                        part: part.map(|part| plain(part, aliases)),
                        error,
                    });
                }
                ApplyError::Unsayable { op, .. } => {
                    let part = ops.get(op).and_then(Part::of);
                    return Err(Stop::Refused {
                        part: part.map(|part| plain(part, aliases)),
                        error,
                    });
                }
                ApplyError::TooLarge { .. } | ApplyError::Io(_) => return Err(Stop::Failed(error)),
            }
        }
        Err(Stop::Again)
    }
}

/// Why a change stopped on its way.
pub(super) enum Stop {
    /// Someone else changed the ruleset.
    Again,
    /// The kernel refused a step about a part.
    Refused { part: Option<Part>, error: ApplyError },
    /// Nothing more can be done about it.
    Failed(ApplyError),
}

/// The part that a part of another name stands for.
fn plain(part: Part, aliases: &BTreeMap<Name, Name>) -> Part {
    match part {
        Part::Chain(name) => Part::Chain(aliases.get(&name).cloned().unwrap_or(name)),
        Part::Set(name) => Part::Set(aliases.get(&name).cloned().unwrap_or(name)),
    }
}

pub(super) fn error_of(error: &ApplyError) -> ApplyError {
    match error {
        ApplyError::Refused { op, errno, words } => {
            ApplyError::Refused { op: *op, errno: *errno, words: words.clone() }
        }
        ApplyError::Unsayable { op, what } => ApplyError::Unsayable { op: *op, what: what.clone() },
        _ => ApplyError::Stale,
    }
}
