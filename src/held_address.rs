//! An address of this computer that is kept for a program that listens there later.

use socket2::{Domain, Socket, Type};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};

/// A port of 127.0.0.1, kept until this is dropped: nobody else gets it, but for a program that asks
/// for an address in use (`SO_REUSEADDR`, as servers do) and then listens.
///
/// Between choosing a port and a program's listening on it, minutes may pass, in which another
/// program that looked for a free one would choose the same.
#[derive(Debug)]
pub(crate) struct HeldAddress {
    address: SocketAddr,
    _socket: Socket,
}

impl HeldAddress {
    /// Keeps this port, or any free one for 0.
    ///
    /// # Errors
    /// When somebody has it, or keeps it.
    pub(crate) fn new(port: u16) -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        // Without `SO_REUSEADDR`: it fails where anybody is bound, whether he listens or not.
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into())?;
        socket.set_reuse_address(true)?;
        let address = socket.local_addr()?.as_socket();
        let address = address.ok_or_else(|| io::Error::other("the address is no TCP address"))?;
        Ok(Self { address, _socket: socket })
    }

    /// What is kept.
    #[must_use]
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn a_port_is_kept_from_others_who_look_for_one_and_free_for_a_server() {
        let held = HeldAddress::new(0).unwrap();
        let port = held.address().port();
        assert!(HeldAddress::new(port).is_err(), "somebody else looks for a port");
        // The standard library sets `SO_REUSEADDR`, as HAProxy does.
        let server = TcpListener::bind(held.address()).unwrap();
        let visitor = TcpStream::connect(held.address()).unwrap();
        assert_eq!(server.accept().unwrap().1, visitor.local_addr().unwrap());
        assert!(HeldAddress::new(port).is_err(), "the server has it");
    }
}
