//! One connection to a DNS server: messages that are signed (TSIG, RFC 8945), and answers that are.

use super::{Rfc2136Access, SERVER};
use crate::dns::wire_name;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use domain::base::iana::{Class, Opcode, Rcode, TsigRcode};
use domain::base::message_builder::{AdditionalBuilder, PushError, StreamTarget};
use domain::base::{Message, MessageBuilder, Name, Rtype, UnknownRecordData};
use domain::rdata::tsig::{Time48, Tsig};
use domain::tsig::{Algorithm, ClientTransaction, Key, KeyName, ValidationError};
use ocim_domain::port_error::{Class as ErrorIs, PortError};
use ocim_domain::saga::ErrorCode;
use ocim_domain::system::Clock;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Longest wait for a connection, and for an answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);
/// Where DNS servers listen.
const PORT: u16 = 53;

/// A domain name.
pub(super) type WireName = Name<Vec<u8>>;

/// A record as messages have it; what its class means is for the section to say.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) name: WireName,
    pub(super) class: Class,
    pub(super) ttl: u32,
    pub(super) data: UnknownRecordData<Vec<u8>>,
}

/// A change of a zone (RFC 2136): all of it or nothing, and only where what must hold holds.
#[derive(Debug, Clone)]
pub(super) struct Update {
    pub(super) zone: WireName,
    pub(super) prerequisites: Vec<Entry>,
    pub(super) changes: Vec<Entry>,
}

/// The server, and the key that it knows us by.
pub(super) struct Server {
    /// Host and port.
    address: (String, u16),
    /// What it is called in messages.
    place: String,
    key: Arc<Key>,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("place", &self.place).finish_non_exhaustive()
    }
}

/// A connection to it.
pub(super) struct Connection<'a> {
    server: &'a Server,
    stream: TcpStream,
}

impl Server {
    /// The server of that access, which is not asked yet.
    ///
    /// # Errors
    /// Permanent, with the setting, when something of the access can't be.
    pub(super) fn new(access: &Rfc2136Access, clock: Arc<dyn Clock>) -> Result<Self, PortError> {
        let wrong = |what: &str| PortError::permanent(ErrorCode::DnsRefused, what);
        let address = read_address(&access.server)
            .ok_or_else(|| wrong("OCIM_DNS_SERVER must be a host, with a port or without"))?;
        let name: KeyName = wire_name(&access.key_name)
            .parse()
            .map_err(|_| wrong("OCIM_DNS_KEY_NAME is no name of a key"))?;
        let algorithm: Algorithm = access
            .algorithm
            .parse()
            .map_err(|_| wrong("OCIM_DNS_KEY_ALGORITHM is none that Ocim knows"))?;
        let secret = read_secret(&access.secret)
            .ok_or_else(|| wrong("OCIM_DNS_KEY_SECRET must be in base64"))?;
        let key = Key::new(algorithm, &secret, name, None, None)
            .map_err(|_| wrong("OCIM_DNS_KEY_SECRET can't be a key"))?;
        let place = format!("{SERVER} {}", access.server);
        Ok(Self { address, place, key: Arc::new(key), clock })
    }

    /// What it is called in messages.
    pub(super) fn place(&self) -> &str {
        &self.place
    }

    /// Connects.
    pub(super) async fn connect(&self) -> Result<Connection<'_>, PortError> {
        let (host, port) = &self.address;
        let away = |why: &dyn std::fmt::Display| {
            PortError::transient(format!("{} does not answer: {why}", self.place))
        };
        let connecting = timeout(CONNECT_TIMEOUT, TcpStream::connect((host.as_str(), *port)));
        let stream = connecting.await.map_err(|_| away(&"no connection in time"))?;
        Ok(Connection { server: self, stream: stream.map_err(|error| away(&error))? })
    }

    /// What an answer means that is not signed as it should be.
    fn refuse(&self, error: ValidationError, rcode: Rcode) -> PortError {
        let place = &self.place;
        let refused =
            |why: &str| PortError::permanent(ErrorCode::DnsRefused, format!("{place} {why}"));
        match error {
            ValidationError::ServerBadKey => refused(
                "does not know the key (BADKEY): see OCIM_DNS_KEY_NAME and OCIM_DNS_KEY_ALGORITHM",
            ),
            ValidationError::ServerBadSig => {
                refused("has another secret for the key (BADSIG): see OCIM_DNS_KEY_SECRET")
            }
            ValidationError::ServerUnsigned if is_refusal(rcode) => {
                refused(&format!("answers {rcode}, without a signature"))
            }
            _ => PortError::transient(format!(
                "who answers as {place} does not have the key: {error} ({rcode})"
            )),
        }
    }
}

impl Connection<'_> {
    /// Has the zone changed, or only looks whether what must hold holds. Gives the server's word.
    pub(super) async fn update(&mut self, update: &Update) -> Result<Rcode, PortError> {
        let Update { zone, prerequisites, changes } = update;
        let is_order = !changes.is_empty();
        let compose = || {
            let mut message = MessageBuilder::new_stream_vec();
            message.header_mut().set_opcode(Opcode::UPDATE);
            let mut message = message.question();
            message.push((zone, Rtype::SOA))?;
            let mut message = message.answer();
            for entry in prerequisites {
                message.push(entry.compose())?;
            }
            let mut message = message.authority();
            for entry in changes {
                message.push(entry.compose())?;
            }
            Ok(message.additional())
        };
        let answer = self.ask(compose().map_err(|error| too_long(&error))?, is_order).await?;
        Ok(answer.header().rcode())
    }

    /// Asks what records of that type a name has.
    pub(super) async fn query(
        &mut self,
        name: &WireName,
        rtype: Rtype,
    ) -> Result<Message<Vec<u8>>, PortError> {
        let compose = || {
            let mut message = MessageBuilder::new_stream_vec().question();
            message.push((name, rtype))?;
            Ok(message.additional())
        };
        self.ask(compose().map_err(|error| too_long(&error))?, false).await
    }

    async fn ask(
        &mut self,
        mut message: AdditionalBuilder<StreamTarget<Vec<u8>>>,
        is_order: bool,
    ) -> Result<Message<Vec<u8>>, PortError> {
        let Self { server, stream } = self;
        let id = rand::random();
        message.header_mut().set_id(id);
        let signed = ClientTransaction::request(server.key.clone(), &mut message, server.now());
        let transaction = signed.map_err(|error| too_long(&error))?;
        let bytes = message.finish();
        // What was sent may have been done.
        let class = if is_order { ErrorIs::Ambiguous } else { ErrorIs::Transient };
        let lost = |why: String| {
            PortError::new(class.clone(), format!("{} does not answer: {why}", server.place))
        };
        let answering = timeout(ANSWER_TIMEOUT, exchange(stream, bytes.as_stream_slice()));
        let answer = answering.await.map_err(|_| lost("no answer in time".to_owned()))?;
        let answer = answer.map_err(|error| lost(error.to_string()))?;
        let mut answer =
            Message::from_octets(answer).map_err(|_| lost("its answer is none".to_owned()))?;
        if answer.header().id() != id || !answer.header().qr() {
            return Err(lost("its answer is to something else".to_owned()));
        }
        let rcode = answer.header().rcode();
        if let Some(apart) = read_clocks(&answer) {
            return Err(PortError::transient(format!(
                "{} has another time than this computer, {apart} seconds apart (BADTIME): mend the clocks",
                server.place
            )));
        }
        match transaction.answer(&mut answer, server.now()) {
            Ok(()) => Ok(answer),
            // Nobody knows who says so, nor whether it is true.
            Err(error) => {
                let refused = server.refuse(error, rcode);
                let is_doubtful = is_order && rcode == Rcode::NOERROR;
                Err(if is_doubtful { lost(refused.message) } else { refused })
            }
        }
    }
}

impl Server {
    fn now(&self) -> Time48 {
        Time48::from_u64(self.clock.now().timestamp().unsigned_abs())
    }
}

impl Entry {
    fn compose(&self) -> (&WireName, Class, u32, &UnknownRecordData<Vec<u8>>) {
        (&self.name, self.class, self.ttl, &self.data)
    }
}

/// Sends a message, and reads the next one.
async fn exchange(stream: &mut TcpStream, message: &[u8]) -> io::Result<Vec<u8>> {
    stream.write_all(message).await?;
    let length = stream.read_u16().await?;
    let mut answer = vec![0; length.into()];
    stream.read_exact(&mut answer).await?;
    Ok(answer)
}

/// Whether nobody gains by pretending it.
fn is_refusal(rcode: Rcode) -> bool {
    matches!(rcode, Rcode::REFUSED | Rcode::NOTIMP | Rcode::NOTAUTH | Rcode::FORMERR)
}

/// How many seconds the server's clock and ours are apart, where it refuses a message for that. The library
/// checks no signature right that goes with it, and nobody gains by pretending it.
fn read_clocks(answer: &Message<Vec<u8>>) -> Option<u64> {
    let record = answer.get_last_additional::<Tsig<_, _>>()?;
    let said = record.data();
    let is_so = answer.header().rcode() == Rcode::NOTAUTH && said.error() == TsigRcode::BADTIME;
    let theirs = said.other_time().filter(|_| is_so)?;
    Some(seconds(said.time_signed()).abs_diff(seconds(theirs)))
}

fn seconds(time: Time48) -> u64 {
    time.into_octets().iter().fold(0, |sum, octet| sum << 8 | u64::from(*octet))
}

fn too_long(_: &PushError) -> PortError {
    PortError::permanent(ErrorCode::DnsRefused, "more names than one message to a DNS server takes")
}

/// A key, from base64.
pub(super) fn read_secret(text: &str) -> Option<Vec<u8>> {
    BASE64_STANDARD.decode(text).ok().filter(|key| !key.is_empty())
}

/// A host and its port: `ns.example.com`, `192.0.2.1:5353`, `[2001:db8::1]:53`.
pub(super) fn read_address(text: &str) -> Option<(String, u16)> {
    let is_host = |host: &str| {
        !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || ".:-_".contains(c))
    };
    if let Ok(ip) = text.parse::<std::net::IpAddr>() {
        return Some((ip.to_string(), PORT));
    }
    if let Some((ip, rest)) = text.strip_prefix('[').and_then(|text| text.split_once(']')) {
        let port = match rest {
            "" => PORT,
            rest => rest.strip_prefix(':')?.parse().ok()?,
        };
        return Some((ip.parse::<std::net::Ipv6Addr>().ok()?.to_string(), port));
    }
    let (host, port) = match text.split_once(':') {
        Some((host, port)) => (host, port.parse().ok()?),
        None => (text, PORT),
    };
    is_host(host).then(|| (host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::read_address;

    #[test]
    fn a_server_is_a_host_with_a_port_or_without() {
        for (text, host, port) in [
            ("ns1.example.com", "ns1.example.com", 53),
            ("ns1.example.com:5353", "ns1.example.com", 5353),
            ("192.0.2.1", "192.0.2.1", 53),
            ("192.0.2.1:54", "192.0.2.1", 54),
            ("2001:db8::1", "2001:db8::1", 53),
            ("[2001:db8::1]:54", "2001:db8::1", 54),
            ("[2001:db8::1]", "2001:db8::1", 53),
        ] {
            assert_eq!(read_address(text), Some((host.to_owned(), port)), "{text}");
        }
        for text in ["", ":53", "a:b", "a:99999", "http://a", "[a]:1", "[::1]1", "a b"] {
            assert_eq!(read_address(text), None, "{text}");
        }
    }
}
