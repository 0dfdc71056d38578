//! A fake Slack over real HTTP: scripted responses, recorded messages, and Slack's own validation of Block Kit.
//!
//! Not wiremock: most of this is the validation, which wiremock would need as a responder of the same length.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::ensure;
use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::post,
};
use serde_json::Value;
use tokio::{net::TcpListener, task::JoinHandle};

use crate::wait_until;

/// The secret part of the address, which must appear nowhere.
const SECRET: &str = "/services/T000/B000/secret-of-the-test-bed";

/// How a message is responded to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlackResponse {
    /// With this status and an empty body.
    Status(u16),
    /// Not at all.
    NoResponse,
}

#[derive(Debug, Default)]
struct Inbox {
    script: VecDeque<SlackResponse>,
    requests: usize,
    messages: Vec<Value>,
    refusals: Vec<String>,
}

/// A fake Slack with one incoming webhook.
#[derive(Debug)]
pub struct FakeSlack {
    state: Arc<Mutex<Inbox>>,
    url: String,
    server: JoinHandle<std::io::Result<()>>,
}

impl FakeSlack {
    /// Starts it; by default it accepts every valid message.
    pub async fn start() -> Self {
        let state = Arc::<Mutex<Inbox>>::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}{SECRET}", listener.local_addr().unwrap());
        let router = Router::new().route(SECRET, post(receive)).with_state(Arc::clone(&state));
        Self { state, url, server: tokio::spawn(axum::serve(listener, router).into_future()) }
    }

    /// Responds to the next messages with `script`, and then by default.
    pub fn enqueue(&self, script: impl IntoIterator<Item = SlackResponse>) {
        self.state.lock().unwrap().script.extend(script);
    }

    /// Responds by default from now on.
    pub fn recover(&self) {
        self.state.lock().unwrap().script.clear();
    }

    /// The webhook's address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The secret part of the webhook's address.
    pub fn secret(&self) -> &'static str {
        SECRET
    }

    /// The number of requests.
    pub fn requests(&self) -> usize {
        self.state.lock().unwrap().requests
    }

    /// The accepted messages.
    ///
    /// # Panics
    /// When it received a message that Slack would refuse.
    pub fn messages(&self) -> Vec<Value> {
        let state = self.state.lock().unwrap();
        assert_eq!(state.refusals, Vec::<String>::new(), "Slack would have refused a message");
        state.messages.clone()
    }

    /// The titles of the accepted messages.
    pub fn titles(&self) -> Vec<String> {
        self.messages().iter().map(|message| message["text"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// Waits until it has accepted `count` messages.
    pub async fn wait_for_messages(&self, count: usize, within: Duration) -> Vec<Value> {
        wait_until(within, &format!("{count} messages in Slack"), async || {
            let messages = self.messages();
            ensure!(messages.len() >= count, "so far: {:?}", self.titles());
            Ok(messages)
        })
        .await
    }
}

impl Drop for FakeSlack {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn receive(State(state): State<Arc<Mutex<Inbox>>>, Json(message): Json<Value>) -> Response {
    let answer = {
        let mut state = state.lock().unwrap();
        state.requests += 1;
        match (state.script.pop_front(), refusal(&message)) {
            (Some(answer), _) => answer,
            (None, Some(refusal)) => {
                state.refusals.push(refusal);
                SlackResponse::Status(400)
            }
            (None, None) => {
                state.messages.push(message);
                return "ok".into_response();
            }
        }
    };
    match answer {
        SlackResponse::Status(status) => StatusCode::from_u16(status).unwrap().into_response(),
        SlackResponse::NoResponse => std::future::pending().await,
    }
}

/// Why Slack would refuse a message, by its limits for Block Kit.
fn refusal(message: &Value) -> Option<String> {
    let blocks = |of: &Value| of["blocks"].as_array().cloned().unwrap_or_default();
    let attachments = message["attachments"].as_array().cloned().unwrap_or_default();
    let all: Vec<Value> = blocks(message).into_iter().chain(attachments.iter().flat_map(blocks)).collect();
    if all.is_empty() || all.len() > 50 {
        return Some(format!("{} blocks: there must be 1 to 50", all.len()));
    }
    let length = |text: &Value| text["text"].as_str().map_or(0, |text| text.chars().count());
    let invalid = |text: &Value, kind: Option<&str>, most: usize| {
        let right_kind =
            kind.map_or(text["type"] == "mrkdwn" || text["type"] == "plain_text", |kind| text["type"] == kind);
        (!right_kind || !(1..=most).contains(&length(text))).then(|| format!("1 to {most} characters, not {text}"))
    };
    let many = |texts: &Value, most: usize| {
        let texts = texts.as_array().cloned().unwrap_or_default();
        let count = (!(1..=10).contains(&texts.len())).then(|| format!("1 to 10 texts, not {}", texts.len()));
        count.or_else(|| texts.iter().find_map(|text| invalid(text, None, most)))
    };
    all.iter().find_map(|block| match block["type"].as_str() {
        Some("header") => invalid(&block["text"], Some("plain_text"), 150),
        Some("section") if block["fields"].is_null() => invalid(&block["text"], None, 3000),
        Some("section") => many(&block["fields"], 2000),
        Some("context") => many(&block["elements"], 2000),
        Some("divider") => None,
        _ => Some(format!("no block is of this type: {block}")),
    })
}
