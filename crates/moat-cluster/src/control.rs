//! The socket on which a running cluster answers `moat status`, `moat down` and their like: a line of JSON each way.
//!
//! It is in a directory that only its owner may enter, so whoever reaches it may do everything.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::future::Future;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream as Blocking;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinHandle;

/// Bytes of a question.
const QUESTION_MAX: u64 = 64 << 10;
/// Bytes of an answer; the longest explains a pod on thousands of nodes.
const ANSWER_MAX: u64 = 64 << 20;
/// How long either side waits for the other.
const PATIENCE: Duration = Duration::from_secs(20);

/// What can be asked of a running cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "ask")]
pub enum Ask {
    /// How it does.
    Status,
    /// To end.
    Stop,
    /// A bootstrap token.
    TokenCreate {
        /// Seconds until it expires; 0 for never.
        ttl: u64,
        /// What it is for.
        description: String,
    },
    /// The bootstrap tokens.
    TokenList,
    /// To take a bootstrap token back.
    TokenDelete {
        /// The token, or its part before the dot.
        token: String,
    },
    /// Why a pod is, or is not, on which node.
    ExplainPod {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
}

/// The answer to come.
pub type Answering = Pin<Box<dyn Future<Output = Result<Value, String>> + Send>>;

/// Answers questions until the task is aborted.
///
/// Errors: the path is too long for a socket, or not to be written.
pub fn serve<F>(path: &Path, answer: F) -> io::Result<JoinHandle<()>>
where
    F: Fn(Ask) -> Answering + Send + Sync + 'static,
{
    // What a process that was killed left behind; the lock says that nobody answers there.
    let _ = std::fs::remove_file(path);
    let listener = UnixListener::bind(path)?;
    let answer = Arc::new(answer);
    Ok(tokio::spawn(async move {
        // An accept fails when the process is out of descriptors; the next connection may find one.
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            let answer = Arc::clone(&answer);
            tokio::spawn(async move {
                let _ = tokio::time::timeout(PATIENCE, one(stream, &*answer)).await;
            });
        }
    }))
}

async fn one<F>(stream: UnixStream, answer: &F) -> io::Result<()>
where
    F: Fn(Ask) -> Answering + Send + Sync,
{
    let (reader, mut writer) = stream.into_split();
    let mut line = String::new();
    tokio::io::BufReader::new(reader.take(QUESTION_MAX)).read_line(&mut line).await?;
    let answered = match serde_json::from_str(&line) {
        Ok(ask) => answer(ask).await,
        Err(error) => Err(format!("not a question: {error}")),
    };
    let answered = match answered {
        Ok(value) => json!({ "ok": value }),
        Err(why) => json!({ "error": why }),
    };
    writer.write_all(format!("{answered}\n").as_bytes()).await?;
    writer.shutdown().await
}

/// Asks a running cluster.
///
/// Errors: it cannot be reached, does not answer in time, or says why not.
pub fn ask(path: &Path, question: &Ask) -> Result<Value, String> {
    let told = |error: io::Error| format!("the cluster does not answer: {error}");
    let mut stream = Blocking::connect(path).map_err(told)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(told)?;
    let line = serde_json::to_string(question).map_err(|error| error.to_string())?;
    stream.write_all(format!("{line}\n").as_bytes()).map_err(told)?;
    let mut text = String::new();
    BufReader::new(stream.take(ANSWER_MAX)).read_line(&mut text).map_err(told)?;
    let mut answer: Value = serde_json::from_str(&text)
        .map_err(|_| "the cluster ended before it answered".to_owned())?;
    match answer["error"].as_str() {
        Some(why) => Err(why.to_owned()),
        None => Ok(answer["ok"].take()),
    }
}
