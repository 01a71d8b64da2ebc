//! The page: HTML, CSS and JavaScript as they are written beside this file, nothing built.
//!
//! What users write never goes through here. It reaches the page as JSON and is put into it as
//! text (`textContent`), so there is nothing to escape; the `Content-Security-Policy` would keep a
//! script from running even if that were wrong.

use std::fmt::Write;

use axum::Router;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS,
};
use axum::response::{Html, IntoResponse};
use axum::routing::get;

use crate::instance::Instance;
use crate::room::Room;
use crate::server::{Peer, Service};

/// Everything comes from this server; nothing is written into the page as script or style.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
                      connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// The files that the page loads.
pub(crate) fn assets() -> Router<Service> {
    Router::new()
        .route("/page.css", get(|| asset("text/css", include_str!("page.css"))))
        .route("/page.js", get(|| asset("text/javascript", include_str!("page.js"))))
        .route("/icon.svg", get(|| asset("image/svg+xml", include_str!("icon.svg"))))
}

async fn asset(content_type: &'static str, text: &'static str) -> impl IntoResponse {
    (
        [
            (CONTENT_TYPE, content_type),
            (CACHE_CONTROL, "no-cache"),
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        ],
        text,
    )
}

/// Cuts the instance off and heals it. Only where it can be: an engine's outages are real ones.
const BUTTONS: &str = r#"<div class="bus" role="group" aria-label="The bus between the instances">
        <button id="partition" type="button" disabled>Cut {{instance}} off</button>
        <button id="heal" type="button" disabled>Heal</button>
      </div>"#;

/// The page of a room on one of the instances.
pub(crate) fn render(
    room: &Room,
    instance: &Instance,
    peers: &[Peer],
) -> impl IntoResponse + use<> {
    let buttons = if instance.can_be_cut_off() { BUTTONS } else { "" };
    let instance = instance.name();
    // None of these can hold anything that means something in HTML: see `Room::new`, and the
    // option `--name`.
    let html = include_str!("page.html")
        .replace("{{buttons}}", buttons)
        .replace("{{room}}", room.topic())
        .replace("{{instance}}", instance)
        .replace("{{instances}}", &links(room, instance, peers));
    ([(CONTENT_SECURITY_POLICY, POLICY), (CACHE_CONTROL, "no-store")], Html(html))
}

/// The same room on every instance.
fn links(room: &Room, instance: &str, peers: &[Peer]) -> String {
    let mut links = String::new();
    for (number, Peer { name, url }) in peers.iter().enumerate() {
        let (marks, arrow) = if name == instance {
            ("aria-current=\"page\"", "")
        } else {
            (
                "target=\"_blank\" rel=\"noopener\"",
                "<span aria-hidden=\"true\"> ↗</span><span class=\"unseen\"> (opens a new tab)</span>",
            )
        };
        // Writing to a String does not fail.
        let _ = write!(
            links,
            "<a class=\"instance\" data-name=\"{name}\" data-hue=\"{number}\" \
             href=\"{url}/rooms/{room}\" {marks}>{name}{arrow}</a>"
        );
    }
    links
}
