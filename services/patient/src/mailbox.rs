//! A mailbox on this machine that takes webhook messages, so that the demo can show an alert's whole way where nobody has
//! given it a channel.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Context;
use axum::{Json, Router, extract::State, routing::post};
use serde_json::Value;

/// A webhook receiver on a free port of the loopback interface; gone when dropped.
#[derive(Debug)]
pub struct Mailbox {
    address: SocketAddr,
    letters: Arc<Mutex<Vec<Value>>>,
    server: tokio::task::JoinHandle<()>,
}

impl Mailbox {
    /// Opens it.
    ///
    /// # Errors
    /// When no port of the loopback interface can be had.
    pub async fn open() -> anyhow::Result<Self> {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.context("could not open the mailbox on the loopback interface")?;
        let address = listener.local_addr().context("could not read the mailbox's address")?;
        let letters = Arc::<Mutex<Vec<Value>>>::default();
        let router = Router::new().route("/", post(receive)).with_state(letters.clone());
        let server = tokio::spawn(async move {
            // An accept that fails is tried again by axum; the task ends with the mailbox.
            drop(axum::serve(listener, router).await);
        });
        Ok(Self { address, letters, server })
    }

    /// Where messages are to be posted.
    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// What has been received, in the order of arrival.
    pub fn letters(&self) -> Vec<Value> {
        self.letters.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Mailbox {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn receive(State(letters): State<Arc<Mutex<Vec<Value>>>>, Json(letter): Json<Value>) -> &'static str {
    letters.lock().unwrap_or_else(PoisonError::into_inner).push(letter);
    "ok"
}
