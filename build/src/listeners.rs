//! Where a process listens, for messages about one that listens at the wrong place: the tables of
//! its network namespace, /proc/PID/net/tcp and tcp6 (proc(5)).

/// Addresses at which something listens in the network namespace of `pid`; none where there is no
/// such table.
pub fn listeners(pid: i32) -> Vec<String> {
    ["tcp", "tcp6"]
        .iter()
        .filter_map(|table| std::fs::read_to_string(format!("/proc/{pid}/net/{table}")).ok())
        .flat_map(|text| text.lines().skip(1).filter_map(listener).collect::<Vec<_>>())
        .collect()
}

/// One line of such a table, if it is a listener: the address is hexadecimal, in the machine's byte
/// order.
fn listener(line: &str) -> Option<String> {
    let mut fields = line.split_whitespace().skip(1);
    let (local, _, state) = (fields.next()?, fields.next()?, fields.next()?);
    let (address, port) = local.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    if state != "0A" {
        return None;
    }
    match address.len() {
        8 => {
            let ip = std::net::Ipv4Addr::from(u32::from_str_radix(address, 16).ok()?.to_le_bytes());
            Some(format!("{ip}:{port}"))
        }
        _ if address.bytes().all(|b| b == b'0') => Some(format!("[::]:{port}")),
        _ => Some(format!("[IPv6]:{port}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_listener_from_the_kernels_table() {
        let line = "   0: 0100007F:2328 00000000:0000 0A 00000000:00000000 00:00000000 00000000 \
                    0 0 1 1";
        assert_eq!(listener(line).as_deref(), Some("127.0.0.1:9000"));
        assert_eq!(listener(&line.replace(" 0A ", " 01 ")), None);
        assert_eq!(listener("garbage"), None);
    }
}
