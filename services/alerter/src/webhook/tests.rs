//! Posts over real HTTP, to a fake webhook.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{Router, http::HeaderMap, response::IntoResponse, routing::post};
use hemostat_schema::observation::Severity;
use hemostat_settings::ChannelKind;

use super::*;

/// How the fake webhook answers.
#[derive(Debug, Clone, Copy)]
enum Answer {
    Status(u16, &'static str),
    RetryAfter(&'static str),
    Never,
}

type Bodies = Arc<Mutex<Vec<String>>>;

async fn fake(answer: Answer) -> (SocketAddr, Bodies) {
    let bodies = Bodies::default();
    let received = Arc::clone(&bodies);
    let handler = move |body: String| async move {
        received.lock().unwrap().push(body);
        let mut headers = HeaderMap::new();
        headers.insert("location", "/elsewhere".parse().unwrap());
        match answer {
            Answer::Status(status, body) => (StatusCode::from_u16(status).unwrap(), headers, body).into_response(),
            Answer::RetryAfter(seconds) => {
                headers.insert("retry-after", seconds.parse().unwrap());
                (StatusCode::TOO_MANY_REQUESTS, headers, "").into_response()
            }
            Answer::Never => std::future::pending().await,
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().route("/services/SECRET", post(handler));
    tokio::spawn(axum::serve(listener, router).into_future());
    (address, bodies)
}

fn webhook(url: Secret, timeout: Duration) -> anyhow::Result<Webhook> {
    let (name, kind, severity) = ("ops".to_owned(), ChannelKind::Slack, Severity::Low);
    Webhook::new(&Configured { name, kind, url, severity }, timeout)
}

fn at(address: SocketAddr, timeout: Duration) -> Webhook {
    webhook(format!("http://{address}/services/SECRET").into(), timeout).unwrap()
}

const LONG: Duration = Duration::from_secs(30);
const SHORT: Duration = Duration::from_millis(300);

async fn post_to(answer: Answer) -> Result<Receipt, SendError> {
    let (address, bodies) = fake(answer).await;
    let timeout = if matches!(answer, Answer::Never) { SHORT } else { LONG };
    let posted = at(address, timeout).post(|request| request.body("hello")).await;
    assert_eq!(*bodies.lock().unwrap(), ["hello"]);
    assert!(!format!("{posted:?}").contains("SECRET"), "the URL leaks: {posted:?}");
    posted
}

#[tokio::test]
async fn an_answer_says_whether_a_retry_may_help() {
    let transient = |error: &str, seconds: Option<u64>| {
        Err(SendError::Transient { error: error.to_owned(), retry_after: seconds.map(Duration::from_secs) })
    };
    let permanent = |error: &str| Err(SendError::Permanent(error.to_owned()));
    for (answer, result) in [
        (Answer::Status(200, "ok"), Ok(Receipt)),
        (Answer::Status(500, "oops"), transient("it answered 500 Internal Server Error (oops)", None)),
        (Answer::Status(503, ""), transient("it answered 503 Service Unavailable", None)),
        (Answer::Status(408, ""), transient("it answered 408 Request Timeout", None)),
        (Answer::RetryAfter("7"), transient("it answered 429 Too Many Requests", Some(7))),
        (Answer::RetryAfter("soon"), transient("it answered 429 Too Many Requests", None)),
        (Answer::Never, transient("it did not answer within 300 ms", None)),
        (Answer::Status(404, "no_service"), permanent("it answered 404 Not Found (no_service)")),
        (Answer::Status(400, "invalid_blocks"), permanent("it answered 400 Bad Request (invalid_blocks)")),
        (Answer::Status(403, "Cannot POST /services/SECRET"), permanent("it answered 403 Forbidden")),
        (
            Answer::Status(302, ""),
            permanent(
                "it answered 302 Found, a redirect, which HemoStat does not follow: the URL is not that of a webhook",
            ),
        ),
    ] {
        assert_eq!(post_to(answer).await, result, "{answer:?}");
    }
}

#[tokio::test]
async fn a_refused_connection_is_a_transient_failure() {
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let Err(SendError::Transient { error, .. }) = at(free, LONG).post(|request| request).await else {
        panic!("a retry may help")
    };
    assert!(error.starts_with("it could not be reached: Connection refused"), "{error}");
}

#[tokio::test]
async fn a_request_that_cannot_be_made_is_not_retried() {
    let (address, _) = fake(Answer::Status(200, "ok")).await;
    let posted = at(address, LONG).post(|request| request.header("Title", "two\nlines")).await;
    assert_eq!(posted, Err(SendError::Permanent("the request cannot be made".to_owned())));
}

#[test]
fn an_invalid_url_is_refused_and_not_repeated() {
    for url in ["", "SECRET", "ftp://SECRET/", "https//SECRET"] {
        let error = webhook(url.into(), SHORT).unwrap_err().to_string();
        assert!(error.contains("the alert channel ops") && !error.contains("SECRET"), "{error}");
    }
}

#[tokio::test]
async fn only_the_beginning_of_an_endless_body_is_read() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.read(&mut [0; 16_384]).await;
        let _ = stream.write_all(b"HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n").await;
        while stream.write_all(&[b'a'; 4096]).await.is_ok() {}
    });
    let webhook = at(address, Duration::from_secs(60));
    let posting = webhook.post(|request| request);
    let posted = tokio::time::timeout(Duration::from_secs(20), posting).await.expect("it stops reading");
    assert_eq!(posted, Err(SendError::Permanent("it answered 404 Not Found".to_owned())));
}

#[tokio::test]
async fn a_rotated_url_is_used_without_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("webhook");
    let (old, old_bodies) = fake(Answer::Status(200, "ok")).await;
    let (new, new_bodies) = fake(Answer::Status(200, "ok")).await;
    let rotate_to = |address: SocketAddr| std::fs::write(&file, format!("http://{address}/services/SECRET\n")).unwrap();
    rotate_to(old);
    let webhook = webhook(Secret::from_file(file.clone()).unwrap(), LONG).unwrap();
    for address in [old, new] {
        rotate_to(address);
        assert_eq!(webhook.post(|request| request).await, Ok(Receipt));
    }
    assert_eq!((old_bodies.lock().unwrap().len(), new_bodies.lock().unwrap().len()), (1, 1));
}
