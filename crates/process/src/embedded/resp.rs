//! The few words of the Redis protocol (RESP2) that it takes to look after a server. Everything else is `hemostat-log`.

use std::{io, path::Path, time::Duration};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::UnixStream,
    time::timeout,
};

/// What the server answers to `command`: its one text, or the texts of its list. Nothing where it hangs up instead.
pub(super) async fn call(socket: &Path, command: &[&str]) -> io::Result<Vec<String>> {
    timeout(Duration::from_secs(5), async {
        let mut stream = BufReader::new(UnixStream::connect(socket).await?);
        let mut request = format!("*{}\r\n", command.len());
        for word in command {
            request.push_str(&format!("${}\r\n{word}\r\n", word.len()));
        }
        stream.write_all(request.as_bytes()).await?;
        let head = line(&mut stream).await?;
        match head.split_at_checked(1) {
            None => Ok(vec![]),
            Some(("*", count)) => {
                let mut texts = vec![];
                for _ in 0..count.parse::<usize>().unwrap_or(0) {
                    let head = line(&mut stream).await?;
                    texts.push(text(&mut stream, &head).await?);
                }
                Ok(texts)
            }
            Some(_) => Ok(vec![text(&mut stream, &head).await?]),
        }
    })
    .await
    .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

async fn line(stream: &mut BufReader<UnixStream>) -> io::Result<String> {
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    Ok(line.trim_end().to_owned())
}

async fn text(stream: &mut BufReader<UnixStream>, head: &str) -> io::Result<String> {
    match head.split_at_checked(1) {
        Some(("+" | ":", text)) => Ok(text.to_owned()),
        Some(("$", length)) => {
            let length: usize = length.parse().map_err(io::Error::other)?;
            let mut bytes = vec![0; length + 2];
            stream.read_exact(&mut bytes).await?;
            bytes.truncate(length);
            String::from_utf8(bytes).map_err(io::Error::other)
        }
        Some(("-", error)) => Err(io::Error::other(error.to_owned())),
        _ => Err(io::Error::other(format!("not an answer of Redis: {head:?}"))),
    }
}
