//! The floor: what a hyper server on the same runtime takes that knows nothing of objects.
//!
//! A GET is answered from one buffer, a write with its own body; a watch is sent each written body.

use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::{
    Method, Request, Response,
    body::{Frame, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::{net::TcpListener, runtime::Runtime, sync::mpsc};

/// What the floor sends.
struct Shared {
    list: Bytes,
    watchers: Mutex<Vec<mpsc::UnboundedSender<Bytes>>>,
}

enum Body {
    Whole(Option<Bytes>),
    Watch(mpsc::UnboundedReceiver<Bytes>),
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.get_mut() {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Watch(events) => events
                .poll_recv(context)
                .map(|event| event.map(|event| Ok(Frame::data(event)))),
        }
    }
}

/// Serves until the runtime ends.
pub(crate) fn start(runtime: &Runtime, list: Bytes) -> SocketAddr {
    let shared = Arc::new(Shared {
        list,
        watchers: Mutex::default(),
    });
    let listener = runtime.block_on(TcpListener::bind(("127.0.0.1", 0)));
    let listener = listener.expect("loopback");
    let address = listener.local_addr().expect("an address");
    runtime.spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let _ = socket.set_nodelay(true);
            let shared = Arc::clone(&shared);
            tokio::spawn(async move {
                let service = service_fn(|request| answer(Arc::clone(&shared), request));
                // A client that goes away ends it.
                let _ = http1::Builder::new()
                    .serve_connection(TokioIo::new(socket), service)
                    .await;
            });
        }
    });
    address
}

async fn answer(
    shared: Arc<Shared>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let is_watch = request.uri().query().is_some_and(|it| it.contains("watch"));
    if is_watch {
        let (sender, receiver) = mpsc::unbounded_channel();
        shared.watchers.lock().push(sender);
        return Ok(Response::new(Body::Watch(receiver)));
    }
    if request.method() == Method::GET {
        let list = shared.list.clone();
        return Ok(Response::new(Body::Whole(Some(list))));
    }
    // A client that breaks off gets an empty answer.
    let body = request.into_body().collect().await;
    let body = body.map(|body| body.to_bytes()).unwrap_or_default();
    for watcher in shared.watchers.lock().iter() {
        let _ = watcher.send(body.clone());
    }
    Ok(Response::new(Body::Whole(Some(body))))
}
