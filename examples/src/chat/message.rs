//! What may be posted, and what travels in an envelope.

use axum::body::Bytes;
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};

use crate::refusal::Refusal;

/// The most bytes that the body of a post has.
///
/// Room for the longest text in its longest spelling: JSON may write a character in 12 bytes.
pub(crate) const LONGEST_BODY: usize = 64 * 1024;

/// The most characters that a text has.
const LONGEST_TEXT: usize = 2_000;

/// The most characters that a name has.
const LONGEST_NAME: usize = 32;

/// What somebody is called who gives no name.
const NAMELESS: &str = "anonymous";

/// One chat message: the payload of an envelope, and the `data` of a `message` event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Message {
    /// Unique, so that a page can find again what it has sent.
    pub(crate) id: String,
    /// Who wrote it, as they say themselves.
    pub(crate) name: String,
    pub(crate) text: String,
    /// The instance that it was posted to.
    pub(crate) instance: String,
    /// When it was posted, in milliseconds since 1970, by the clock of that instance.
    pub(crate) time: u64,
}

/// What somebody posted, found valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Draft {
    pub(crate) name: String,
    pub(crate) text: String,
}

/// The JSON form of a post.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonDraft {
    name: Option<String>,
    text: String,
}

impl Draft {
    /// Reads a post: JSON where its content type says so, and otherwise plain text, whatever the
    /// content type, since `curl -d` calls everything a form.
    pub(crate) fn read(
        headers: &HeaderMap,
        name_in_query: Option<String>,
        body: &Bytes,
    ) -> Result<Self, Refusal> {
        if headers.contains_key(CONTENT_ENCODING) {
            return Err(unsupported("the body is encoded"));
        }
        match ContentType::of(headers) {
            ContentType::Json => {
                let draft: JsonDraft = serde_json::from_slice(body).map_err(|error| {
                    Refusal::bad_request(format!(
                        "not the JSON {{\"name\":\"…\",\"text\":\"…\"}}: {error}"
                    ))
                })?;
                Self::check(draft.name.or(name_in_query), &draft.text)
            }
            ContentType::Text => {
                let text = std::str::from_utf8(body).map_err(|error| {
                    Refusal::bad_request(format!("the text is not UTF-8: {error}"))
                })?;
                Self::check(name_in_query, text)
            }
            ContentType::Multipart => Err(unsupported("the body is a multipart form")),
        }
    }

    fn check(name: Option<String>, text: &str) -> Result<Self, Refusal> {
        let name = name.as_deref().unwrap_or(NAMELESS).trim();
        let characters = name.chars().count();
        if characters == 0 || characters > LONGEST_NAME || name.chars().any(char::is_control) {
            return Err(Refusal::bad_request(format!(
                "not a name: it has 1 to {LONGEST_NAME} characters, on one line"
            )));
        }

        let text = text.trim();
        if text.is_empty() {
            return Err(Refusal::bad_request("the text is empty"));
        }
        let characters = text.chars().count();
        if characters > LONGEST_TEXT {
            return Err(Refusal::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                format!("the text has {characters} characters: at most {LONGEST_TEXT} are allowed"),
            ));
        }
        Ok(Self { name: name.to_owned(), text: text.to_owned() })
    }
}

fn unsupported(what: &str) -> Refusal {
    Refusal::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        format!("{what}: send JSON as application/json, or the text as it is"),
    )
}

enum ContentType {
    Json,
    Text,
    Multipart,
}

impl ContentType {
    fn of(headers: &HeaderMap) -> Self {
        let value = headers.get(CONTENT_TYPE).map_or(&b""[..], |value| value.as_bytes());
        let essence = value.split(|&byte| byte == b';').next().unwrap_or_default();
        let essence = essence.trim_ascii().to_ascii_lowercase();
        match &essence[..] {
            b"application/json" => Self::Json,
            multipart if multipart.starts_with(b"multipart/") => Self::Multipart,
            _ => Self::Text,
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn read(
        content_type: Option<&'static str>,
        name: Option<&str>,
        body: impl Into<Bytes>,
    ) -> Result<(String, String), (u16, String)> {
        let mut headers = HeaderMap::new();
        if let Some(content_type) = content_type {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        }
        Draft::read(&headers, name.map(str::to_owned), &body.into())
            .map(|draft| (draft.name, draft.text))
            .map_err(|refusal| (refusal.status().as_u16(), refusal.text().to_owned()))
    }

    fn ok(name: &str, text: &str) -> Result<(String, String), (u16, String)> {
        Ok((name.into(), text.into()))
    }

    const JSON: Option<&str> = Some("application/json");
    const FORM: Option<&str> = Some("application/x-www-form-urlencoded");

    #[test]
    fn json_has_a_name_and_a_text() {
        assert_eq!(read(JSON, None, r#"{"name":"Ada","text":" hi\n "}"#), ok("Ada", "hi"));
        assert_eq!(
            read(Some("Application/JSON; charset=utf-8"), None, r#"{"text":"hi"}"#),
            ok("anonymous", "hi")
        );
        assert_eq!(read(JSON, Some("Bo"), r#"{"text":"hi"}"#), ok("Bo", "hi"));
        assert_eq!(read(JSON, Some("Bo"), r#"{"name":"Ada","text":"hi"}"#), ok("Ada", "hi"));
    }

    #[test]
    fn any_other_body_is_the_text_as_it_is() {
        assert_eq!(read(FORM, None, "a=b&c+d%20"), ok("anonymous", "a=b&c+d%20"));
        assert_eq!(read(None, Some(" Ada "), "<b>☕</b>"), ok("Ada", "<b>☕</b>"));
        assert_eq!(
            read(Some("text/plain"), None, r#"{"text":"hi"}"#),
            ok("anonymous", r#"{"text":"hi"}"#)
        );
    }

    #[test]
    fn json_of_another_shape_is_refused_with_the_shape() {
        for body in [
            "",
            "hi",
            "[]",
            "{}",
            r#"{"text":1}"#,
            r#"{"txt":"hi"}"#,
            r#"{"text":"hi","nmae":"Ada"}"#,
            r#"{"text":"\ud800"}"#,
        ] {
            let (status, text) = read(JSON, None, body).unwrap_err();
            assert_eq!(status, 400, "{body}");
            assert!(
                text.starts_with(r#"not the JSON {"name":"…","text":"…"}: "#),
                "{body}: {text}"
            );
        }
    }

    #[test]
    fn bytes_that_are_not_utf8_are_refused() {
        for content_type in [FORM, JSON] {
            let (status, text) = read(content_type, None, &b"{\"text\":\"\xff\"}"[..]).unwrap_err();
            assert_eq!(status, 400);
            assert!(text.contains("UTF-8") || text.contains("unicode"), "{text}");
        }
    }

    #[test]
    fn a_text_has_1_to_2000_characters_after_trimming() {
        for empty in ["", " ", "\r\n\t\u{3000}"] {
            assert_eq!(read(FORM, None, empty), Err((400, "the text is empty".into())));
        }
        let longest = "ä".repeat(2_000);
        assert_eq!(read(FORM, None, format!(" {longest}\n")), ok("anonymous", &longest));
        let (status, text) = read(FORM, None, format!("{longest}!")).unwrap_err();
        assert_eq!(status, 413);
        assert_eq!(text, "the text has 2001 characters: at most 2000 are allowed");
    }

    #[test]
    fn the_longest_text_fits_into_a_body_in_any_spelling() {
        let body = format!(
            r#"{{"name":"{}","text":"{}"}}"#,
            r"\ud83c\udf89".repeat(32),
            r"\ud83c\udf89".repeat(2_000)
        );
        assert!(body.len() < LONGEST_BODY, "{}", body.len());
        assert_eq!(read(JSON, None, body), ok(&"🎉".repeat(32), &"🎉".repeat(2_000)));
    }

    #[test]
    fn a_name_has_1_to_32_characters_on_one_line() {
        let longest = "ä".repeat(32);
        assert_eq!(read(FORM, Some(&longest), "hi"), ok(&longest, "hi"));
        for name in ["", "  ", "a\nb", "\u{7}", &"a".repeat(33)] {
            let (status, text) = read(FORM, Some(name), "hi").unwrap_err();
            assert_eq!(status, 400, "{name:?}");
            assert!(text.contains("1 to 32 characters"), "{text}");
        }
    }

    #[test]
    fn forms_in_parts_and_encoded_bodies_are_not_understood() {
        let (status, text) =
            read(Some("multipart/form-data; boundary=x"), None, "--x").unwrap_err();
        assert_eq!(status, 415);
        assert!(text.contains("application/json"), "{text}");

        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        let refusal = Draft::read(&headers, None, &Bytes::from_static(b"hi")).unwrap_err();
        assert_eq!(refusal.status().as_u16(), 415);
    }
}
