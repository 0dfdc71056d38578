//! A minimal HTTP client, for the patient's own health check and for the stage: keeps the image small.

use anyhow::{Context, bail};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// A response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The body.
    pub body: String,
}

/// Sends one request to `address` (`host:port`) and reads the response.
///
/// It uses HTTP/1.0, so that the response ends with the connection and is never chunked.
///
/// # Errors
/// When the connection fails, or the response is not HTTP.
pub async fn exchange(address: &str, method: &str, path: &str, body: &str) -> anyhow::Result<Response> {
    let mut stream = TcpStream::connect(address).await.with_context(|| format!("could not connect to {address}"))?;
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.0\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    let talk = async {
        stream.write_all(request.as_bytes()).await?;
        let mut response = String::new();
        stream.read_to_string(&mut response).await?;
        anyhow::Ok(response)
    };
    let response = talk.await.with_context(|| format!("the connection to {address} broke during {method} {path}"))?;
    let status = response.split(' ').nth(1).and_then(|status| status.parse().ok());
    let (Some(status), Some((_, body))) = (status, response.split_once("\r\n\r\n")) else {
        bail!("{address} did not respond to {method} {path} in HTTP");
    };
    Ok(Response { status, body: body.to_owned() })
}
