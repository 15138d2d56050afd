//! A cluster as controllers see it.

use moat_apiserver::{
    At, Change, Client, DeleteOptions, Listed, PatchType, Selection, ServedKind, Status, Watching,
};
use serde_json::Value;
use std::fmt::Debug;
use std::future::{Future, ready};
use std::pin::Pin;

/// A future behind a trait.
pub type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What controllers ask of an API server; [`Client`] answers for the one in this process.
pub trait Cluster: Send + Sync + Debug {
    /// Objects of a kind.
    fn list<'a>(
        &'a self,
        at: At<'a>,
        selection: &'a Selection,
    ) -> Boxed<'a, Result<Listed, Status>>;
    /// Changes after a revision.
    fn watch<'a>(
        &'a self,
        at: At<'a>,
        selection: &'a Selection,
        after: u64,
    ) -> Boxed<'a, Result<Box<dyn Events>, Status>>;
    /// One object.
    fn get<'a>(&'a self, at: At<'a>) -> Boxed<'a, Result<Value, Status>>;
    /// Creates an object, or asks something of one by a subresource.
    fn create<'a>(&'a self, at: At<'a>, object: Value) -> Boxed<'a, Result<Value, Status>>;
    /// Replaces an object or a part of it.
    fn update<'a>(&'a self, at: At<'a>, object: Value) -> Boxed<'a, Result<Value, Status>>;
    /// Patches an object or a part of it.
    fn patch<'a>(
        &'a self,
        at: At<'a>,
        kind: PatchType,
        patch: &'a Value,
    ) -> Boxed<'a, Result<Value, Status>>;
    /// Deletes an object.
    fn delete<'a>(
        &'a self,
        at: At<'a>,
        options: &'a DeleteOptions,
    ) -> Boxed<'a, Result<Value, Status>>;
    /// Kinds whose objects are stored, as they are now.
    fn kinds(&self) -> Vec<ServedKind>;
    /// The kind that an `apiVersion` and a `kind` name.
    fn kind(&self, api_version: &str, kind: &str) -> Option<ServedKind>;
}

/// A watch under way.
pub trait Events: Send + Debug {
    /// The next changes, at least one; after an error there is no more.
    fn next(&mut self) -> Boxed<'_, Result<Vec<Change>, Status>>;
    /// The revision up to which everything was returned.
    fn revision(&self) -> u64;
}

impl Events for Watching {
    fn next(&mut self) -> Boxed<'_, Result<Vec<Change>, Status>> {
        Box::pin(Watching::next(self))
    }

    fn revision(&self) -> u64 {
        Watching::revision(self)
    }
}

impl Cluster for Client {
    fn list<'a>(
        &'a self,
        at: At<'a>,
        selection: &'a Selection,
    ) -> Boxed<'a, Result<Listed, Status>> {
        Box::pin(ready(Client::list(self, at, selection)))
    }

    fn watch<'a>(
        &'a self,
        at: At<'a>,
        selection: &'a Selection,
        after: u64,
    ) -> Boxed<'a, Result<Box<dyn Events>, Status>> {
        let watching = Client::watch(self, at, selection, after);
        Box::pin(ready(watching.map(|watching| Box::new(watching) as Box<dyn Events>)))
    }

    fn get<'a>(&'a self, at: At<'a>) -> Boxed<'a, Result<Value, Status>> {
        Box::pin(Client::get(self, at))
    }

    fn create<'a>(&'a self, at: At<'a>, object: Value) -> Boxed<'a, Result<Value, Status>> {
        Box::pin(Client::create(self, at, object))
    }

    fn update<'a>(&'a self, at: At<'a>, object: Value) -> Boxed<'a, Result<Value, Status>> {
        Box::pin(Client::update(self, at, object))
    }

    fn patch<'a>(
        &'a self,
        at: At<'a>,
        kind: PatchType,
        patch: &'a Value,
    ) -> Boxed<'a, Result<Value, Status>> {
        Box::pin(Client::patch(self, at, kind, patch))
    }

    fn delete<'a>(
        &'a self,
        at: At<'a>,
        options: &'a DeleteOptions,
    ) -> Boxed<'a, Result<Value, Status>> {
        Box::pin(Client::delete(self, at, options))
    }

    fn kinds(&self) -> Vec<ServedKind> {
        Client::kinds(self)
    }

    fn kind(&self, api_version: &str, kind: &str) -> Option<ServedKind> {
        Client::kind(self, api_version, kind)
    }
}
