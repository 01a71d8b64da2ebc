//! A client of the chat: posts messages and reads event streams.

use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::{Value, json};

use super::within;

/// Posts a message as the page does, and gives status and answer.
pub(crate) async fn say(client: &Client, url: &str, name: &str, text: &str) -> (u16, Value) {
    answer(client.post(url).json(&json!({ "name": name, "text": text }))).await
}

/// Posts so many long messages that a reader who reads nothing must lag, and gives their number.
///
/// A connection holds some megabytes on its way before anything waits in the service.
pub(crate) async fn flood(client: &Client, url: &str) -> u64 {
    const MESSAGES: u64 = 2_000;
    let text = "🎉".repeat(2_000);
    for _ in 0..MESSAGES {
        let (status, answer) = say(client, url, "Bo", &text).await;
        assert_eq!(status, 200, "{answer}");
    }
    MESSAGES
}

/// Presses a button: a POST without a body.
pub(crate) async fn press(client: &Client, url: &str) -> (u16, Value) {
    answer(client.request(Method::POST, url)).await
}

/// Sends a request whose answer is JSON.
pub(crate) async fn answer(request: RequestBuilder) -> (u16, Value) {
    let response = within("an answer", request.send()).await.expect("an answer");
    let status = response.status().as_u16();
    (status, within("the answer's JSON", response.json()).await.expect("JSON"))
}

/// An open event stream.
#[derive(Debug)]
pub(crate) struct Events {
    response: Response,
    buffer: Vec<u8>,
}

impl Events {
    /// Opens the stream; what is posted after this has returned will arrive.
    pub(crate) async fn open(client: &Client, url: &str) -> Self {
        let response = within("an event stream", client.get(url).send()).await.expect("an answer");
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { response, buffer: Vec::new() }
    }

    /// The next event, whatever it is: its name and its data. `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<(String, Value)> {
        // Around it all: the signs of life of a silent stream are no events.
        within("an event", async {
            loop {
                while let Some(end) = self.buffer.windows(2).position(|two| two == b"\n\n") {
                    let block: Vec<u8> = self.buffer.drain(..end + 2).collect();
                    let block = String::from_utf8(block).expect("events are UTF-8");
                    let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name));
                    if let (Some(name), Some(data)) = (field("event: "), field("data: ")) {
                        let data = serde_json::from_str(data).expect("JSON");
                        return Some((name.to_owned(), data));
                    }
                }
                let chunk = self.response.chunk().await;
                self.buffer.extend_from_slice(&chunk.expect("the stream is not cut off")?);
            }
        })
        .await
    }

    /// The next event that is not a status.
    pub(crate) async fn next_in_room(&mut self) -> (String, Value) {
        loop {
            let event = self.next().await.expect("the stream goes on");
            if event.0 != "status" {
                return event;
            }
        }
    }

    /// The next message: who, what, and from which instance.
    pub(crate) async fn next_message(&mut self) -> (String, String, String) {
        let (kind, data) = self.next_in_room().await;
        assert_eq!(kind, "message", "{data}");
        let field = |name: &str| data[name].as_str().expect("a text").to_owned();
        (field("name"), field("text"), field("instance"))
    }

    /// The next message's text, or what stands in place of messages that were lost.
    pub(crate) async fn next_message_or_gap(&mut self) -> String {
        let (_, data) = self.next_in_room().await;
        data["text"].as_str().expect("a text").to_owned()
    }

    /// Waits for a status that says `field: value`.
    pub(crate) async fn status(&mut self, field: &str, value: impl Into<Value>) -> Value {
        let value = value.into();
        loop {
            let (kind, data) = self.next().await.expect("the stream goes on");
            if kind == "status" && data[field] == value {
                return data;
            }
        }
    }

    /// Waits until the instance is back on the bus: for the gap and the status that say so, which
    /// come in any order. Gives the gaps.
    pub(crate) async fn back_again(&mut self) -> Vec<Value> {
        let (mut told, mut gaps) = (false, Vec::new());
        while !told || gaps.is_empty() {
            match self.next().await.expect("the stream goes on") {
                (kind, data) if kind == "status" => told |= data["healthy"] == true,
                (kind, data) if kind == "gap" => gaps.push(data),
                (kind, data) => panic!("{kind}: {data}"),
            }
        }
        gaps
    }
}
