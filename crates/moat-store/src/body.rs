//! What is written: bytes, in which the store may put the revision that the write gets.

use bytes::Bytes;

/// An object's bytes as a writer gives them.
///
/// A stored object names its own revision, `"resourceVersion":"42"`, but the revision is known only when the write has its place in the
/// order. So a writer may leave a gap, which the store fills. What is stored is then the whole object: lists and watches send it as it is.
#[derive(Clone, Debug)]
pub struct Body {
    bytes: Bytes,
    gap: Option<usize>,
}

impl Body {
    /// Bytes that are stored as they are.
    pub fn whole(bytes: impl Into<Bytes>) -> Self {
        Self { bytes: bytes.into(), gap: None }
    }

    /// Bytes into which the write's revision is put as decimal digits, before the byte `at`; at the end if there are fewer bytes.
    pub fn stamped(bytes: impl Into<Bytes>, at: usize) -> Self {
        let bytes = bytes.into();
        let gap = Some(at.min(bytes.len()));
        Self { bytes, gap }
    }

    /// How many bytes, without the revision.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The bytes as they are stored under a revision.
    pub(crate) fn stamp(self, revision: u64) -> Bytes {
        let Some(gap) = self.gap else { return self.bytes };
        let digits = revision.to_string();
        let (before, after) = self.bytes.split_at(gap);
        let mut whole = Vec::with_capacity(self.bytes.len() + digits.len());
        whole.extend_from_slice(before);
        whole.extend_from_slice(digits.as_bytes());
        whole.extend_from_slice(after);
        whole.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_revision_is_put_into_the_gap() {
        assert_eq!(Body::stamped("{\"rv\":\"\"}", 7).stamp(42), "{\"rv\":\"42\"}");
        assert_eq!(Body::stamped("ab", 9).stamp(7), "ab7");
        assert_eq!(Body::whole("ab").stamp(7), "ab");
    }
}
