//! What Node's sockets lack: ports shared by processes, and datagrams that leave together. Linux only.

#[cfg(not(target_os = "linux"))]
pub use elsewhere::*;
#[cfg(target_os = "linux")]
pub use linux::*;

#[cfg(not(target_os = "linux"))]
mod elsewhere {
    use crate::binding::{Answer, Arguments, Fault};

    const ABSENT: Fault = Fault::Type("only Linux has this");

    pub fn reuse_port_socket(_: &mut Arguments<'_>) -> Result<Answer, Fault> {
        Err(ABSENT)
    }

    pub fn send_datagrams(_: &mut Arguments<'_>) -> Result<Answer, Fault> {
        Err(ABSENT)
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use crate::binding::{Answer, Arguments, Fault};
    use rustix::io::Errno;
    use rustix::net::addr::SocketAddrArg;
    use rustix::net::{
        self, AddressFamily, MMsgHdr, SendAncillaryBuffer, SendFlags, SocketAddrAny, SocketFlags, SocketType, sockopt,
    };
    use std::io::IoSlice;
    use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
    use std::os::fd::{BorrowedFd, IntoRawFd};

    /// No host name is longer (an IPv6 address with its zone).
    const LONGEST_HOST: usize = 64;
    /// length(2) || port(2) || address(16), integers little-endian.
    const ENTRY_LENGTH: usize = 20;
    /// What one system call takes; the kernel's own bound is 1,024.
    const MOST_AT_ONCE: usize = 64;

    /// `reusePortSocket(udp, host, port)`: a socket bound with SO_REUSEPORT, so that the kernel spreads connections, or senders of datagrams,
    /// over the processes that have one at this port. Answers its descriptor, which is the caller's to close. Not listening yet.
    pub fn reuse_port_socket(arguments: &mut Arguments<'_>) -> Result<Answer, Fault> {
        let udp = arguments.flag(0)?;
        let host = arguments.text(1, LONGEST_HOST)?;
        let host: IpAddr = host.parse().map_err(|_| Fault::Range("the host must be an IP address"))?;
        let port = u16::try_from(arguments.whole(2)?).map_err(|_| Fault::Range("a port has 16 bits"))?;
        let bound = bound(udp, SocketAddr::new(host, port)).map_err(system)?;
        Ok(Answer::Number(f64::from(bound)))
    }

    fn bound(udp: bool, address: SocketAddr) -> rustix::io::Result<i32> {
        let family = if address.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
        let kind = if udp { SocketType::DGRAM } else { SocketType::STREAM };
        let socket = net::socket_with(family, kind, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)?;
        if address.is_ipv6() {
            sockopt::set_ipv6_v6only(&socket, false)?;
        }
        if !udp {
            // As libuv does: a server that starts again is not kept out by connections of the one before.
            sockopt::set_socket_reuseaddr(&socket, true)?;
        }
        sockopt::set_socket_reuseport(&socket, true)?;
        net::bind(&socket, &address)?;
        Ok(socket.into_raw_fd())
    }

    /// `sendDatagrams(fd, ipv6, bytes, table, count)`: the datagrams stand back to back in `bytes`, their destinations in `table`. Answers how many are
    /// done with: sent, or refused for their own sake (a route that is missing, a forbidden address), which counts as loss. The rest
    /// found the socket's buffer full.
    pub fn send_datagrams(arguments: &mut Arguments<'_>) -> Result<Answer, Fault> {
        let fd = i32::try_from(arguments.whole(0)?).map_err(|_| Fault::Range("a descriptor has 31 bits"))?;
        let (ipv6, count) = (arguments.flag(1)?, arguments.whole(4)? as usize);
        let (table, bytes) = arguments.input_and_output(3, 2)?;
        let (entries, _) = table.as_chunks::<ENTRY_LENGTH>();
        let entries = entries.get(..count).ok_or(Fault::Range("the table is too short"))?;
        let mut left = &*bytes;
        let mut done = 0;
        for batch in entries.chunks(MOST_AT_ONCE) {
            let mut payloads = Vec::with_capacity(batch.len());
            for entry in batch {
                let length = usize::from(u16::from_le_bytes([entry[0], entry[1]]));
                let (payload, rest) = left.split_at_checked(length).ok_or(Fault::Range("the bytes are too short"))?;
                payloads.push([IoSlice::new(payload)]);
                left = rest;
            }
            let addresses: Vec<SocketAddrAny> = batch.iter().map(|entry| destination(entry, ipv6)).collect();
            let taken = send_batch(borrowed(fd), &payloads, &addresses).map_err(system)?;
            done += taken;
            if taken < batch.len() {
                break;
            }
        }
        Ok(Answer::Number(done as f64))
    }

    fn send_batch(
        socket: BorrowedFd<'_>,
        payloads: &[[IoSlice<'_>; 1]],
        addresses: &[SocketAddrAny],
    ) -> rustix::io::Result<usize> {
        let mut controls: Vec<_> = payloads.iter().map(|_| SendAncillaryBuffer::default()).collect();
        let mut messages: Vec<MMsgHdr<'_>> = (addresses.iter().zip(payloads).zip(&mut controls))
            .map(|((address, payload), control)| MMsgHdr::new_with_addr(address, payload, control))
            .collect();
        let mut done = 0;
        while done < messages.len() {
            match net::sendmmsg(socket, &mut messages[done..], SendFlags::DONTWAIT) {
                Ok(sent) => done += sent,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN | Errno::NOBUFS) => break,
                Err(broken @ (Errno::BADF | Errno::NOTSOCK | Errno::FAULT | Errno::INVAL)) => return Err(broken),
                Err(_) => done += 1, // the first of those that were left was refused
            }
        }
        Ok(done)
    }

    /// An IPv4 address stands in the last four bytes, and on an IPv6 socket in its mapped form.
    fn destination(entry: &[u8; ENTRY_LENGTH], ipv6: bool) -> SocketAddrAny {
        let port = u16::from_le_bytes([entry[2], entry[3]]);
        let mut octets = [0; 16];
        octets.copy_from_slice(&entry[4..]);
        let address = Ipv6Addr::from(octets);
        if ipv6 {
            SocketAddrV6::new(address, port, 0, 0).as_any()
        } else {
            let [.., a, b, c, d] = octets;
            SocketAddrV4::new([a, b, c, d].into(), port).as_any()
        }
    }

    /// The number is JavaScript's: a wrong one reaches another file of this process, as any fs call with it would, or none (EBADF).
    #[allow(unsafe_code)]
    fn borrowed<'fd>(fd: i32) -> BorrowedFd<'fd> {
        // SAFETY: it is not -1, the only value that is no memory of this type; it is used within this call, in which nothing of this
        // thread closes it. No memory hangs on a descriptor.
        unsafe { BorrowedFd::borrow_raw(fd) }
    }

    fn system(error: Errno) -> Fault {
        Fault::System(error.raw_os_error())
    }
}
