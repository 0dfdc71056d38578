//! A fake Slack over real HTTP: it answers by script and keeps what it was sent, if Slack would have taken it.

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

use crate::until;

/// The secret part of the address; it must turn up nowhere.
const SECRET: &str = "/services/T000/B000/secret-of-the-test-bed";

/// How a message is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// With this status and an empty body.
    Status(u16),
    /// Never.
    Silence,
}

#[derive(Debug, Default)]
struct Desk {
    script: VecDeque<Answer>,
    asked: usize,
    taken: Vec<Value>,
    complaints: Vec<String>,
}

/// A fake Slack with one incoming webhook.
#[derive(Debug)]
pub struct FakeSlack {
    desk: Arc<Mutex<Desk>>,
    url: String,
    server: JoinHandle<std::io::Result<()>>,
}

impl FakeSlack {
    /// Starts it; it takes everything that is well-formed.
    pub async fn start() -> Self {
        let desk = Arc::<Mutex<Desk>>::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}{SECRET}", listener.local_addr().unwrap());
        let router = Router::new().route(SECRET, post(receive)).with_state(Arc::clone(&desk));
        Self { desk, url, server: tokio::spawn(axum::serve(listener, router).into_future()) }
    }

    /// Answers the next messages so, and then as before.
    pub fn will_answer(&self, script: impl IntoIterator<Item = Answer>) {
        self.desk.lock().unwrap().script.extend(script);
    }

    /// The webhook's address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What must turn up nowhere.
    pub fn secret(&self) -> &'static str {
        SECRET
    }

    /// How often it was sent something.
    pub fn asked(&self) -> usize {
        self.desk.lock().unwrap().asked
    }

    /// What it has taken.
    ///
    /// # Panics
    /// When it was sent something that Slack would have refused.
    pub fn taken(&self) -> Vec<Value> {
        let desk = self.desk.lock().unwrap();
        assert_eq!(desk.complaints, Vec::<String>::new(), "Slack would have refused a message");
        desk.taken.clone()
    }

    /// The headlines of what it has taken.
    pub fn titles(&self) -> Vec<String> {
        self.taken().iter().map(|message| message["text"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// Waits until it has taken so many messages.
    pub async fn until_taken(&self, count: usize, within: Duration) -> Vec<Value> {
        until(within, &format!("{count} messages in Slack"), async || {
            let taken = self.taken();
            ensure!(taken.len() >= count, "so far: {:?}", self.titles());
            Ok(taken)
        })
        .await
    }
}

impl Drop for FakeSlack {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn receive(State(desk): State<Arc<Mutex<Desk>>>, Json(message): Json<Value>) -> Response {
    let answer = {
        let mut desk = desk.lock().unwrap();
        desk.asked += 1;
        match (desk.script.pop_front(), complaint(&message)) {
            (Some(answer), _) => answer,
            (None, Some(complaint)) => {
                desk.complaints.push(complaint);
                Answer::Status(400)
            }
            (None, None) => {
                desk.taken.push(message);
                return "ok".into_response();
            }
        }
    };
    match answer {
        Answer::Status(status) => StatusCode::from_u16(status).unwrap().into_response(),
        Answer::Silence => std::future::pending().await,
    }
}

/// Why Slack would refuse a message; its limits for Block Kit.
fn complaint(message: &Value) -> Option<String> {
    let blocks = |of: &Value| of["blocks"].as_array().cloned().unwrap_or_default();
    let attachments = message["attachments"].as_array().cloned().unwrap_or_default();
    let all: Vec<Value> = blocks(message).into_iter().chain(attachments.iter().flat_map(blocks)).collect();
    if all.is_empty() || all.len() > 50 {
        return Some(format!("{} blocks: there must be 1 to 50", all.len()));
    }
    let length = |text: &Value| text["text"].as_str().map_or(0, |text| text.chars().count());
    let misfit = |text: &Value, kind: Option<&str>, most: usize| {
        let right_kind =
            kind.map_or(text["type"] == "mrkdwn" || text["type"] == "plain_text", |kind| text["type"] == kind);
        (!right_kind || !(1..=most).contains(&length(text))).then(|| format!("1 to {most} characters, not {text}"))
    };
    let many = |texts: &Value, most: usize| {
        let texts = texts.as_array().cloned().unwrap_or_default();
        let count = (!(1..=10).contains(&texts.len())).then(|| format!("1 to 10 texts, not {}", texts.len()));
        count.or_else(|| texts.iter().find_map(|text| misfit(text, None, most)))
    };
    all.iter().find_map(|block| match block["type"].as_str() {
        Some("header") => misfit(&block["text"], Some("plain_text"), 150),
        Some("section") if block["fields"].is_null() => misfit(&block["text"], None, 3000),
        Some("section") => many(&block["fields"], 2000),
        Some("context") => many(&block["elements"], 2000),
        Some("divider") => None,
        _ => Some(format!("no block is of this type: {block}")),
    })
}
