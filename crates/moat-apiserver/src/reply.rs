//! An answer: code, headers, and a body that is whole or comes bit by bit.

use crate::chunks::Chunks;
use crate::lines::Lines;
use crate::status::Status;
use bytes::Bytes;
use hyper::body::Frame;
use serde_json::Value;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

/// The body of an answer.
#[derive(Debug)]
pub(crate) enum Body {
    Whole(Option<Bytes>),
    /// Made as it is sent.
    Chunks(Chunks),
    /// Lines or frames, as long as there are any.
    Stream(Lines),
}

impl Body {
    /// All of it, unless it is a stream without an end.
    pub(crate) fn whole(self) -> Result<Bytes, Self> {
        match self {
            Self::Whole(bytes) => Ok(bytes.unwrap_or_default()),
            Self::Chunks(chunks) => Ok(chunks.collect::<Vec<_>>().concat().into()),
            Self::Stream(_) => Err(self),
        }
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut *self {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Chunks(chunks) => Poll::Ready(chunks.next().map(|chunk| Ok(Frame::data(chunk)))),
            Self::Stream(lines) => lines.poll(context).map(|line| Some(Ok(Frame::data(line?)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(None))
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        match self {
            Self::Whole(bytes) => {
                hyper::body::SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64)
            }
            Self::Chunks(chunks) => {
                chunks.left().map_or_else(Default::default, hyper::body::SizeHint::with_exact)
            }
            Self::Stream(_) => hyper::body::SizeHint::default(),
        }
    }
}

/// An answer before its headers.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) code: u16,
    pub(crate) content_type: &'static str,
    pub(crate) body: Body,
    pub(crate) warnings: Vec<String>,
    pub(crate) etag: Option<String>,
    /// After how many seconds the client may try again.
    pub(crate) retry_after: Option<u64>,
    /// Instead of a body, for callers in this process.
    pub(crate) value: Option<Value>,
}

impl Reply {
    pub(crate) fn bytes(code: u16, content_type: &'static str, bytes: impl Into<Bytes>) -> Self {
        let body = Body::Whole(Some(bytes.into()));
        Self {
            code,
            content_type,
            body,
            warnings: Vec::new(),
            etag: None,
            retry_after: None,
            value: None,
        }
    }

    pub(crate) fn json(code: u16, value: &Value) -> Self {
        Self::bytes(code, "application/json", value.to_string())
    }

    /// The answer that tells of an error.
    pub(crate) fn refusal(status: &Status) -> Self {
        Self { retry_after: status.retry_after(), ..Self::json(status.code, &status.to_json()) }
    }

    pub(crate) fn warn(mut self, warnings: Vec<String>) -> Self {
        self.warnings.extend(warnings);
        self
    }
}
