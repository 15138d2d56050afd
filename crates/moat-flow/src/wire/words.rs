//! Values that JSON has as strings of a fixed form, read without a copy.

use super::EndKind;
use crate::packet::TcpFlags;
use crate::record::Verdict;
use crate::time::Time;
use core::fmt;
use core::marker::PhantomData;
use moat_ir::Direction;
use moat_sets::Protocol;
use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A value that is written as a string.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Word<T>(pub(crate) T);

/// How a value is written as a string.
pub(crate) trait Written: Sized {
    /// What the string must be, in words.
    const WHAT: &str;

    fn read(text: &str) -> Option<Self>;

    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error>;
}

impl<T: Written> Serialize for Word<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.write(serializer)
    }
}

impl<'de, T: Written> Deserialize<'de> for Word<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(WordVisitor(PhantomData))
    }
}

struct WordVisitor<T>(PhantomData<T>);

impl<T: Written> Visitor<'_> for WordVisitor<T> {
    type Value = Word<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::WHAT)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        T::read(text).map(Word).ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
    }
}

impl Written for Time {
    const WHAT: &str = "a time after 1970 as RFC 3339 writes it, such as 2026-01-31T12:34:56Z";

    fn read(text: &str) -> Option<Self> {
        Self::parse(text)
    }

    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Written for Option<Direction> {
    const WHAT: &str = "`ingress`, `egress` or `unknown`";

    fn read(text: &str) -> Option<Self> {
        let found = Direction::BOTH.into_iter().find(|direction| direction.name() == text);
        (found.is_some() || text == "unknown").then_some(found)
    }

    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.map_or("unknown", Direction::name))
    }
}

impl Written for Verdict {
    const WHAT: &str = "`allowed`, `denied` or `unknown`";

    fn read(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|verdict| verdict.name() == text)
    }

    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl Written for Protocol {
    const WHAT: &str = "`TCP`, `UDP`, `SCTP` or `ICMP`";

    fn read(text: &str) -> Option<Self> {
        Self::parse(text)
    }

    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl Written for EndKind {
    const WHAT: &str = "`pod`, `node` or `outside`";

    fn read(text: &str) -> Option<Self> {
        match text {
            "pod" => Some(Self::Pod),
            "node" => Some(Self::Node),
            "outside" => Some(Self::Outside),
            _ => None,
        }
    }

    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(match self {
            Self::Pod => "pod",
            Self::Node => "node",
            Self::Outside => "outside",
        })
    }
}

impl Written for TcpFlags {
    const WHAT: &str = "flags such as `SYN,ACK`";

    fn read(text: &str) -> Option<Self> {
        Self::parse(text)
    }

    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
