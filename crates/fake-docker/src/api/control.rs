//! Control paths that no real engine has: API faults, and failures of containers.
//!
//! | request | effect |
//! |---|---|
//! | `GET /simulated/requests` | returns the number of requests by kind |
//! | `GET /simulated/faults` | lists the API faults |
//! | `POST /simulated/faults` | adds an API fault |
//! | `DELETE /simulated/faults` | removes all API faults |
//! | `DELETE /simulated/streams` | cuts all event streams and returns their number |
//! | `POST /simulated/containers/{key}/illness` | injects a failure |
//! | `DELETE /simulated/containers/{key}/illness` | ends its failures |

use bytes::Bytes;
use hyper::{Method, StatusCode};
use serde_json::json;

use super::{
    create::read,
    reply::{ApiError, Reply, empty, ok},
};
use crate::{failure::Failure, fault::ApiFault, server::shared::Shared};

pub(super) fn handle(shared: &Shared, method: &Method, path: &[&str], body: &Bytes) -> Result<Reply, ApiError> {
    match (method, path) {
        (&Method::GET, ["requests"]) => Ok(ok(&shared.requests())),
        (&Method::GET, ["faults"]) => Ok(ok(&shared.faults())),
        (&Method::POST, ["faults"]) => {
            shared.add_fault(read::<ApiFault>(body)?);
            Ok(empty(StatusCode::CREATED))
        }
        (&Method::DELETE, ["faults"]) => {
            shared.clear_faults();
            Ok(empty(StatusCode::NO_CONTENT))
        }
        (&Method::DELETE, ["streams"]) => Ok(ok(&json!({"cut": shared.cut_streams()}))),
        (&Method::POST, ["containers", key, "illness"]) => {
            let failure: Failure = read(body)?;
            shared.change(|engine, now| engine.inject(key, failure, now))?;
            Ok(empty(StatusCode::NO_CONTENT))
        }
        (&Method::DELETE, ["containers", key, "illness"]) => {
            shared.change(|engine, now| engine.clear_failures(key, now))?;
            Ok(empty(StatusCode::NO_CONTENT))
        }
        _ => Err(ApiError::no_page()),
    }
}
