//! The installed table, read back.

use super::element::{Reader, attributes, text};
use super::encode::{
    DATA_VERDICT, RULE_COMMENT, SET_INTERVAL, SET_MAP, TABLE_OWNER, TABLE_PERSIST, hook_number,
    key_len, key_type, message,
};
use super::expr::Expr;
use super::rule::from_exprs;
use crate::error::{Error, Result};
use crate::talk::Talk;
use moat_nft::model::{
    Base, BaseKind, Chain, Element, Hook, Name, Rule, Set, SetKey, SetShape, Table, Verdict,
};
use nlink::netlink::MessageBuilder;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// `NFPROTO_INET`
const INET: u8 = 1;

fn kind(message: u8) -> u16 {
    message::SUBSYSTEM << 8 | u16::from(message)
}

/// An installed table, with what the model cannot say of it.
///
/// In place of that stands what no wanted table has (`STRANGE_SHAPE`, `STRANGE_BASE`, a rule that does nothing), so that a plan
/// replaces it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Found {
    /// The table.
    pub table: Table,
    /// What the model cannot say, in words: `rule 2 of chain c (handle 3) has ...`.
    pub strange: Vec<String>,
    /// Whether some of it cannot be removed by itself, only with the table.
    pub whole: bool,
    /// Chains that have to be deleted and made anew, although nothing of the table shows it.
    pub remake: BTreeSet<Name>,
}

/// The shape of a set that the model cannot say; ranges are of one field, so no wanted set has it.
const STRANGE_SHAPE: SetShape =
    SetShape { key: SetKey::PairV6, interval: true, map: true, size: None };

/// The base of a chain that the model cannot say: translation is impossible there, so no wanted chain has it.
const STRANGE_BASE: Base =
    Base { kind: BaseKind::Nat, hook: Hook::Forward, priority: i32::MIN, accept: false };

impl Found {
    fn strange(&mut self, place: &str, why: impl core::fmt::Display) {
        self.strange.push(format!("{place} has {why}"));
    }

    /// The table, if the model says all of it.
    pub(super) fn known(self) -> Result<Table> {
        match self.strange.first() {
            None => Ok(self.table),
            Some(first) => Err(Error::other(
                format!("read table {} as one of this program", self.table.name),
                format!("{first}; someone else may have changed it"),
            )),
        }
    }
}

/// Reads a table; `None` if there is none of that name.
pub(super) async fn dump(talk: &Talk, name: &str) -> Result<Option<Found>> {
    let table = Table::new(name);
    let mut found = Found { table, strange: Vec::new(), whole: false, remake: BTreeSet::new() };
    let Some(uses) = uses(talk, name, &mut found).await? else { return Ok(None) };
    chains(talk, &mut found).await?;
    rules(talk, &mut found).await?;
    let counts = sets(talk, &mut found).await?;
    let names: Vec<Name> = found.table.sets.keys().cloned().collect();
    for set_name in names {
        let Some(set) = found.table.sets.get_mut(&set_name) else { continue };
        if set.shape() == STRANGE_SHAPE {
            continue;
        }
        let count = counts.get(&set_name).copied();
        if let Some(why) = elements(talk, name, &set_name, set, count).await? {
            *set = Set::new(STRANGE_SHAPE);
            found.strange(&format!("set {set_name}"), why);
        }
    }
    // The kernel counts chains and sets, and whatever else may be in a table: objects and flowtables.
    let n_known = found.table.chains.len() + found.table.sets.len();
    if !found.whole && uses != u32::try_from(n_known).unwrap_or(u32::MAX) {
        found.strange("it", "an object or a flowtable");
        found.whole = true;
    }
    Ok(Some(found))
}

/// Whether a step can name it; others may use more characters.
fn nameable(name: &str) -> bool {
    (1..256).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Whether there is a table of that name.
pub(super) async fn exists(talk: &Talk, name: &str) -> Result<bool> {
    let table = Table::new(name);
    let mut found = Found { table, strange: Vec::new(), whole: false, remake: BTreeSet::new() };
    uses(talk, name, &mut found).await.map(|uses| uses.is_some())
}

/// The attributes of a question about a table.
fn about(table: &str) -> MessageBuilder {
    let mut to = crate::talk::attributes();
    to.append_attr_str(1, table);
    to
}

async fn uses(talk: &Talk, name: &str, found: &mut Found) -> Result<Option<u32>> {
    let mut uses = None;
    talk.dump(kind(message::GET_TABLE), INET, &[], |item| {
        let Some((family, item)) = item else {
            uses = None;
            found.strange.clear();
            return Ok(());
        };
        let (mut is, mut n, mut flags) = (false, 0, 0);
        for (kind, value) in attributes(item) {
            match kind {
                1 => is = text(value).is_ok_and(|text| text == name),
                2 => flags = number(value),
                3 => n = number(value),
                _ => {}
            }
        }
        if is && family == INET {
            uses = Some(n);
            if flags & !(TABLE_OWNER | TABLE_PERSIST) != 0 {
                found.strange("it", format!("flags {flags}, such as dormant"));
                found.whole = true;
            }
        }
        Ok(())
    })
    .await?;
    Ok(uses)
}

fn number(value: &[u8]) -> u32 {
    value.try_into().map_or(u32::MAX, u32::from_be_bytes)
}

async fn chains(talk: &Talk, found: &mut Found) -> Result<()> {
    let name = found.table.name.clone();
    let n_before = found.strange.len();
    talk.dump(kind(message::GET_CHAIN), INET, &[], |item| {
        let Some((family, item)) = item else {
            found.table.chains.clear();
            found.remake.clear();
            found.strange.truncate(n_before);
            return Ok(());
        };
        let mut read = ReadChain::default();
        for (kind, value) in attributes(item) {
            match kind {
                1 => text(value).unwrap_or("").clone_into(&mut read.of),
                3 => text(value).unwrap_or("").clone_into(&mut read.name),
                4 => read.hook = Some(value),
                5 => read.policy = Some(number(value)),
                7 => read.kind = text(value).ok(),
                // Bit 1, NFT_CHAIN_BASE, is said by the hook as well; bits 2 and 4 are hardware offload and bindings.
                10 if number(value) & !1 != 0 => read.odd = Some("flags of another kind"),
                // What passed through, and names by which others refer to it.
                2 | 6 | 8 | 9 | 10 => {}
                _ => read.odd = Some("an attribute of another kind, such as a comment"),
            }
        }
        if family == INET && read.of == *name {
            if !nameable(&read.name) {
                found.strange("it", format!("a chain of the name {:?}", read.name));
                found.whole = true;
            }
            let base = read.base().unwrap_or_else(|why| {
                found.strange(&format!("chain {}", read.name), why);
                if read.hook.is_some() {
                    return Some(STRANGE_BASE);
                }
                found.remake.insert(read.name.as_str().into());
                None
            });
            let chain = Chain { base, rules: Vec::new() };
            found.table.chains.insert(read.name.as_str().into(), chain);
        }
        Ok(())
    })
    .await
}

#[derive(Default)]
struct ReadChain<'a> {
    of: String,
    name: String,
    hook: Option<&'a [u8]>,
    policy: Option<u32>,
    kind: Option<&'a str>,
    odd: Option<&'static str>,
}

impl ReadChain<'_> {
    fn base(&self) -> core::result::Result<Option<Base>, String> {
        if let Some(odd) = self.odd {
            return Err(odd.to_owned());
        }
        let Some(nest) = self.hook else { return Ok(None) };
        let (mut hook, mut priority) = (None, None);
        for (kind, value) in attributes(nest) {
            match kind {
                1 => hook = Some(number(value)),
                2 => priority = value.try_into().ok().map(i32::from_be_bytes),
                _ => return Err("a hook of a device".to_owned()),
            }
        }
        let hooks = [Hook::Prerouting, Hook::Input, Hook::Forward, Hook::Output, Hook::Postrouting];
        let hook = hooks.into_iter().find(|&known| Some(hook_number(known)) == hook);
        let kind = match self.kind {
            Some("filter") => Some(BaseKind::Filter),
            Some("nat") => Some(BaseKind::Nat),
            _ => None,
        };
        let accept = match self.policy {
            Some(1) => Some(true),
            Some(0) => Some(false),
            _ => None,
        };
        match (hook, kind, priority, accept) {
            (Some(hook), Some(kind), Some(priority), Some(accept)) => {
                Ok(Some(Base { kind, hook, priority, accept }))
            }
            _ => Err("a hook, type or policy of another kind".to_owned()),
        }
    }
}

async fn rules(talk: &Talk, found: &mut Found) -> Result<()> {
    let name = found.table.name.clone();
    let n_before = found.strange.len();
    let about = about(&name);
    talk.dump(kind(message::GET_RULE), INET, crate::talk::bytes(&about), |item| {
        let Some((family, item)) = item else {
            found.table.chains.values_mut().for_each(|chain| chain.rules.clear());
            found.strange.truncate(n_before);
            return Ok(());
        };
        let (mut of, mut chain, mut handle) = ("", "", 0);
        for (kind, value) in attributes(item) {
            match kind {
                1 => of = text(value).unwrap_or(""),
                2 => chain = text(value).unwrap_or(""),
                3 => handle = value.try_into().map_or(0, u64::from_be_bytes),
                _ => {}
            }
        }
        if family != INET || of != &*name {
            return Ok(());
        }
        // A chain that was made since the chains were read makes a new generation, and so a new reading of it all.
        let Some(of) = found.table.chains.get_mut(chain) else { return Ok(()) };
        let nth = of.rules.len() + 1;
        match rule(item) {
            Ok(rule) => of.rules.push(rule),
            Err(why) => {
                // No wanted rule is empty, so the chain's rules are replaced.
                of.rules.push(Rule::default());
                found.strange(&format!("rule {nth} of chain {chain} (handle {handle})"), why);
            }
        }
        Ok(())
    })
    .await
}

fn rule(item: &[u8]) -> core::result::Result<Rule, String> {
    let mut rule = Rule::default();
    for (kind, value) in attributes(item) {
        match kind {
            4 => rule.statements = from_exprs(&Expr::read_all(value)?)?,
            7 => rule.comment = Some(comment(value)?.into()),
            // Table, chain, handle, and the rule before.
            1 | 2 | 3 | 6 | 8 => {}
            other => return Err(format!("attribute {other}")),
        }
    }
    Ok(rule)
}

/// A comment in user data: kind, length, text, zero byte.
fn comment(userdata: &[u8]) -> core::result::Result<&str, String> {
    match userdata {
        [RULE_COMMENT, len, rest @ ..] if usize::from(*len) == rest.len() => text(rest),
        _ => Err("user data that is no comment".to_owned()),
    }
}

/// Reads the sets without their elements, and how many elements each has, where the kernel says so (6.14 and later).
async fn sets(talk: &Talk, found: &mut Found) -> Result<BTreeMap<Name, usize>> {
    let name = found.table.name.clone();
    let n_before = found.strange.len();
    let about = about(&name);
    let mut counts = BTreeMap::new();
    talk.dump(kind(message::GET_SET), INET, crate::talk::bytes(&about), |item| {
        let Some((family, item)) = item else {
            found.table.sets.clear();
            found.strange.truncate(n_before);
            counts.clear();
            return Ok(());
        };
        let mut of = "";
        let mut set_name = "";
        let (mut flags, mut key, mut len, mut data) = (0, 0, 0, 0);
        let (mut strange, mut count, mut size) = (None, None, None);
        for (kind, value) in attributes(item) {
            match kind {
                1 => of = text(value).unwrap_or(""),
                2 => set_name = text(value).unwrap_or(""),
                3 => flags = number(value),
                4 => key = number(value),
                5 => len = number(value),
                6 => data = number(value),
                // What is said beside the size is about fields of keys, which follows from the type.
                9 => {
                    size =
                        attributes(value).find(|(kind, _)| *kind == 1).map(|(_, own)| number(own));
                }
                // Notes of others and names.
                7 | 8 | 10 | 13 | 14 | 16 => {}
                // How the set is made.
                19 => {}
                20 => count = usize::try_from(number(value)).ok(),
                other => strange = Some(other),
            }
        }
        if family != INET || of != &*name {
            return Ok(());
        }
        let map = flags & SET_MAP != 0;
        let key = key_of(key, len);
        let why = if let Some(strange) = strange {
            Some(format!("attribute {strange}, such as a timeout"))
        } else if flags & !(SET_MAP | SET_INTERVAL) != 0
            || (data != if map { DATA_VERDICT } else { 0 })
        {
            Some(format!("flags {flags} or data of another kind"))
        } else if key.is_none() {
            Some("a key of another type".to_owned())
        } else {
            None
        };
        if !nameable(set_name) {
            found.strange("it", format!("a set of the name {set_name:?}"));
            found.whole = true;
        }
        let shape = match (key, why) {
            (Some(key), None) => SetShape { key, interval: flags & SET_INTERVAL != 0, map, size },
            (_, why) => {
                found.strange(&format!("set {set_name}"), why.unwrap_or_default());
                STRANGE_SHAPE
            }
        };
        let set_name = Name::from(set_name);
        if let Some(count) = count {
            counts.insert(set_name.clone(), count);
        }
        found.table.sets.insert(set_name, Set::new(shape));
        Ok(())
    })
    .await?;
    Ok(counts)
}

fn key_of(kind: u32, len: u32) -> Option<SetKey> {
    SetKey::ALL.into_iter().find(|&key| key_type(key) == kind && key_len(key) == len)
}

/// Reads the elements of a set.
///
/// A hash table that has just grown is moved to a larger one in the background, and a dump that spans the move leaves elements
/// out or has them twice (`nft_rhash_walk` counts how many to skip). So it is read until it has as many as the kernel counts,
/// or where the kernel does not say, until it has as many as the time before. Ranges are in a tree, which does not move. Returns what
/// the model cannot say of them.
async fn elements(
    talk: &Talk,
    table: &str,
    name: &Name,
    set: &mut Set,
    mut count: Option<usize>,
) -> Result<Option<String>> {
    const PAUSES: u32 = 12;
    for n_before in 0..PAUSES {
        match elements_once(talk, table, name, set).await? {
            Ok(elements) => set.elements = elements,
            Err(why) => return Ok(Some(why)),
        }
        let n_read = set.elements.len();
        if set.interval || count == Some(n_read) || (count.is_none() && n_read < 2) {
            return Ok(None);
        }
        count = count.max(Some(n_read));
        tokio::time::sleep(Duration::from_millis(1 << n_before.min(8))).await;
    }
    Err(Error::other(format!("read set {name} of table {table}"), "no reading was complete"))
}

async fn elements_once(
    talk: &Talk,
    table: &str,
    name: &Name,
    set: &Set,
) -> Result<core::result::Result<BTreeMap<Element, Option<Verdict>>, String>> {
    let mut about = about(table);
    about.append_attr_str(2, name);
    let fresh = || Reader::new(set.key, set.interval, set.map);
    let (mut reader, mut wrong) = (fresh(), None);
    talk.dump(kind(message::GET_ELEMENTS), INET, crate::talk::bytes(&about), |item| {
        match item {
            Some((_, item)) => wrong = wrong.take().or_else(|| reader.read(item).err()),
            None => (reader, wrong) = (fresh(), None),
        }
        Ok(())
    })
    .await?;
    Ok(wrong.map_or_else(|| reader.finish(), Err))
}
