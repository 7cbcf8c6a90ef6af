//! The way to the running server: found through the data folder, asked by the API.

use super::error::{CliError, Kind};
use crate::config::Secret;
use crate::data_folder::DataFolder;
use crate::http::{LOCAL_TOKEN_FILE, LOCAL_USER_HEADER, os_user, read_local_token};
use futures_util::StreamExt;
use ocim_adapters::system::SystemIds;
use ocim_api_spec::Problem;
use ocim_domain::system::Ids;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest wait for a whole answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest silence of a live stream, which says every 15 s that it lives.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(45);

/// Longest wait for what takes the server some minutes.
const PATIENT_TIMEOUT: Duration = Duration::from_secs(360);

/// How often a command is sent while no answer comes, and the pause before the second time.
const COMMAND_TRIES_MAX: u32 = 3;
/// It grows with every further one.
const COMMAND_PAUSE: Duration = Duration::from_millis(300);

/// How to find the server.
#[derive(Debug, Clone)]
pub(super) enum Place {
    /// Through the data folder of this machine's server.
    Folder(PathBuf),
    /// At this address, with this token.
    Address { url: String, token: Secret },
}

/// A server that can be asked.
#[derive(Debug, Clone)]
pub(super) struct Client {
    http: reqwest::Client,
    url: String,
    token: Secret,
    folder: Option<PathBuf>,
}

impl Client {
    /// Finds the server.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] when none runs, [`Kind::Unauthorized`] without a token.
    pub(super) fn find(place: &Place) -> Result<Self, CliError> {
        let (url, token, folder) = match place {
            Place::Folder(root) => {
                let (url, token) = find_local(root)?;
                (url, token, Some(root.clone()))
            }
            Place::Address { url, token } => (url.clone(), token.clone(), None),
        };
        Ok(Self { http: http_client(SILENCE_TIMEOUT)?, url, token, folder })
    }

    /// The data folder of the server, where it is this machine's.
    pub(super) fn folder(&self) -> Option<&Path> {
        self.folder.as_deref()
    }

    /// Reads what is at this path below `/api/v1`.
    ///
    /// # Errors
    /// What the server says, or that it does not answer; so for all that follow.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, CliError> {
        self.read(self.request(Method::GET, path).timeout(ANSWER_TIMEOUT)).await
    }

    /// Reads what may take the server some minutes to find out.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub(super) async fn get_patiently<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, String)],
    ) -> Result<T, CliError> {
        let patient = Self { http: http_client(PATIENT_TIMEOUT)?, ..self.clone() };
        let request = patient.request(Method::GET, path).query(query);
        patient.read(request.timeout(PATIENT_TIMEOUT)).await
    }

    /// Reads all pages of a list.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub(super) async fn get_all<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<Vec<T>, CliError> {
        self.get_first(path, query, usize::MAX, |_| Ok(true)).await
    }

    /// Reads the first so many items of a list that are admitted, page by page.
    ///
    /// # Errors
    /// As [`Client::get`], and what `admit` refuses.
    pub(super) async fn get_first<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, &str)],
        number: usize,
        admit: impl Fn(&T) -> Result<bool, CliError>,
    ) -> Result<Vec<T>, CliError> {
        let mut all = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let mut request = self.request(Method::GET, path).query(query);
            if let Some(after) = &after {
                request = request.query(&[("after", after)]);
            }
            let page: ocim_api_spec::Page<T> = self.read(request.timeout(ANSWER_TIMEOUT)).await?;
            for item in page.items {
                if admit(&item)? {
                    all.push(item);
                }
            }
            match page.next.filter(|_| all.len() < number) {
                Some(next) => after = Some(next),
                None => {
                    all.truncate(number);
                    return Ok(all);
                }
            }
        }
    }

    /// Reads what is at this path with these parameters.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub(super) async fn get_with<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, String)],
    ) -> Result<T, CliError> {
        self.read(self.request(Method::GET, path).query(query).timeout(ANSWER_TIMEOUT)).await
    }

    /// Sends a command.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub(super) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, CliError> {
        read_json(self.send_command(path, body).await?, &self.url).await
    }

    /// Sends a command that has no answer.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub(super) async fn post_without_answer(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<(), CliError> {
        self.send_command(path, body).await.map(drop)
    }

    /// Sends a command with a key of its own, so that it may be sent again where no answer came.
    async fn send_command(&self, path: &str, body: &impl Serialize) -> Result<Response, CliError> {
        let key = SystemIds.new_id().to_string();
        let mut tries = 1;
        loop {
            let request = self.request(Method::POST, path).header("Idempotency-Key", &key);
            match self.send(request.json(body).timeout(ANSWER_TIMEOUT)).await {
                Err(error) if error.kind == Kind::Unavailable && tries < COMMAND_TRIES_MAX => {
                    tokio::time::sleep(COMMAND_PAUSE * tries).await;
                    tries += 1;
                }
                outcome => return outcome,
            }
        }
    }

    /// Changes what is at this path, if it still has the version.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub(super) async fn patch<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
        if_version: Option<u64>,
    ) -> Result<T, CliError> {
        let mut request = self.request(Method::PATCH, path).json(body).timeout(ANSWER_TIMEOUT);
        if let Some(version) = if_version {
            request = request.header("If-Match", format!("\"{version}\""));
        }
        self.read(request).await
    }

    /// Opens a live stream, going on after the message `last_id`; each item is one message.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub(super) async fn stream(
        &self,
        path: &str,
        query: &[(&str, String)],
        last_id: Option<&str>,
    ) -> Result<Messages, CliError> {
        let mut request = self.request(Method::GET, path).query(query);
        request = request.header("Accept", "text/event-stream");
        if let Some(id) = last_id {
            request = request.header("Last-Event-ID", id);
        }
        let bytes = self.send(request).await?.bytes_stream().boxed();
        Ok(Messages { bytes, unread: Vec::new() })
    }

    /// Downloads what is at this path, piece by piece.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub(super) async fn download(
        &self,
        path: &str,
        query: &[(&str, String)],
    ) -> Result<Download, CliError> {
        let response = self.send(self.request(Method::GET, path).query(query)).await?;
        Ok(Download { response, url: self.url.clone() })
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}/api/v1{path}", self.url));
        let request = request.bearer_auth(self.token.expose());
        // Who can read the token of a data folder may be anybody who works there: who is it?
        match &self.folder {
            Some(_) => request.header(LOCAL_USER_HEADER, os_user()),
            None => request,
        }
    }

    async fn read<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, CliError> {
        read_json(self.send(request).await?, &self.url).await
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, CliError> {
        let response = request.send().await.map_err(|error| {
            let what = if error.is_timeout() { "answers too slowly" } else { "does not answer" };
            let message = format!("the server at {} {what}: is `ocim serve` running?", self.url);
            CliError::new(Kind::Unavailable, message)
        })?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        match response.json::<Problem>().await {
            Ok(problem) => Err(problem.into()),
            Err(_) => Err(unknown_refusal(&self.url, status)),
        }
    }
}

async fn read_json<T: DeserializeOwned>(response: Response, url: &str) -> Result<T, CliError> {
    response.json().await.map_err(|error| {
        CliError::new(Kind::Failed, format!("can't understand the answer of {url}: {error}"))
    })
}

fn unknown_refusal(url: &str, status: StatusCode) -> CliError {
    CliError::new(Kind::Failed, format!("{url} answers {status}: is it an Ocim server?"))
}

fn find_local(root: &Path) -> Result<(String, Secret), CliError> {
    let found = DataFolder::find_server(root)
        .map_err(|error| CliError::from_error(Kind::Failed, &error))?;
    let Some(record) = found else {
        let message = format!(
            "no server runs on the data folder {}: start one with `ocim serve`, or name another \
             with --data-dir",
            root.display()
        );
        return Err(CliError::new(Kind::Unavailable, message));
    };
    let token = read_local_token(root).map_err(|error| {
        let path = root.join(LOCAL_TOKEN_FILE);
        CliError::new(
            Kind::Unauthorized,
            format!("can't read the token in {}: {error}", path.display()),
        )
    })?;
    Ok((format!("http://{}", record.address), Secret::new(token)))
}

/// A file on its way.
#[derive(Debug)]
pub(super) struct Download {
    response: Response,
    url: String,
}

impl Download {
    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// When it broke off: what came is a part of the whole.
    pub(super) async fn next(&mut self) -> Result<Option<actix_web::web::Bytes>, CliError> {
        self.response.chunk().await.map_err(|_| {
            let message = format!("the download from {} broke off: try again", self.url);
            CliError::new(Kind::Unavailable, message)
        })
    }
}

/// The messages of a live stream.
pub(super) struct Messages {
    bytes: futures_util::stream::BoxStream<'static, reqwest::Result<actix_web::web::Bytes>>,
    unread: Vec<u8>,
}

impl std::fmt::Debug for Messages {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Messages")
    }
}

/// One message of a live stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Message {
    /// What to go on after, if it says so.
    pub id: Option<String>,
    /// Its type.
    pub event: String,
    /// Its JSON.
    pub data: String,
}

impl Messages {
    /// The next message; `None` when the stream has broken off.
    pub(super) async fn next(&mut self) -> Option<Message> {
        loop {
            if let Some(message) = take_message(&mut self.unread) {
                return Some(message);
            }
            let chunk = self.bytes.next().await?.ok()?;
            self.unread.extend_from_slice(&chunk);
        }
    }
}

/// Takes the first whole message off; blocks that only say that the stream lives are dropped.
fn take_message(unread: &mut Vec<u8>) -> Option<Message> {
    loop {
        let end = unread.windows(2).position(|pair| pair == b"\n\n")?;
        let block: Vec<u8> = unread.drain(..end + 2).collect();
        let mut message = Message::default();
        for line in String::from_utf8_lossy(&block).lines() {
            let Some((field, value)) = line.split_once(": ") else { continue };
            match field {
                "id" => message.id = Some(value.to_owned()),
                "event" => value.clone_into(&mut message.event),
                "data" => value.clone_into(&mut message.data),
                _ => {}
            }
        }
        if !message.event.is_empty() {
            return Some(message);
        }
    }
}

/// A name as one part of a path.
pub(super) fn encode(part: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    part.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

/// A client that gives up after such a silence.
fn http_client(silence: Duration) -> Result<reqwest::Client, CliError> {
    reqwest::Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(silence)
        .no_proxy()
        .build()
        .map_err(|error| CliError::from_error(Kind::Failed, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_taken_whole_and_signs_of_life_are_dropped() {
        let mut unread =
            b": open\nretry: 2000\n\n: alive\n\nid: 7\nevent: log\ndata: {}\n\nid: 8".to_vec();
        let message = take_message(&mut unread).unwrap();
        assert_eq!(
            message,
            Message { id: Some("7".into()), event: "log".into(), data: "{}".into() }
        );
        assert_eq!(take_message(&mut unread), None);
        assert_eq!(unread, b"id: 8");
    }

    #[test]
    fn without_a_server_the_message_says_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let error = Client::find(&Place::Folder(folder.path().to_owned())).unwrap_err();
        assert_eq!(error.kind, Kind::Unavailable);
        assert!(error.message.contains("ocim serve"), "{error}");
    }
}
