//! Runs a server until standard input ends, with its kubeconfig in the file that is named: for trying kubectl by hand.
#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "an example talks to a person")]

use moat_apiserver::{Options, Server};
use std::time::Instant;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("usage: serve KUBECONFIG")?;
    let began = Instant::now();
    let server = Server::start(Options::default()).await?;
    println!("{} after {:?}; KUBECONFIG={path}", server.url(), began.elapsed());
    std::fs::write(&path, server.kubeconfig())?;
    tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink()))
        .await??;
    server.shutdown().await;
    Ok(())
}
