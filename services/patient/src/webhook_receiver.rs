//! A local webhook receiver, so that the demo can show the delivery of alerts without a configured channel.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Context;
use axum::{Json, Router, extract::State, routing::post};
use serde_json::Value;

/// A webhook receiver on a free loopback port, stopped when dropped.
#[derive(Debug)]
pub struct WebhookReceiver {
    address: SocketAddr,
    messages: Arc<Mutex<Vec<Value>>>,
    server: tokio::task::JoinHandle<()>,
}

impl WebhookReceiver {
    /// Starts it.
    ///
    /// # Errors
    /// When it cannot listen.
    pub async fn open() -> anyhow::Result<Self> {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.context("could not listen for webhooks on the loopback interface")?;
        let address = listener.local_addr().context("could not read the webhook receiver's address")?;
        let messages = Arc::<Mutex<Vec<Value>>>::default();
        let router = Router::new().route("/", post(receive)).with_state(messages.clone());
        let server = tokio::spawn(async move {
            // axum retries a failed accept; the task ends when the receiver is dropped.
            drop(axum::serve(listener, router).await);
        });
        Ok(Self { address, messages, server })
    }

    /// The address to which messages are posted.
    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// The received messages, in order of arrival.
    pub fn messages(&self) -> Vec<Value> {
        self.messages.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for WebhookReceiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn receive(State(messages): State<Arc<Mutex<Vec<Value>>>>, Json(message): Json<Value>) -> &'static str {
    messages.lock().unwrap_or_else(PoisonError::into_inner).push(message);
    "ok"
}
