//! Bodies that are made while they are sent: a list of any length costs a chunk of memory, and the client reads while the rest is made.

use crate::api::Body;
use bytes::Bytes;
use moat_store::Object;
use std::fmt;

/// Bytes of a chunk, give or take an object.
const CHUNK_BYTES: usize = 64 << 10;

/// The rest of a body.
pub(crate) struct Chunks {
    next: Box<dyn FnMut() -> Option<Bytes> + Send>,
    /// Bytes that are left, where that is known.
    left: Option<u64>,
}

impl fmt::Debug for Chunks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chunks").field("left", &self.left).finish_non_exhaustive()
    }
}

impl Iterator for Chunks {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        let chunk = (self.next)()?;
        if let Some(left) = &mut self.left {
            *left = left.saturating_sub(chunk.len() as u64);
        }
        Some(chunk)
    }
}

impl Chunks {
    /// How long the rest is, if that is known.
    pub(crate) fn left(&self) -> Option<u64> {
        self.left
    }
}

/// A list: `head`, objects as `write` appends them with commas between them, and `]}`. `size` is how long the whole is, where that is known.
pub(crate) fn list(
    head: Vec<u8>,
    objects: Vec<Object>,
    size: Option<u64>,
    mut write: impl FnMut(&Object, &mut Vec<u8>) + Send + 'static,
) -> Body {
    let mut rest = objects.into_iter();
    let (mut begun, mut is_first, mut done) = (Some(head), true, false);
    let mut next = move || {
        if done {
            return None;
        }
        let mut chunk = begun.take().unwrap_or_default();
        chunk.reserve(CHUNK_BYTES);
        while chunk.len() < CHUNK_BYTES {
            let Some(object) = rest.next() else {
                chunk.extend_from_slice(b"]}");
                done = true;
                break;
            };
            if !std::mem::take(&mut is_first) {
                chunk.push(b',');
            }
            write(&object, &mut chunk);
        }
        Some(Bytes::from(chunk))
    };
    // What fits into one chunk is no stream, so that its client knows how long it is.
    let first = next().unwrap_or_default();
    let mut whole = Some(first);
    if let Some(second) = next() {
        let mut begun = [whole.take(), Some(second)].into_iter().flatten();
        let next = Box::new(move || begun.next().or_else(&mut next));
        return Body::Chunks(Chunks { next, left: size });
    }
    Body::Whole(whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use moat_store::Path;

    fn objects(n: usize) -> Vec<Object> {
        let object = |at: usize| Object {
            path: Path::new(None, &format!("o{at}")).unwrap(),
            revision: 1,
            value: Bytes::from(vec![b'x'; 1000]),
        };
        (0..n).map(object).collect()
    }

    #[test]
    fn a_long_list_comes_in_pieces_and_a_short_one_whole() {
        for n in [0_usize, 1, 3, 65, 66, 1000] {
            let write = |object: &Object, out: &mut Vec<u8>| out.extend_from_slice(&object.value);
            let size = 1 + n * 1000 + n.saturating_sub(1) + 2;
            let body = list(b"[".to_vec(), objects(n), Some(size as u64), write);
            let (pieces, all) = match body {
                Body::Whole(bytes) => (1, bytes.unwrap().to_vec()),
                Body::Chunks(chunks) => {
                    assert_eq!(chunks.left(), Some(size as u64));
                    let all: Vec<Bytes> = chunks.collect();
                    (all.len(), all.concat())
                }
                other @ Body::Stream(_) => panic!("{other:?}"),
            };
            assert_eq!(pieces, 1.max(size.div_ceil(66_000)), "{n}");
            assert_eq!(all.len(), size);
            assert!(all.starts_with(b"[") && all.ends_with(b"]}"));
        }
    }
}
