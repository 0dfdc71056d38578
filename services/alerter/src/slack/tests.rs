//! Deliveries over real HTTP, to a fake webhook with scripted answers.

use std::{
    collections::VecDeque,
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{Router, http::HeaderMap, response::IntoResponse, routing::post};
use hemostat_schema::{EventId, NewEvent, Partition, Timestamp, alert::Tested};

use super::*;

/// Scripted answers, in order; the last one repeats.
#[derive(Debug, Clone)]
enum Answer {
    Status(u16, &'static str),
    RetryAfter(&'static str),
    Never,
}

type Calls = Arc<Mutex<Vec<Instant>>>;

async fn fake(script: &[Answer]) -> (SocketAddr, Calls) {
    let calls = Calls::default();
    let script = Arc::new(Mutex::new(VecDeque::from(script.to_vec())));
    let count = Arc::clone(&calls);
    let handler = move || async move {
        count.lock().unwrap().push(Instant::now());
        let next = {
            let mut script = script.lock().unwrap();
            if script.len() > 1 { script.pop_front() } else { script.front().cloned() }
        };
        let mut headers = HeaderMap::new();
        headers.insert("location", "/elsewhere".parse().unwrap());
        match next.unwrap() {
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
    (address, calls)
}

fn slack(address: SocketAddr, retry_for: Duration) -> Slack {
    let ms = Duration::from_millis;
    let retry =
        RetryPolicy { timeout: ms(300), retry_for, min_delay: ms(10), max_delay: ms(1500), log_interval: ms(60_000) };
    Slack::new(format!("http://{address}/services/SECRET").into(), retry).unwrap()
}

fn message() -> Message {
    let event = NewEvent::new("h".parse().unwrap(), Timestamp::UNIX_EPOCH, Tested { by: "ann".to_owned() });
    Message::for_alert(&event.recorded(EventId::start(Partition(0)), &[])).unwrap()
}

async fn send(script: &[Answer], retry_for: Duration) -> (Delivery, Vec<Instant>) {
    let (address, calls) = fake(script).await;
    let delivery = slack(address, retry_for).send(&message(), || Ok::<_, Infallible>(())).await.unwrap();
    assert!(!format!("{delivery:?}").contains("SECRET"), "the URL leaks: {delivery:?}");
    let calls = calls.lock().unwrap().clone();
    assert_eq!(calls.len(), usize::try_from(delivery.attempts).unwrap());
    (delivery, calls)
}

const LONG: Duration = Duration::from_secs(30);
const SHORT: Duration = Duration::from_millis(500);

#[tokio::test]
async fn a_transient_failure_is_retried_until_it_succeeds() {
    for failure in [Answer::Status(500, "oops"), Answer::Status(503, ""), Answer::Status(408, ""), Answer::Never] {
        let (delivery, _) = send(&[failure.clone(), failure, Answer::Status(200, "ok")], LONG).await;
        assert_eq!((delivery.attempts, delivery.error), (3, None));
    }
}

#[tokio::test]
async fn a_permanent_failure_is_not_retried() {
    for (answer, error) in [
        (Answer::Status(404, "no_service"), "it answered 404 Not Found (no_service)"),
        (Answer::Status(400, "invalid_blocks"), "it answered 400 Bad Request (invalid_blocks)"),
        (Answer::Status(403, "Cannot POST /services/SECRET"), "it answered 403 Forbidden"),
        (
            Answer::Status(302, ""),
            "it answered 302 Found, a redirect, which HemoStat does not follow: the URL is not that of a webhook",
        ),
    ] {
        let (delivery, _) = send(&[answer], LONG).await;
        assert_eq!((delivery.attempts, delivery.error.as_deref()), (1, Some(error)));
    }
}

#[tokio::test]
async fn retry_after_is_respected_up_to_a_maximum() {
    for (asked, least) in [("1", Duration::from_secs(1)), ("86400", Duration::from_millis(1500))] {
        let (delivery, calls) = send(&[Answer::RetryAfter(asked), Answer::Status(200, "ok")], LONG).await;
        assert_eq!((delivery.attempts, delivery.error), (2, None), "{asked}");
        assert!(calls[1] - calls[0] >= least, "asked for {asked} s, waited {:?}", calls[1] - calls[0]);
    }
}

#[tokio::test]
async fn retries_end_after_the_configured_time() {
    let (delivery, _) = send(&[Answer::Status(500, "")], SHORT).await;
    assert!(delivery.attempts > 1);
    assert_eq!(delivery.error.as_deref(), Some("it answered 500 Internal Server Error"));
    let (delivery, _) = send(&[Answer::Never], SHORT).await;
    assert_eq!(delivery.error.as_deref(), Some("it did not answer within 300 ms"));
    let (delivery, _) = send(&[Answer::RetryAfter("600")], SHORT).await;
    assert_eq!((delivery.attempts, delivery.error.as_deref()), (1, Some("it answered 429 Too Many Requests")));
}

#[tokio::test]
async fn a_refused_connection_is_a_transient_failure() {
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let delivery = slack(free, SHORT).send(&message(), || Ok::<_, Infallible>(())).await.unwrap();
    assert!(delivery.attempts > 1);
    let error = delivery.error.unwrap();
    assert!(error.starts_with("it could not be reached: Connection refused"), "{error}");
}

#[tokio::test]
async fn the_execution_guard_is_checked_before_each_attempt() {
    let (address, calls) = fake(&[Answer::Status(500, "")]).await;
    let mut left = 2;
    let check = || {
        if left == 0 {
            Err("lease lost")
        } else {
            left -= 1;
            Ok(())
        }
    };
    assert_eq!(slack(address, LONG).send(&message(), check).await, Err("lease lost"));
    assert_eq!(calls.lock().unwrap().len(), 2);
}

#[test]
fn an_invalid_url_is_refused_and_not_repeated() {
    for url in ["", "SECRET", "ftp://SECRET/", "https//SECRET"] {
        let error = Slack::new(url.into(), RetryPolicy::new(SHORT, SHORT)).unwrap_err().to_string();
        assert!(error.contains("alerts.slack_webhook_url") && !error.contains("SECRET"), "{error}");
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
    let retry = RetryPolicy::new(Duration::from_secs(60), LONG);
    let slack = Slack::new(format!("http://{address}/services/SECRET").into(), retry).unwrap();
    let message = message();
    let sending = slack.send(&message, || Ok::<_, Infallible>(()));
    let delivery = tokio::time::timeout(Duration::from_secs(20), sending).await.expect("it stops reading").unwrap();
    assert_eq!(delivery.error.as_deref(), Some("it answered 404 Not Found"));
}

#[tokio::test]
async fn a_rotated_url_is_used_without_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("webhook");
    let (old, old_calls) = fake(&[Answer::Status(200, "ok")]).await;
    let (new, new_calls) = fake(&[Answer::Status(200, "ok")]).await;
    let rotate_to = |address: SocketAddr| std::fs::write(&file, format!("http://{address}/services/SECRET\n")).unwrap();
    rotate_to(old);
    let slack = Slack::new(Secret::from_file(file.clone()).unwrap(), RetryPolicy::new(LONG, LONG)).unwrap();
    for address in [old, new] {
        rotate_to(address);
        let delivery = slack.send(&message(), || Ok::<_, Infallible>(())).await.unwrap();
        assert_eq!((delivery.attempts, delivery.error), (1, None));
    }
    assert_eq!((old_calls.lock().unwrap().len(), new_calls.lock().unwrap().len()), (1, 1));
}
