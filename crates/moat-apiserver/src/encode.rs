//! Answers in the encoding that the client wants. They are made as JSON; here, at the edge, they become something else.

use crate::api::{Body, Reply};
use crate::negotiate::Encoding;
use crate::{wire, yaml};
use bytes::Bytes;
use serde_json::{Value, json};

const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
const PROTOBUF_STREAM: &str = "application/vnd.kubernetes.protobuf;stream=watch";

/// The same answer in another encoding. What has no form in it stays JSON, and says so.
pub(crate) fn encoded(mut reply: Reply, encoding: Encoding, watch: bool) -> Reply {
    if encoding == Encoding::Json || reply.content_type != "application/json" {
        return reply;
    }
    if watch && reply.code == 200 && encoding == Encoding::Protobuf {
        reply.content_type = PROTOBUF_STREAM;
        // A stream is made of frames already.
        if let Body::Whole(Some(lines)) = &reply.body {
            reply.body = Body::Whole(Some(frames(lines)));
        }
        return reply;
    }
    let bytes = match reply.body.whole() {
        Ok(bytes) => bytes,
        Err(body) => return Reply { body, ..reply },
    };
    reply.body = Body::Whole(Some(bytes.clone()));
    let Ok(value) = serde_json::from_slice::<Value>(&bytes) else { return reply };
    let (content_type, body) = match encoding {
        Encoding::Yaml => ("application/yaml", Bytes::from(yaml::write(&value))),
        _ => match sealed(&value) {
            Some(body) => (PROTOBUF, body.into()),
            None => return reply,
        },
    };
    reply.content_type = content_type;
    reply.body = Body::Whole(Some(body));
    reply
}

fn sealed(value: &Value) -> Option<Vec<u8>> {
    wire::seal(value["apiVersion"].as_str()?, value["kind"].as_str()?, value.as_object()?).ok()
}

/// Events, a line each, as frames.
pub(crate) fn frames(lines: &[u8]) -> Bytes {
    let mut out = Vec::new();
    for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let event: Value = serde_json::from_slice(line).unwrap_or_default();
        let kind = event["type"].as_str().unwrap_or_default();
        match sealed(&event["object"]) {
            Some(object) => wire::frame(kind, &object, &mut out),
            None => {
                // Nothing is left out in silence.
                let status = json!({
                    "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": 500, "reason": "InternalError",
                    "message": format!("Internal error occurred: an object cannot be written as protobuf: {}", event["object"]["metadata"]["name"]),
                });
                wire::frame("ERROR", &sealed(&status).unwrap_or_default(), &mut out);
            }
        }
    }
    out.into()
}
