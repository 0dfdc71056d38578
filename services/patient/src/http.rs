//! One HTTP exchange with a patient, without an HTTP client: for its own health check and for the stage.

use anyhow::{Context, bail};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// What was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The body.
    pub body: String,
}

/// Sends one request to `address` (`host:port`) and reads the answer.
///
/// It speaks HTTP/1.0, so the answer ends where the connection does and is never chunked.
///
/// # Errors
/// When nobody listens, the connection breaks, or what comes back is not HTTP.
pub async fn exchange(address: &str, method: &str, path: &str, body: &str) -> anyhow::Result<Answer> {
    let mut stream = TcpStream::connect(address).await.with_context(|| format!("could not connect to {address}"))?;
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.0\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    let talk = async {
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        anyhow::Ok(answer)
    };
    let answer = talk.await.with_context(|| format!("the connection to {address} broke during {method} {path}"))?;
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    let (Some(status), Some((_, body))) = (status, answer.split_once("\r\n\r\n")) else {
        bail!("{address} did not answer {method} {path} in HTTP");
    };
    Ok(Answer { status, body: body.to_owned() })
}
