//! A fake language model over a real socket: OpenAI's and Anthropic's APIs, scripted responses, recorded requests.
//!
//! Neither wiremock nor another HTTP library: none can send the broken responses that half of the cases need.

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

/// The API key that it accepts, which must appear nowhere.
const KEY: &str = "sk-SECRET-of-the-test-bed-0123456789";

/// How a request is responded to.
#[derive(Debug, Clone, PartialEq)]
pub enum ModelResponse {
    /// With this text, and this usage in tokens of prompt and completion.
    Text(String, u64, u64),
    /// With this text and no usage.
    TextWithoutUsage(String),
    /// With this text, marked as truncated by the token limit.
    Truncated(String),
    /// With this status, these headers and this body.
    Status(u16, Vec<(String, String)>, String),
    /// With status 200 and this body.
    Body(String),
    /// Not at all.
    NoResponse,
    /// With a body that never ends, in small chunks.
    EndlessBody,
    /// With a body of this many bytes.
    OversizedBody(usize),
    /// With a part of the announced body, before the connection closes.
    IncompleteBody,
    /// With bytes that are not HTTP.
    NotHttp,
}

impl ModelResponse {
    /// With this JSON as the model's text.
    pub fn json(answer: &Value) -> Self {
        Self::Text(answer.to_string(), 900, 80)
    }

    /// With this status and an error of this kind, in OpenAI's form.
    pub fn error(status: u16, kind: &str) -> Self {
        let body = json!({ "error": { "message": format!("no, {KEY}"), "type": kind, "code": kind } });
        Self::Status(status, vec![], body.to_string())
    }

    /// With status 429 and this `retry-after`, in seconds.
    pub fn rate_limited(seconds: &str) -> Self {
        Self::Status(429, vec![("retry-after".to_owned(), seconds.to_owned())], "slow down".to_owned())
    }
}

/// A recorded request.
#[derive(Debug, Clone)]
pub struct Request {
    /// Such as `/v1/chat/completions`.
    pub path: String,
    /// Names in lower case, with their values.
    pub headers: Vec<(String, String)>,
    /// The JSON body.
    pub body: Value,
}

impl Request {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(is, _)| is == name).map(|(_, value)| value.as_str())
    }

    /// All text for the model, from the system prompt to the last message.
    pub fn prompt(&self) -> String {
        let turns = self.body["messages"].as_array().into_iter().flatten().map(|turn| &turn["content"]);
        let all = std::iter::once(&self.body["system"]).chain(turns);
        all.filter_map(Value::as_str).collect::<Vec<_>>().join("\n")
    }
}

type Responder = Box<dyn Fn(&Request) -> ModelResponse + Send>;

struct State {
    script: VecDeque<ModelResponse>,
    respond: Responder,
    requests: Vec<Request>,
}

/// A fake language model.
pub struct FakeModel {
    state: Arc<Mutex<State>>,
    url: String,
    server: JoinHandle<()>,
}

impl FakeModel {
    /// Starts it; by default `respond` makes every response.
    pub async fn start(respond: impl Fn(&Request) -> ModelResponse + Send + 'static) -> Self {
        let state = State { script: VecDeque::new(), respond: Box::new(respond), requests: vec![] };
        let state = Arc::new(Mutex::new(state));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let taken = Arc::clone(&state);
        let server = tokio::spawn(async move {
            // Dropping the set also ends the connections that it serves.
            let mut clients = tokio::task::JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                clients.spawn(serve(client, Arc::clone(&taken)));
                while clients.try_join_next().is_some() {}
            }
        });
        Self { state, url, server }
    }

    /// Starts it with the same response to every request.
    pub async fn always(reply: ModelResponse) -> Self {
        Self::start(move |_| reply.clone()).await
    }

    /// Responds to the next requests with `script`, and then by default.
    pub fn enqueue(&self, script: impl IntoIterator<Item = ModelResponse>) {
        self.state.lock().unwrap().script.extend(script);
    }

    /// The base URL of its OpenAI API.
    pub fn openai(&self) -> String {
        format!("{}/v1", self.url)
    }

    /// The base URL of its Anthropic API.
    pub fn anthropic(&self) -> String {
        self.url.clone()
    }

    /// The API key that it accepts, which must appear nowhere.
    pub fn key(&self) -> &'static str {
        KEY
    }

    /// The requests received so far.
    pub fn requests(&self) -> Vec<Request> {
        self.state.lock().unwrap().requests.clone()
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

/// Serves a connection until the client closes it.
async fn serve(mut client: TcpStream, state: Arc<Mutex<State>>) {
    while let Some(request) = read(&mut client).await {
        let reply = {
            let mut state = state.lock().unwrap();
            state.requests.push(request.clone());
            let scripted = state.script.pop_front();
            scripted.unwrap_or_else(|| refusal(&request).unwrap_or_else(|| (state.respond)(&request)))
        };
        if answer(&mut client, &request.path, reply).await.is_err() {
            return;
        }
    }
}

/// The error with which the real APIs would refuse a request.
fn refusal(request: &Request) -> Option<ModelResponse> {
    let key = match request.path.as_str() {
        "/v1/chat/completions" => request.header("authorization")?.strip_prefix("Bearer "),
        "/v1/messages" => request.header("x-api-key"),
        _ => return Some(ModelResponse::error(404, "not_found_error")),
    };
    // A request without a key is accepted: self-hosted servers need none.
    if key.is_some_and(|key| !key.is_empty() && key != KEY) {
        return Some(ModelResponse::error(401, "invalid_api_key"));
    }
    let is_complete = request.body["model"].is_string()
        && request.body["messages"].as_array().is_some_and(|turns| !turns.is_empty())
        && (request.path != "/v1/messages" || request.body["max_tokens"].is_u64());
    (!is_complete).then(|| ModelResponse::error(400, "invalid_request_error"))
}

async fn read(client: &mut TcpStream) -> Option<Request> {
    let mut bytes = vec![];
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|at| at == b"\r\n\r\n") {
            break end;
        }
        if client.read_buf(&mut bytes).await.ok()? == 0 {
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
        if client.read_buf(&mut body).await.ok()? == 0 {
            return None;
        }
    }
    Some(Request { path, headers, body: serde_json::from_slice(&body).ok()? })
}

async fn answer(client: &mut TcpStream, path: &str, reply: ModelResponse) -> std::io::Result<()> {
    let is_claude = path == "/v1/messages";
    match reply {
        ModelResponse::Text(text, input, output) => {
            let usage = if is_claude {
                json!({ "input_tokens": input, "output_tokens": output })
            } else {
                json!({ "prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output })
            };
            send(client, 200, &[], &completion(is_claude, &text, Some(usage), false)).await
        }
        ModelResponse::TextWithoutUsage(text) => {
            send(client, 200, &[], &completion(is_claude, &text, None, false)).await
        }
        ModelResponse::Truncated(text) => send(client, 200, &[], &completion(is_claude, &text, None, true)).await,
        ModelResponse::Status(status, headers, body) => send(client, status, &headers, &body).await,
        ModelResponse::Body(body) => send(client, 200, &[], &body).await,
        ModelResponse::NoResponse => std::future::pending().await,
        ModelResponse::EndlessBody => {
            client.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await?;
            loop {
                client.write_all(b"8\r\n        \r\n").await?;
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
        ModelResponse::OversizedBody(bytes) => send(client, 200, &[], &" ".repeat(bytes)).await,
        ModelResponse::IncompleteBody => {
            client.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{\"choices\":").await?;
            client.shutdown().await
        }
        ModelResponse::NotHttp => {
            client.write_all(b"220 smtp.example ESMTP\r\n").await?;
            client.shutdown().await
        }
    }
}

/// A response body in the API's form. For Anthropic, JSON becomes the input of a tool call.
fn completion(is_claude: bool, text: &str, usage: Option<Value>, is_cut: bool) -> String {
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

async fn send(client: &mut TcpStream, status: u16, headers: &[(String, String)], body: &str) -> std::io::Result<()> {
    let mut head =
        format!("HTTP/1.1 {status} Scripted\r\ncontent-type: application/json\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    client.write_all(head.as_bytes()).await?;
    client.write_all(body.as_bytes()).await
}
