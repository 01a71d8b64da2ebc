//! How a request is refused: a status, and a sentence that says what is wrong and what is allowed.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use backend_core::Error;
use serde_json::json;

/// The answer to a request that is not carried out, as JSON: `{"error":"…"}`.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    status: StatusCode,
    text: String,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, text: impl Into<String>) -> Self {
        Self { status, text: text.into() }
    }

    pub(crate) fn bad_request(text: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, text)
    }
}

#[cfg(test)]
impl Refusal {
    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }
}

/// What a backend's error means to a client of the service.
///
/// An outage is none: see [`Instance::post`](crate::instance::Instance::post).
impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let status = match &error {
            Error::Closed => {
                let text = "the service is shutting down";
                return Self::new(StatusCode::SERVICE_UNAVAILABLE, text);
            }
            Error::PayloadTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Error::Unsupported(_) => StatusCode::NOT_IMPLEMENTED,
            retryable if retryable.is_retryable() => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, error.to_string())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status, Json(json!({ "error": self.text }))).into_response()
    }
}
