//! What systemd is told of the service, where it asks: that it is ready, that it stops, that it is alive.

use std::{
    env, io,
    os::{
        linux::net::SocketAddrExt as _,
        unix::net::{SocketAddr, UnixDatagram},
    },
    time::Duration,
};
use tokio::time::{MissedTickBehavior, interval};

/// The service answers and everything that is stored has been started.
pub(crate) const READY: &str = "READY=1";
/// The service ends.
pub(crate) const STOPPING: &str = "STOPPING=1";

/// Tells the service manager, if there is one that listens.
pub(crate) fn tell(state: &str) {
    let Some(path) = env::var_os("NOTIFY_SOCKET") else { return };
    if let Err(error) = send(path.as_encoded_bytes(), state) {
        tracing::warn!("The service manager cannot be told {state}: {error}");
    }
}

fn send(path: &[u8], state: &str) -> io::Result<()> {
    let address = match path.strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(String::from_utf8_lossy(path).as_ref())?,
    };
    let socket = UnixDatagram::unbound()?;
    // A manager that does not read must not stop the service.
    socket.set_nonblocking(true)?;
    socket.send_to_addr(state.as_bytes(), &address).map(|_| ())
}

/// How often the service manager wants to hear that the service is alive; `None`: never.
fn wanted_every(micros: Option<&str>, pid: Option<&str>) -> Option<Duration> {
    let ours = pid.is_none_or(|pid| pid == std::process::id().to_string());
    let micros = micros?.parse().ok().filter(|micros| ours && *micros > 0)?;
    Some(Duration::from_micros(micros))
}

/// Says that the service is alive for as long as this is polled, twice as often as is wanted.
pub(crate) async fn live() {
    let (micros, pid) = (env::var("WATCHDOG_USEC").ok(), env::var("WATCHDOG_PID").ok());
    let Some(every) = wanted_every(micros.as_deref(), pid.as_deref()) else {
        return std::future::pending().await;
    };
    let mut tick = interval((every / 2).max(Duration::from_millis(1)));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        tell("WATCHDOG=1");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_with_and_without_a_path_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let abstract_name = format!("weir-test-{}", std::process::id());
        let listeners = [
            (UnixDatagram::bind(&path).unwrap(), path.display().to_string()),
            (
                UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&abstract_name).unwrap()).unwrap(),
                format!("@{abstract_name}"),
            ),
        ];
        for (listener, name) in listeners {
            send(name.as_bytes(), READY).unwrap();
            let mut bytes = [0; 64];
            let length = listener.recv(&mut bytes).unwrap();
            assert_eq!(&bytes[..length], b"READY=1");
        }
        assert!(send(b"/nowhere", READY).is_err());
    }

    #[test]
    fn only_the_process_that_is_watched_reports() {
        let own = std::process::id().to_string();
        assert_eq!(wanted_every(Some("2000000"), Some(&own)), Some(Duration::from_secs(2)));
        assert_eq!(wanted_every(Some("2000000"), None), Some(Duration::from_secs(2)));
        assert_eq!(wanted_every(Some("2000000"), Some("1")), None);
        assert_eq!(wanted_every(Some("soon"), None), None);
        assert_eq!(wanted_every(None, None), None);
    }
}
