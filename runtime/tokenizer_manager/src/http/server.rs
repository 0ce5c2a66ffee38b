//! The HTTP server with the settings that streams and probes need.

use std::net::TcpListener;
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::middleware::from_fn;
use actix_web::{App as ActixApp, HttpServer, web};

use super::{auth, cors, routes};
use crate::app::App;
use crate::metrics::http as metrics;

/// Threads that serve connections.
const WORKERS: usize = 2;
/// Threads per worker for long tokenizations.
const BLOCKING_THREADS: usize = 2;
/// Connections that wait to be accepted.
const BACKLOG: u32 = 2048;
/// Longest wait for a request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// Starts serving on `listener`. The caller handles signals, stops the server and awaits it.
///
/// # Errors
/// The listener cannot be used.
pub fn serve(app: web::Data<App>, listener: TcpListener) -> std::io::Result<Server> {
    let keep_alive = app.env.keep_alive;
    let factory = move || {
        ActixApp::new()
            .app_data(app.clone())
            // The last one stands outermost: a call without a key is told nothing else.
            .wrap(from_fn(metrics::count))
            .wrap(from_fn(cors::share))
            .wrap(from_fn(auth::authorize))
            .configure(|config| routes::configure(config, &app))
    };
    let server = HttpServer::new(factory)
        .workers(WORKERS)
        .worker_max_blocking_threads(BLOCKING_THREADS)
        .backlog(BACKLOG)
        .keep_alive(keep_alive)
        .client_request_timeout(HEAD_TIMEOUT)
        .tcp_nodelay(true)
        // A client that closes its side has gone: its request is dropped, which aborts it.
        .h1_allow_half_closed(false)
        .disable_signals()
        .shutdown_timeout(1)
        .listen(listener)?
        .run();
    Ok(server)
}
