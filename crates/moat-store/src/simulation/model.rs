//! What the store should be: maps and a list of events, without any of its structures.

use std::collections::BTreeMap;

/// A resource and a path.
pub(super) type Name = (usize, String);
/// A revision and bytes.
pub(super) type Value = (u64, Vec<u8>);

/// One write that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Happened {
    pub(super) revision: u64,
    pub(super) name: Name,
    /// The object after it; `None` when deleted.
    pub(super) after: Option<Vec<u8>>,
    pub(super) before: Option<Value>,
}

/// A write that is asked for.
#[derive(Clone, Debug)]
pub(super) enum Ask {
    Create(Name, Vec<u8>),
    Update(Name, Vec<u8>, Option<u64>),
    Delete(Name, Option<u64>),
    Check(Name, Option<u64>),
}

/// What is expected as answer of a transaction: revisions of its writes, or why not.
pub(super) type Answer = Result<Vec<Option<u64>>, (usize, Refusal)>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    Exists(u64),
    NotFound,
    Conflict(u64),
}

#[derive(Clone, Debug, Default)]
pub(super) struct Model {
    pub(super) revision: u64,
    pub(super) objects: BTreeMap<Name, Value>,
    pub(super) happened: Vec<Happened>,
}

impl Model {
    pub(super) fn new() -> Self {
        Self { revision: crate::FIRST_REVISION, ..Self::default() }
    }

    pub(super) fn transaction(&mut self, asks: &[Ask]) -> Answer {
        let before = self.clone();
        let mut revisions = Vec::new();
        for (at, ask) in asks.iter().enumerate() {
            match self.ask(ask) {
                Ok(revision) => revisions.push(revision),
                Err(refusal) => {
                    *self = before;
                    return Err((at, refusal));
                }
            }
        }
        Ok(revisions)
    }

    fn ask(&mut self, ask: &Ask) -> Result<Option<u64>, Refusal> {
        let (name, expect) = match ask {
            Ask::Create(name, _) => (name, None),
            Ask::Update(name, _, expect) | Ask::Delete(name, expect) | Ask::Check(name, expect) => {
                (name, Some(*expect))
            }
        };
        let before = self.objects.get(name).cloned();
        match (&before, expect) {
            (Some((revision, _)), None) => return Err(Refusal::Exists(*revision)),
            (None, Some(_)) => return Err(Refusal::NotFound),
            (Some((is, _)), Some(Some(wanted))) if *is != wanted => {
                return Err(Refusal::Conflict(*is));
            }
            _ => {}
        }
        let after = match ask {
            Ask::Create(_, bytes) | Ask::Update(_, bytes, _) => Some(bytes.clone()),
            Ask::Delete(..) => None,
            Ask::Check(..) => return Ok(None),
        };
        self.revision += 1;
        match &after {
            Some(bytes) => self.objects.insert(name.clone(), (self.revision, bytes.clone())),
            None => self.objects.remove(name),
        };
        let (revision, name) = (self.revision, name.clone());
        self.happened.push(Happened { revision, name, after, before });
        Ok(Some(revision))
    }

    /// The objects at a revision, made anew from the first event.
    pub(super) fn at(&self, revision: u64) -> BTreeMap<Name, Value> {
        let mut objects = BTreeMap::new();
        for event in self.happened.iter().take_while(|event| event.revision <= revision) {
            match &event.after {
                Some(bytes) => objects.insert(event.name.clone(), (event.revision, bytes.clone())),
                None => objects.remove(&event.name),
            };
        }
        objects
    }

    /// The names in use, and some that are not.
    pub(super) fn some_name(&self, rng: &mut crate::Rng) -> Name {
        if rng.one_in(2) && !self.objects.is_empty() {
            let idx = rng.below(self.objects.len());
            return self.objects.keys().nth(idx).unwrap().clone();
        }
        let resource = rng.below(3);
        let name = format!("o{}", rng.below(12));
        // The third resource has no namespaces; and one namespace begins with the other's name.
        let path = match resource {
            2 => name,
            _ => format!("{}/{name}", ["a", "a-b", "z"][rng.below(3)]),
        };
        (resource, path)
    }
}
