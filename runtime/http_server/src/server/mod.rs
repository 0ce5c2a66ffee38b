//! The HTTP server, configured for streams and probes.

mod access_log;
mod auth;
mod call_metrics;
mod cors;
mod retry_after;
pub mod routes;

use std::net::TcpListener;
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::middleware::from_fn;
use actix_web::{App as ActixApp, HttpServer, web};
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::TcpUserTimeout;
#[cfg(feature = "tls")]
use sglang_server_args::ServerArgs;
#[cfg(feature = "tls")]
use sglang_tls::{ServerTls, TlsFiles};

use crate::app::App;

/// Threads that serve connections.
const WORKERS: usize = 2;
/// Threads per worker for long tokenizations.
const BLOCKING_THREADS: usize = 2;
/// Connections waiting to be accepted.
const BACKLOG: u32 = 2048;
/// Longest wait for a TLS handshake.
#[cfg(feature = "tls")]
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How often the files of `--ssl-…` are checked with `--enable-ssl-refresh`.
#[cfg(feature = "tls")]
const REFRESH: Duration = Duration::from_secs(1);

/// Starts serving on `listener`. The caller handles signals, stops the server and awaits it.
///
/// # Errors
/// If the listener cannot be used.
pub fn serve(app: web::Data<App>, listener: TcpListener) -> std::io::Result<Server> {
    let (keep_alive, clients) = (app.env.keep_alive, app.env.clients);
    close_unread(&listener, clients.unread);
    let args = app.args.clone();
    let factory = move || {
        ActixApp::new()
            .app_data(app.clone())
            // The last layer is the outermost: a call without a key learns nothing else.
            .wrap(from_fn(retry_after::add))
            .wrap(from_fn(call_metrics::count))
            .wrap(from_fn(cors::share))
            .wrap(from_fn(auth::authorize))
            .wrap(from_fn(access_log::log))
            .configure(|config| routes::configure(config, &app))
    };
    let server = HttpServer::new(factory)
        .workers(WORKERS)
        .worker_max_blocking_threads(BLOCKING_THREADS)
        .backlog(BACKLOG)
        .keep_alive(keep_alive)
        .client_request_timeout(clients.head)
        .tcp_nodelay(true)
        // A client that closes its side is gone, so its request is dropped, which aborts it.
        .h1_allow_half_closed(false)
        .h2_initial_connection_window_size(args.http2_initial_connection_window_size)
        .disable_signals()
        .shutdown_timeout(1);
    #[cfg(feature = "tls")]
    let server = match (tls(&args)?, args.enable_http2) {
        // Clients choose HTTP/2 in the handshake.
        (Some(config), _) => {
            server.tls_handshake_timeout(HANDSHAKE_TIMEOUT).listen_rustls_0_23(listener, config)?
        }
        (None, true) => server.listen_auto_h2c(listener)?,
        (None, false) => server.listen(listener)?,
    };
    #[cfg(not(feature = "tls"))]
    let server = match (&args.ssl_certfile, args.enable_http2) {
        (Some(_), _) => {
            return Err(std::io::Error::other("this program was built without TLS (cargo feature tls)"));
        }
        (None, true) => server.listen_auto_h2c(listener)?,
        (None, false) => server.listen(listener)?,
    };
    Ok(server.run())
}

/// The TLS settings of `--ssl-…`. With `--enable-ssl-refresh` a task watches the files from now on.
#[cfg(feature = "tls")]
fn tls(args: &ServerArgs) -> std::io::Result<Option<sglang_tls::ServerConfig>> {
    let Some(files) = TlsFiles::from_server_args(args) else { return Ok(None) };
    let tls = ServerTls::new(files).map_err(std::io::Error::other)?;
    let config = tls.config().map_err(std::io::Error::other)?;
    if args.enable_ssl_refresh {
        tokio::spawn(async move {
            let mut ticks = tokio::time::interval(REFRESH);
            loop {
                ticks.tick().await;
                match tls.refresh() {
                    None => {}
                    Some(Ok(())) => tracing::info!("The files of --ssl-… have changed and were read again"),
                    Some(Err(error)) => tracing::error!("{error}; the files as they were go on"),
                }
            }
        });
    }
    Ok(Some(config))
}

/// Makes the system close connections whose client does not read; they inherit this from the listener.
fn close_unread(listener: &TcpListener, after: Duration) {
    let millis = u32::try_from(after.as_millis()).unwrap_or(u32::MAX);
    if let Err(error) = setsockopt(listener, TcpUserTimeout, &millis) {
        tracing::warn!("Clients that do not read will not be noticed: {error}");
    }
}
