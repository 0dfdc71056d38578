//! A fake language model over a real socket: it speaks OpenAI's and Anthropic's APIs, answers by script, and keeps what
//! it was asked.
//!
//! HTTP is written by hand here, as half of what a server can do wrong no HTTP library would let it.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// The key that it wants; it must turn up nowhere.
const KEY: &str = "sk-SECRET-of-the-test-bed-0123456789";

/// How a request is answered.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// With these words of the model's, and so many tokens of question and answer.
    Says(String, u64, u64),
    /// With these words, and no word of what they cost.
    SaysForFree(String),
    /// As if it had been cut off in these words.
    Cut(String),
    /// With this status, these headers and this body.
    Status(u16, Vec<(String, String)>, String),
    /// With status 200 and this body.
    Body(String),
    /// Never.
    Silence,
    /// With a body that never ends, a little at a time.
    Endless,
    /// With a body of so many bytes.
    Huge(usize),
    /// With the first half of an answer; the connection then closes.
    Half,
    /// With something that is not HTTP.
    Gibberish,
}

impl Reply {
    /// With this JSON in the model's words.
    pub fn json(answer: &Value) -> Self {
        Self::Says(answer.to_string(), 900, 80)
    }

    /// With this status and an error of this kind, as OpenAI writes it.
    pub fn error(status: u16, kind: &str) -> Self {
        let body = json!({ "error": { "message": format!("no, {KEY}"), "type": kind, "code": kind } });
        Self::Status(status, vec![], body.to_string())
    }

    /// Too many requests; to be asked again in so many seconds.
    pub fn later(seconds: &str) -> Self {
        Self::Status(429, vec![("retry-after".to_owned(), seconds.to_owned())], "slow down".to_owned())
    }
}

/// What it was asked.
#[derive(Debug, Clone)]
pub struct Request {
    /// Such as `/v1/chat/completions`.
    pub path: String,
    /// In small letters, with their values.
    pub headers: Vec<(String, String)>,
    /// What was asked.
    pub body: Value,
}

impl Request {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(is, _)| is == name).map(|(_, value)| value.as_str())
    }

    /// Everything that the model is told, from the system text to the last turn.
    pub fn words(&self) -> String {
        let turns = self.body["messages"].as_array().into_iter().flatten().map(|turn| &turn["content"]);
        let all = std::iter::once(&self.body["system"]).chain(turns);
        all.filter_map(Value::as_str).collect::<Vec<_>>().join("\n")
    }
}

type Wit = Box<dyn Fn(&Request) -> Reply + Send>;

struct Desk {
    script: VecDeque<Reply>,
    wit: Wit,
    asked: Vec<Request>,
}

/// A fake language model.
pub struct FakeModel {
    desk: Arc<Mutex<Desk>>,
    url: String,
    server: JoinHandle<()>,
}

impl FakeModel {
    /// Starts it; it answers every question by `wit`.
    pub async fn start(wit: impl Fn(&Request) -> Reply + Send + 'static) -> Self {
        let desk = Desk { script: VecDeque::new(), wit: Box::new(wit), asked: vec![] };
        let desk = Arc::new(Mutex::new(desk));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let taken = Arc::clone(&desk);
        let server = tokio::spawn(async move {
            // With the listener everything that it has begun ends, too.
            let mut guests = tokio::task::JoinSet::new();
            while let Ok((guest, _)) = listener.accept().await {
                guests.spawn(serve(guest, Arc::clone(&taken)));
                while guests.try_join_next().is_some() {}
            }
        });
        Self { desk, url, server }
    }

    /// Starts it; it answers every question so.
    pub async fn saying(reply: Reply) -> Self {
        Self::start(move |_| reply.clone()).await
    }

    /// Answers the next questions so, and then as before.
    pub fn will_answer(&self, script: impl IntoIterator<Item = Reply>) {
        self.desk.lock().unwrap().script.extend(script);
    }

    /// The base URL of its OpenAI API.
    pub fn openai(&self) -> String {
        format!("{}/v1", self.url)
    }

    /// The base URL of its Anthropic API.
    pub fn anthropic(&self) -> String {
        self.url.clone()
    }

    /// The key that it wants; it must turn up nowhere.
    pub fn key(&self) -> &'static str {
        KEY
    }

    /// What it was asked so far.
    pub fn asked(&self) -> Vec<Request> {
        self.desk.lock().unwrap().asked.clone()
    }
}

impl fmt::Debug for FakeModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeModel").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Drop for FakeModel {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// A guest is served until it leaves.
async fn serve(mut guest: TcpStream, desk: Arc<Mutex<Desk>>) {
    while let Some(request) = read(&mut guest).await {
        let reply = {
            let mut desk = desk.lock().unwrap();
            desk.asked.push(request.clone());
            let scripted = desk.script.pop_front();
            scripted.unwrap_or_else(|| complaint(&request).unwrap_or_else(|| (desk.wit)(&request)))
        };
        if answer(&mut guest, &request.path, reply).await.is_err() {
            return;
        }
    }
}

/// What the real APIs would refuse.
fn complaint(request: &Request) -> Option<Reply> {
    let key = match request.path.as_str() {
        "/v1/chat/completions" => request.header("authorization")?.strip_prefix("Bearer "),
        "/v1/messages" => request.header("x-api-key"),
        _ => return Some(Reply::error(404, "not_found_error")),
    };
    // Who asks without a key is taken for a user of a server of his own.
    if key.is_some_and(|key| !key.is_empty() && key != KEY) {
        return Some(Reply::error(401, "invalid_api_key"));
    }
    let is_complete = request.body["model"].is_string()
        && request.body["messages"].as_array().is_some_and(|turns| !turns.is_empty())
        && (request.path != "/v1/messages" || request.body["max_tokens"].is_u64());
    (!is_complete).then(|| Reply::error(400, "invalid_request_error"))
}

async fn read(guest: &mut TcpStream) -> Option<Request> {
    let mut bytes = vec![];
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|at| at == b"\r\n\r\n") {
            break end;
        }
        if guest.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut lines = head.lines();
    let path = lines.next()?.split(' ').nth(1)?.to_owned();
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
        .collect();
    let length = headers.iter().find(|(name, _)| name == "content-length")?.1.parse::<usize>().ok()?;
    let mut body = bytes.split_off(end + 4);
    while body.len() < length {
        if guest.read_buf(&mut body).await.ok()? == 0 {
            return None;
        }
    }
    Some(Request { path, headers, body: serde_json::from_slice(&body).ok()? })
}

async fn answer(guest: &mut TcpStream, path: &str, reply: Reply) -> std::io::Result<()> {
    let is_claude = path == "/v1/messages";
    match reply {
        Reply::Says(text, input, output) => {
            let usage = if is_claude {
                json!({ "input_tokens": input, "output_tokens": output })
            } else {
                json!({ "prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output })
            };
            send(guest, 200, &[], &worded(is_claude, &text, Some(usage), false)).await
        }
        Reply::SaysForFree(text) => send(guest, 200, &[], &worded(is_claude, &text, None, false)).await,
        Reply::Cut(text) => send(guest, 200, &[], &worded(is_claude, &text, None, true)).await,
        Reply::Status(status, headers, body) => send(guest, status, &headers, &body).await,
        Reply::Body(body) => send(guest, 200, &[], &body).await,
        Reply::Silence => std::future::pending().await,
        Reply::Endless => {
            guest.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await?;
            loop {
                guest.write_all(b"8\r\n        \r\n").await?;
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
        Reply::Huge(bytes) => send(guest, 200, &[], &" ".repeat(bytes)).await,
        Reply::Half => {
            guest.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{\"choices\":").await?;
            guest.shutdown().await
        }
        Reply::Gibberish => {
            guest.write_all(b"220 smtp.example ESMTP\r\n").await?;
            guest.shutdown().await
        }
    }
}

/// An answer in the API's form. Claude's JSON is the input of its tool, if it is JSON.
fn worded(is_claude: bool, text: &str, usage: Option<Value>, is_cut: bool) -> String {
    let mut body = if is_claude {
        let block = match serde_json::from_str::<Value>(text) {
            Ok(input) if input.is_object() => {
                json!({ "type": "tool_use", "id": "t1", "name": "diagnosis", "input": input })
            }
            _ => json!({ "type": "text", "text": text }),
        };
        let stop = if is_cut { "max_tokens" } else { "end_turn" };
        json!({ "type": "message", "role": "assistant", "content": [block], "stop_reason": stop })
    } else {
        let message = json!({ "role": "assistant", "content": text });
        let stop = if is_cut { "length" } else { "stop" };
        json!({ "object": "chat.completion", "choices": [{ "index": 0, "message": message, "finish_reason": stop }] })
    };
    if let Some(usage) = usage {
        body["usage"] = usage;
    }
    body.to_string()
}

async fn send(guest: &mut TcpStream, status: u16, headers: &[(String, String)], body: &str) -> std::io::Result<()> {
    let mut head =
        format!("HTTP/1.1 {status} As Told\r\ncontent-type: application/json\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    guest.write_all(head.as_bytes()).await?;
    guest.write_all(body.as_bytes()).await
}
