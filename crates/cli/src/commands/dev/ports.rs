//! The addresses of the server.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, ToSocketAddrs};

use anyhow::anyhow;

use super::holder::Holder;
use crate::args::Dev;
use crate::exit::Failure;

/// The addresses to listen on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ports {
    host: IpAddr,
    port: u16,
    /// The port of the storage, if there is one.
    storage: Option<u16>,
}

impl Ports {
    /// Reads the options.
    pub(super) fn of(dev: &Dev) -> Result<Self, Failure> {
        let host = match dev.host.parse() {
            Ok(address) => address,
            Err(_) => resolve(&dev.host)?,
        };
        Ok(Self { host, port: dev.port, storage: (!dev.no_storage).then_some(dev.s3_port) })
    }

    /// The address of the server.
    pub(super) fn address(&self) -> SocketAddr {
        SocketAddr::new(self.host, self.port)
    }

    /// The address of the storage.
    pub(super) fn storage_address(&self) -> Option<SocketAddr> {
        self.storage.map(|port| SocketAddr::new(self.host, port))
    }

    /// Whether only programs on this machine reach the server.
    pub(super) fn is_loopback(&self) -> bool {
        self.host.is_loopback()
    }

    /// Listens on the port of the server.
    pub(super) fn listen(&self) -> Result<TcpListener, Failure> {
        TcpListener::bind(self.address()).map_err(|error| failure(error, self.address(), "--port"))
    }

    /// Returns the failure of a server that could not be started although it had its own port.
    pub(super) fn storage_failure(&self, error: io::Error) -> Failure {
        match self.storage_address() {
            Some(address) => failure(error, address, "--s3-port"),
            None => anyhow::Error::from(error).context("cannot start the server").into(),
        }
    }
}

fn resolve(host: &str) -> Result<IpAddr, Failure> {
    let found = (host, 0).to_socket_addrs().ok().and_then(|mut addresses| addresses.next());
    found.map(|address| address.ip()).ok_or_else(|| {
        Failure::usage(anyhow!(
            "`--host` is `{host}`, expected an address of this machine, such as 127.0.0.1"
        ))
    })
}

fn failure(error: io::Error, address: SocketAddr, option: &str) -> Failure {
    if error.kind() != io::ErrorKind::AddrInUse {
        // Most likely an address that this machine does not have, or a port that only root may use.
        return Failure::usage(
            anyhow::Error::from(error).context(format!("cannot use the address {address}")),
        );
    }
    let port = address.port();
    let text = match Holder::of(port) {
        Some(Holder { name, id }) => format!("port {port} is taken by `{name}` (process {id})"),
        None => format!("port {port} is taken"),
    };
    Failure::unavailable(anyhow!(text)).with_hint(format!("take a free port with `{option} 0`"))
}
