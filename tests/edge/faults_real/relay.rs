//! A relay to the origin that is closed at first: it refuses connections.

use std::cell::Cell;
use std::net::SocketAddr;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 128;

/// The way, on a port of its own.
pub struct Relay {
    /// Where it listens once it is open.
    pub address: SocketAddr,
    origin: SocketAddr,
    /// Bound from the start, so that nobody else gets the port; connections are refused until it listens.
    socket: Cell<Option<TcpSocket>>,
}

impl Relay {
    /// Closed at first.
    pub fn closed(origin: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
        Self {
            address: socket.local_addr().unwrap(),
            origin,
            socket: Cell::new(Some(socket)),
        }
    }

    /// Lets connections through.
    pub fn open(&self) {
        let listener = self.socket.take().unwrap().listen(BACKLOG).unwrap();
        tokio::spawn(pass(listener, self.origin));
    }
}

async fn pass(listener: TcpListener, origin: SocketAddr) {
    while let Ok((mut near, _)) = listener.accept().await {
        tokio::spawn(async move {
            if let Ok(mut far) = TcpStream::connect(origin).await {
                let _ = copy_bidirectional(&mut near, &mut far).await;
            }
        });
    }
}
