//! The routes, and what each answers.
//!
//! | route | answer |
//! |---|---|
//! | `GET /` | on to `/rooms/lobby` |
//! | `GET /rooms/{room}` | the page |
//! | `GET /rooms/{room}/events` | server-sent events: `message`, `gap`, `status`, `bye` |
//! | `POST /rooms/{room}/messages` | 200 if everybody gets it, 202 if only this instance's readers do |
//! | `GET /health` | 200, or 503 while this instance is cut off |
//! | `GET /metrics` | the counters of this instance, for Prometheus |
//! | `POST /partition`, `POST /heal` | cuts this instance off the bus, and puts it back; 501 where the backend cannot |
//!
//! Whatever is refused is answered with a status of its own and a sentence, as JSON.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{KeepAlive, Sse};
use axum::response::{IntoResponse, Redirect};
use axum::routing::{get, post};
use axum::{Json, Router, body::Bytes, middleware};
use serde::Deserialize;

use crate::body;
use crate::events::RoomEvents;
use crate::instance::{Delivered, Instance};
use crate::message::Draft;
use crate::metrics::{self, Metrics};
use crate::page;
use crate::refusal::Refusal;
use crate::room::Room;

/// How often a silent event stream shows that it is alive, so that no proxy takes it for dead.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// What the handlers of one server know.
#[derive(Clone, Debug)]
pub struct Service {
    instance: Arc<Instance>,
    peers: Arc<[Peer]>,
    metrics: Metrics,
}

/// The name and address of an instance, for links between the pages.
#[derive(Clone, Debug)]
pub struct Peer {
    /// What the instance is called.
    pub name: String,
    /// Where it is, without a path: `http://127.0.0.1:3000`.
    pub url: String,
}

impl Service {
    /// The service of one instance; its pages link to all of `peers`.
    #[must_use]
    pub fn new(instance: Arc<Instance>, peers: Arc<[Peer]>) -> Self {
        let metrics = Metrics::of(Arc::clone(&instance));
        Self { instance, peers, metrics }
    }
}

/// The service as axum serves it.
pub fn router(service: Service) -> Router {
    Router::new()
        .route("/", get(|| async { Redirect::temporary("/rooms/lobby") }))
        .route("/rooms/{room}", get(room_page))
        .route("/rooms/{room}/events", get(room_events))
        .route("/rooms/{room}/messages", post(post_message))
        .route("/health", get(health))
        .route("/metrics", get(metrics))
        .route("/partition", post(partition))
        .route("/heal", post(heal))
        .merge(page::assets())
        .fallback(not_found)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn(body::take_in))
        .with_state(service)
}

async fn room_page(State(service): State<Service>, room: Room) -> impl IntoResponse {
    page::render(&room, &service.instance, &service.peers)
}

async fn room_events(
    State(service): State<Service>,
    room: Room,
) -> Result<impl IntoResponse, Refusal> {
    let events = RoomEvents::open(&service.instance, room).await?;
    Ok(Sse::new(events.into_sse()).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

#[derive(Deserialize)]
struct PostQuery {
    name: Option<String>,
}

async fn post_message(
    State(service): State<Service>,
    room: Room,
    query: Result<Query<PostQuery>, QueryRejection>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<impl IntoResponse, Refusal> {
    let Query(query) = query.map_err(|error| Refusal::bad_request(error.body_text()))?;
    let draft = Draft::read(&headers, query.name, &body)?;
    let receipt = service.instance.post(&room, draft).await?;
    let status = match receipt.delivered {
        Delivered::Everywhere => StatusCode::OK,
        Delivered::ThisInstanceOnly => StatusCode::ACCEPTED,
    };
    Ok((status, Json(receipt)))
}

async fn health(State(service): State<Service>) -> impl IntoResponse {
    // A load balancer then sends new readers to an instance that hears the others.
    let status = if service.instance.is_healthy() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(service.instance.report()))
}

async fn metrics(State(service): State<Service>) -> Result<impl IntoResponse, Refusal> {
    let text = service.metrics.text();
    let failed = |_| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "the metrics cannot be shown");
    Ok(([(CONTENT_TYPE, metrics::CONTENT_TYPE)], text.map_err(failed)?))
}

async fn partition(State(service): State<Service>) -> Result<impl IntoResponse, Refusal> {
    service.instance.partition()?;
    Ok(Json(service.instance.report()))
}

async fn heal(State(service): State<Service>) -> Result<impl IntoResponse, Refusal> {
    service.instance.heal()?;
    Ok(Json(service.instance.report()))
}

async fn not_found() -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, "nothing is here: try /rooms/lobby")
}

async fn wrong_method() -> Refusal {
    Refusal::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "not this method: GET a page or its events, POST to /rooms/{room}/messages, /partition or /heal",
    )
}
