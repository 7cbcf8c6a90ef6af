//! What stands between Ocim and a server, and does to the server's answers what networks and others do.

use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What becomes of the answer to a request, which has gone through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    /// It comes so much later.
    Delay(Duration),
    /// The connection ends in its place.
    Cut,
    /// It does not come, until the server ends the connection.
    Withhold,
    /// Other bytes come, and then the connection ends.
    Garble,
}

/// Which request is meant, by bytes that it has and how many with them come before it; what becomes of its
/// answer.
type Order = Arc<Mutex<Option<(Vec<u8>, usize, Act)>>>;

/// The proxy. It ends with this value.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    order: Order,
    task: JoinHandle<()>,
}

impl Proxy {
    /// One before the server at that port, which lets all through.
    pub(crate) async fn start(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let order = Order::default();
        let orders = Arc::clone(&order);
        let task = tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(client, server, Arc::clone(&orders)));
            }
        });
        Self { port, order, task }
    }

    /// Spoils the answer to the next request that has these bytes.
    pub(crate) fn spoil(&self, request: &str, act: Act) {
        *self.order.lock().unwrap() = Some((request.as_bytes().to_vec(), 0, act));
    }

    /// Spoils what comes next after the client has sent so many more times: of those who speak in secret.
    pub(crate) fn spoil_after(&self, times: usize, act: Act) {
        *self.order.lock().unwrap() = Some((vec![], times, act));
    }

    /// Lets all through again.
    pub(crate) fn mend(&self) {
        *self.order.lock().unwrap() = None;
    }

    /// Whether there was such a request.
    pub(crate) fn has_struck(&self) -> bool {
        self.order.lock().unwrap().is_none()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The order, if it is about this request.
fn take(order: &Order, request: &[u8]) -> Option<Act> {
    let mut order = order.lock().unwrap();
    let (wanted, before, _) = order.as_mut()?;
    let is_one =
        wanted.is_empty() || request.windows(wanted.len()).any(|bytes| bytes == &wanted[..]);
    match (is_one, *before) {
        (false, _) => None,
        (true, 0) => order.take().map(|(.., act)| act),
        (true, _) => {
            *before -= 1;
            None
        }
    }
}

/// Carries bytes both ways, until one side ends.
async fn serve(mut client: TcpStream, port: u16, order: Order) -> Option<()> {
    let mut server = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
    let (mut asked, mut answered) = ([0; 64 * 1024], [0; 64 * 1024]);
    let mut act = None;
    loop {
        tokio::select! {
            read = client.read(&mut asked) => {
                let request = &asked[..read.ok().filter(|read| *read > 0)?];
                act = act.or_else(|| take(&order, request));
                server.write_all(request).await.ok()?;
            }
            read = server.read(&mut answered) => {
                let answer = &mut answered[..read.ok().filter(|read| *read > 0)?];
                match act.take() {
                    None => {}
                    Some(Act::Delay(time)) => tokio::time::sleep(time).await,
                    Some(Act::Cut) => return None,
                    Some(Act::Withhold) => loop {
                        server.read(&mut answered).await.ok().filter(|read| *read > 0)?;
                    },
                    Some(Act::Garble) => {
                        answer.iter_mut().for_each(|byte| *byte ^= 0x5a);
                        client.write_all(answer).await.ok()?;
                        return None;
                    }
                }
                client.write_all(answer).await.ok()?;
            }
        }
    }
}
