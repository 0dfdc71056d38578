//! What a simulation can be asked for that no engine can: to be faulty, and to make containers ill.
//!
//! | request | does |
//! |---|---|
//! | `GET /simulated/requests` | how many requests of each kind have come |
//! | `GET /simulated/faults` | lists what is wrong |
//! | `POST /simulated/faults` | adds a fault |
//! | `DELETE /simulated/faults` | mends everything |
//! | `DELETE /simulated/streams` | cuts every event stream; says how many |
//! | `POST /simulated/containers/{key}/failure` | makes it ill |
//! | `DELETE /simulated/containers/{key}/failure` | cures it |

use bytes::Bytes;
use hyper::{Method, StatusCode};
use serde_json::json;

use super::{ApiError, Reply, create::read, empty, ok};
use crate::{ApiFault, Failure, server::Shared};

pub(super) fn answer(shared: &Shared, method: &Method, path: &[&str], body: &Bytes) -> Result<Reply, ApiError> {
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
