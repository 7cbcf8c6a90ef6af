//! Server-sent events: messages with ids, heartbeats, and an end when the server stops.

use actix_web::HttpResponse;
use actix_web::http::header::CACHE_CONTROL;
use actix_web::web::Bytes;
use futures_util::stream::{self, Stream, StreamExt};
use serde::Serialize;
use std::convert::Infallible;
use std::time::Duration;
use tokio::sync::watch;

/// A silent stream says this often that it lives, so that proxies and clients keep it.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Sent first: the stream is open, and a broken one is to be opened again after this many ms.
const OPENING: &[u8] = b": open\nretry: 2000\n\n";

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    id: Option<String>,
    event: &'static str,
    data: String,
}

impl Message {
    /// A message of this type; `data` as JSON on one line.
    pub(super) fn new(event: &'static str, data: &impl Serialize) -> Self {
        // The wire types have no form that JSON lacks.
        let data = serde_json::to_string(data).unwrap_or_default();
        // Some readers take these for ends of lines; JSON has them in texts alone.
        let data = data.replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029");
        Self { id: None, event, data }
    }

    /// What a client sends back as `Last-Event-ID` to go on after this message.
    #[must_use]
    pub(super) fn id(mut self, id: impl ToString) -> Self {
        self.id = Some(id.to_string());
        self
    }

    fn frame(&self) -> Bytes {
        let id = self.id.as_ref().map(|id| format!("id: {id}\n")).unwrap_or_default();
        Bytes::from(format!("{id}event: {}\ndata: {}\n\n", self.event, self.data))
    }
}

/// Sends the messages until they end, the client goes, or the server stops.
pub(super) fn respond(
    messages: impl Stream<Item = Message> + 'static,
    stopping: watch::Receiver<bool>,
) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header(("X-Accel-Buffering", "no"))
        .streaming(frames(messages, stopping, HEARTBEAT).map(Ok::<_, Infallible>))
}

fn frames(
    messages: impl Stream<Item = Message>,
    mut stopping: watch::Receiver<bool>,
    heartbeat: Duration,
) -> impl Stream<Item = Bytes> {
    // A sender that is gone means the same as a stop.
    let stop = async move { stopping.wait_for(|stop| *stop).await.map(|_| ()).ok() };
    let live = messages.map(|message| message.frame()).take_until(Box::pin(stop));
    let live = tokio_stream::StreamExt::timeout_repeating(live, tokio::time::interval(heartbeat))
        .map(|frame| frame.unwrap_or_else(|_| Bytes::from_static(b": alive\n\n")));
    stream::once(async { Bytes::from_static(OPENING) }).chain(live)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_message_is_framed_line_by_line() {
        let message = Message::new("log", &json!({"text": "a\nb"})).id(7);
        assert_eq!(message.frame(), "id: 7\nevent: log\ndata: {\"text\":\"a\\nb\"}\n\n");
        let message = Message::new("log", &json!({"text": "a\u{2028}b\u{2029}\r\u{85}"}));
        let frame = String::from_utf8(message.frame().to_vec()).unwrap();
        assert_eq!(frame, "event: log\ndata: {\"text\":\"a\\u2028b\\u2029\\r\u{85}\"}\n\n");
        assert_eq!(Message::new("end", &json!({})).frame(), "event: end\ndata: {}\n\n");
    }

    #[tokio::test]
    async fn a_silent_stream_lives_until_the_server_stops() {
        let (stop, stopping) = watch::channel(false);
        let mut frames = Box::pin(frames(stream::pending(), stopping, Duration::from_millis(5)));
        assert_eq!(frames.next().await.unwrap(), OPENING);
        assert_eq!(frames.next().await.unwrap(), ": alive\n\n");
        assert_eq!(frames.next().await.unwrap(), ": alive\n\n");
        stop.send(true).unwrap();
        assert_eq!(frames.next().await, None);
    }

    #[tokio::test]
    async fn a_stream_ends_with_its_messages() {
        let (_stop, stopping) = watch::channel(false);
        let messages = stream::iter([Message::new("end", &json!({}))]);
        let frames: Vec<_> = frames(messages, stopping, HEARTBEAT).collect().await;
        assert_eq!(frames.len(), 2);
    }
}
