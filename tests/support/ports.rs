//! Ports for programs that cannot choose one themselves.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

/// Free loopback addresses, all different.
///
/// They are free now and may be taken later: start the program again on others when it does not get them.
pub fn free<const N: usize>() -> [SocketAddr; N] {
    // All are held until the last is found, so that no two are the same.
    let held = [(); N].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free loopback port"));
    held.each_ref().map(|listener| listener.local_addr().expect("the address of a listener"))
}
