//! A way to the origin that is closed at first: connections to it are refused.

use std::net::SocketAddr;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

/// The way, on a port of its own.
pub struct Relay {
    /// Where it listens once it is open.
    pub address: SocketAddr,
    origin: SocketAddr,
}

impl Relay {
    /// Closed at first. Its port is one that was free just now.
    pub fn closed(origin: SocketAddr) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        Self {
            address: listener.local_addr().unwrap(),
            origin,
        }
    }

    /// Lets connections through.
    pub async fn open(&self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
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
