//! What stands between Ocim and a DNS server, and does to their messages what networks and others do.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What becomes of one message and its answer.
pub(crate) enum Act {
    /// They go through.
    Pass,
    /// Something else happens first.
    First(Box<dyn FnOnce() + Send>),
    /// The message goes through, the answer does not come.
    Silence,
    /// The message goes through, the connection ends within the answer.
    Cut,
    /// The message goes through; of the answer one bit is another.
    Garble,
    /// The message goes through; the answer is another one.
    Replace(Vec<u8>),
}

/// The proxy. It ends with this value.
pub(crate) struct Proxy {
    pub(crate) address: String,
    task: JoinHandle<()>,
}

impl Proxy {
    /// One before the server at that port: the messages meet these acts in turn, and pass after them.
    pub(crate) async fn start(port: u16, acts: Vec<Act>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let acts = Arc::new(Mutex::new(VecDeque::from(acts)));
        let task = tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(client, port, Arc::clone(&acts)));
            }
        });
        Self { address, task }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut client: TcpStream, port: u16, acts: Arc<Mutex<VecDeque<Act>>>) {
    let mut server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    while let Some(message) = read(&mut client).await {
        let act = acts.lock().unwrap().pop_front().unwrap_or(Act::Pass);
        let act = match act {
            Act::First(happens) => {
                tokio::task::spawn_blocking(happens).await.unwrap();
                Act::Pass
            }
            act => act,
        };
        write(&mut server, &message).await;
        let mut answer = read(&mut server).await.unwrap();
        match act {
            Act::Pass | Act::First(_) => write(&mut client, &answer).await,
            Act::Silence => std::future::pending().await,
            Act::Cut => {
                client.write_u16(u16::try_from(answer.len()).unwrap()).await.unwrap();
                client.write_all(&answer[..answer.len() / 2]).await.unwrap();
                return;
            }
            Act::Garble => {
                // Within the signature: before its end are six octets more.
                let last = answer.len() - 10;
                answer[last] ^= 1;
                write(&mut client, &answer).await;
            }
            Act::Replace(mut other) => {
                other[..2].copy_from_slice(&message[..2]);
                write(&mut client, &other).await;
            }
        }
    }
}

async fn read(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let length = stream.read_u16().await.ok()?;
    let mut message = vec![0; length.into()];
    stream.read_exact(&mut message).await.ok()?;
    Some(message)
}

async fn write(stream: &mut TcpStream, message: &[u8]) {
    stream.write_u16(u16::try_from(message.len()).unwrap()).await.unwrap();
    stream.write_all(message).await.unwrap();
}
