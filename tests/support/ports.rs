//! Ports for programs that cannot choose one themselves.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

/// Different free addresses on the loopback interface.
///
/// Another process may take them before the program binds them. Then start the program again with other ports.
pub fn free<const N: usize>() -> [SocketAddr; N] {
    // All listeners are kept until the last port is found, so that all ports differ.
    let held = [(); N].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free loopback port"));
    held.each_ref().map(|listener| listener.local_addr().expect("the address of a listener"))
}
