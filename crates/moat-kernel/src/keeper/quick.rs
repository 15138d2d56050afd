//! Changes that cost what they change: without a copy of the table, and without a look at all of it.

use super::commit::Stop;
use super::split::Sequence;
use super::{Applied, Keeper};
use crate::nft::ApplyError;
use moat_nft::edit::Edit;
use moat_nft::model::Table;
use moat_nft::way::{Uses, Way};
use std::collections::BTreeMap;
use std::sync::Arc;

impl Keeper {
    /// The way of a change, if all is as usual: what is wanted is known to be there, nobody changed it, and every transaction fits.
    pub(super) fn quick_way(&mut self, edit: &Edit) -> Option<Sequence> {
        let is_usual = self.refused.is_empty() && self.foreign.is_empty() && !self.whole;
        let (Some(wanted), Some(due)) = (&self.wanted, &self.due) else { return None };
        let Some((Some(installed), _)) = &self.installed else { return None };
        if !is_usual || !Arc::ptr_eq(wanted, due) || !Arc::ptr_eq(wanted, installed) {
            return None;
        }
        let uses = self.uses.get_or_insert_with(|| Uses::new(wanted, &self.gates));
        let way = Way::of(edit, wanted, uses)?;
        let mut sequence = Sequence::default();
        self.split(|splitter| splitter.by_way(way, &mut sequence))?;
        Some(sequence)
    }

    /// Makes a change by its way.
    pub(super) async fn quick(
        &mut self,
        edit: &Edit,
        way: Sequence,
    ) -> core::result::Result<Applied, ApplyError> {
        let mut applied = Applied::default();
        // This future may be dropped from here on: then what is wanted is known, and what is there is looked up.
        let installed = self.installed.take();
        let (uses, due) = (self.uses.take(), self.due.take());
        let is_known = installed.is_some();
        let mut generation = installed.map(|(_, generation)| generation).unwrap_or_default();
        drop(due);
        let mut wanted = self.wanted.take().unwrap_or_else(|| Arc::new(self.nft.empty()));
        let uses = uses.map(|mut uses| {
            uses.follow(edit, &wanted);
            uses
        });
        // Nobody else has it now, so this is no copy.
        edit.apply_to(Arc::<Table>::make_mut(&mut wanted));
        self.wanted = Some(wanted.clone());
        let done = if is_known {
            self.commit_all(&way, &mut generation, &mut applied).await
        } else {
            Err(Stop::Again)
        };
        match done {
            Ok(()) => {
                applied.generation = generation;
                applied.waited = self.pace.take_waited();
                applied.committing = core::mem::take(&mut self.committing);
                applied.untidy = !way.late.is_empty();
                applied.closed_meanwhile = way.closed;
                self.due = Some(wanted.clone());
                self.installed = Some((Some(wanted), generation));
                self.late = way.late;
                self.uses = uses;
                self.pace.begin();
                Ok(applied)
            }
            Err(Stop::Failed(error)) => Err(error),
            Err(Stop::Again) => {
                applied.n_again += 1;
                self.settle(&wanted, applied).await
            }
            Err(Stop::Refused { .. }) => self.settle(&wanted, applied).await,
        }
    }

    async fn commit_all(
        &mut self,
        way: &Sequence,
        generation: &mut u32,
        applied: &mut Applied,
    ) -> core::result::Result<(), Stop> {
        while let Some(batch) = self.late.pop_front() {
            *generation = self.commit(&batch, *generation, &BTreeMap::new()).await?;
        }
        for batch in &way.now {
            *generation = self.commit(batch, *generation, &BTreeMap::new()).await?;
            applied.n_transactions += 1;
        }
        Ok(())
    }
}
